"""Who holds and who leads what: the first map, and hand-overs of leadership. Pure decisions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from cluster.ids import GroupId, NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, ClusterSettings, InvalidMap, NodeInfo, PartitionInfo
from cluster.partition.ranges import range_of_partition
from cluster.partition.ring import Ring, RingNode
from cluster.partition.spread import spread

FIRST_EPOCH: Final = 1
CAUGHT_UP_LAG_ENTRIES: Final = 1024
"""A follower that misses no more can take over: it gets the rest within a round or two. Zero would
never be reached under steady writes."""

_DIGITS: Final = re.compile("([0-9]+)")

K = TypeVar("K", PartitionId, GroupId)


@dataclass(frozen=True, slots=True)
class LedReplica:
    """What a leader knows of those in its group that could take over."""

    lags: Mapping[ReplicaId, int]
    """Entries that each other voting member still misses; without those not heard of lately."""

    def caught_up(self, lag_max: int) -> list[ReplicaId]:
        """Those that miss at most `lag_max` entries, the closest first."""
        ready = [replica for replica, lag in self.lags.items() if lag <= lag_max]
        return sorted(ready, key=lambda replica: (self.lags[replica], replica))


def natural_order(node_id: NodeId) -> tuple[list[str | int], str]:
    """A sort key by which numbers in names count as numbers: n2 comes before n10."""
    # Text and digits alternate, beginning with text: two keys never compare a str with an int.
    # The name itself tells "n1" from "n01".
    parts = _DIGITS.split(node_id)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], node_id


def initial_map(
    cluster_id: str,
    initial_nodes: Mapping[NodeId, str],
    settings: ClusterSettings,
    hash64: Callable[[bytes], int],
) -> ClusterMap:
    """The map with which a cluster begins, from its nodes and their addresses ("host:port").

    The same for the same arguments on every node, in whatever order the nodes are named. Replica
    ids are 1 to N in natural order of the names. With P partitions and R replicas each (the
    replication factor, or N if that is less), every node holds floor or ceil of P·R/N partitions
    and is the preferred leader of floor or ceil of P/N. Raises InvalidMap.
    """
    if not initial_nodes:
        raise InvalidMap("nodes: a cluster needs at least one")
    names = sorted(initial_nodes, key=natural_order)
    ids = {name: ReplicaId(number) for number, name in enumerate(names, start=1)}
    count = min(settings.replication_factor, len(names))
    each, extra = divmod(settings.partitions * count, len(names))
    quotas = {name: each + (place < extra) for place, name in enumerate(names)}
    points = [
        range_of_partition(PartitionId(number), settings.partitions)[0]
        for number in range(settings.partitions)
    ]
    ring = Ring((RingNode(name) for name in names), hash64)
    held = [[ids[name] for name in replicas] for replicas in ring.assign(points, count, quotas)]
    # With shares this even, an even choice of leaders exists: were each partition led by all its
    # replicas in equal parts, a node would lead 1/R of what it holds, between floor and ceil of
    # P/N, and such a fractional choice can be rounded. So `spread` finds one.
    leaders = spread(held)
    return ClusterMap(
        cluster_id=cluster_id,
        epoch=FIRST_EPOCH,
        nodes=tuple(NodeInfo(ids[name], name, initial_nodes[name]) for name in names),
        partitions=tuple(
            PartitionInfo(PartitionId(number), with_first(replicas, leader))
            for number, (replicas, leader) in enumerate(zip(held, leaders, strict=True))
        ),
        settings=settings,
    )


def with_first(replicas: Sequence[ReplicaId], leader: ReplicaId) -> tuple[ReplicaId, ...]:
    """`replicas` with `leader`, one of them, at the head; the others stay in their order."""
    return (leader, *(replica for replica in replicas if replica != leader))


def leaders_to_hand_over(
    cluster_map: ClusterMap,
    me: ReplicaId,
    leads: Mapping[PartitionId, LedReplica],
    lag_max: int = CAUGHT_UP_LAG_ENTRIES,
) -> list[tuple[PartitionId, ReplicaId]]:
    """The partitions that `me` leads in place of the preferred leader, which could take over.

    `leads` has what `me` leads. Handed over is what is preferred elsewhere, where that replica is
    active and misses at most `lag_max` entries; so a partition comes to rest once it is led where
    the map says. In order of partition; one that the map does not know stays where it is.
    """
    handed: list[tuple[PartitionId, ReplicaId]] = []
    for partition in sorted(leads):
        if partition >= len(cluster_map.partitions):
            continue
        preferred = cluster_map.partitions[partition].preferred_leader
        lag = leads[partition].lags.get(preferred)
        if preferred != me and lag is not None and lag <= lag_max:
            handed.append((partition, preferred))
    return handed


def gathered_leaders(cluster_map: ClusterMap, replica: ReplicaId) -> dict[PartitionId, ReplicaId]:
    """What has to be preferred otherwise so that `replica` is meant to lead all that it holds.

    What it does not hold stays where it is.
    """
    return {
        info.partition: replica
        for info in cluster_map.partitions
        if replica in info.replicas and info.preferred_leader != replica
    }


def spread_leaders(cluster_map: ClusterMap) -> dict[PartitionId, ReplicaId]:
    """What has to be preferred otherwise so that leaders are spread as evenly as can be.

    Nothing, where they are.
    """
    even = spread([info.replicas for info in cluster_map.partitions])
    preferred = [info.preferred_leader for info in cluster_map.partitions]
    if _loads(preferred) == _loads(even):
        return {}
    return {
        info.partition: leader
        for info, leader in zip(cluster_map.partitions, even, strict=True)
        if leader != info.preferred_leader
    }


def _loads(leaders: Sequence[ReplicaId]) -> list[int]:
    return sorted(Counter(leaders).values())


def drain_targets(
    me: ReplicaId, leads: Mapping[K, LedReplica], lag_max: int = CAUGHT_UP_LAG_ENTRIES
) -> list[tuple[K, ReplicaId]]:
    """To whom `me` hands everything that it leads before it stops, whatever the map prefers.

    Takes partitions or groups, so that leadership of the meta group goes too. Only replicas that
    are active and miss at most `lag_max` entries come into question; what is led is spread over
    them as evenly as can be, and then goes to the closest behind. Without such a replica a group is
    left out: ask again, or stop and let it elect. In order of the groups.
    """
    options = {
        led: [replica for replica in leads[led].caught_up(lag_max) if replica != me]
        for led in sorted(leads)
    }
    movable = [led for led in options if options[led]]
    return list(zip(movable, spread([options[led] for led in movable]), strict=True))
