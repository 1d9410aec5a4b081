"""What can be asked about the cluster itself, as values."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import grpc.aio

from cluster.ids import GroupId, NodeId, PartitionId, ReplicaId, group_of
from cluster.partition.map import ClusterMap, NodeInfo
from kvstore.client.channel import ConnectionClosed, call
from kvstore.client.connection import Connections
from kvstore.client.outcomes import judge
from kvstore.generated.kvstore.v1 import admin_pb2

STATUS_TIMEOUT_S: Final = 1.0
"""For each node; all are asked at once."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a key lives."""

    key: bytes
    partition: PartitionId
    leader: NodeId | None
    """None: not known at the moment."""
    replicas: tuple[NodeId, ...]
    """The preferred leader first."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node of the map; where it did not answer, what it would have said is None."""

    node_id: NodeId
    replica: ReplicaId
    address: str
    problem: str | None = None
    """Why it did not answer; None: it did."""
    version: str | None = None
    map_epoch: int | None = None
    uptime_s: float | None = None
    rounds: int | None = None
    log_syncs: int | None = None
    messages_sent: int | None = None
    log_bytes: int | None = None
    leads: int | None = None
    """Groups, the meta group among them."""
    short_of_space: bool | None = None
    """Its disk has so little room that it takes no writes."""
    free_bytes: int | None = None
    """On its disk; 0: not yet known."""
    loop_lag_ms_p99: float | None = None
    """How late its event loop ran what was due in the last minute, 99 of 100 times at most."""
    loop_lag_ms_max: float | None = None
    round_ms_p99: float | None = None
    """The longest round of a tick: in 99 of 100 ticks of the last minute at most."""
    round_ms_max: float | None = None
    log_write_ms_max: float | None = None
    """The slowest write of its commit log of late, one under way included."""
    unfit_reason: str | None = None
    """Why it should not lead for now; empty: nothing is wrong with its disk."""
    scrubs: int | None = None
    """Comparisons of replicas that it has heard the end of, since its start."""
    scrub_mismatches: int | None = None
    """Those of them that found a mismatch."""
    scrub_age_s: float | None = None
    """Since the last of them; None where there was none."""
    scrubbed_replicas: int | None = None
    """Replicas on it in whose last comparison all agreed."""
    rebuilds: int | None = None
    """How often in a row it gave up damaged data and got them anew (`--rebuilds-max`)."""

    @property
    def is_reachable(self) -> bool:
        """Whether it answered."""
        return self.problem is None


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """One Raft group as its leader sees it."""

    group: GroupId
    replicas: tuple[NodeId, ...]
    leader: NodeId | None
    """None: no node that answered leads it."""
    term: int | None = None
    commit_index: int | None = None
    applied_index: int | None = None
    lag: Mapping[NodeId, int] | None = None
    """Entries that each other member still misses; None without a leader."""
    applied: Mapping[NodeId, int] | None = None
    """The index that each member that answered has applied, by its own account."""


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """What all nodes of the map said within STATUS_TIMEOUT_S; not one moment's picture."""

    cluster_id: str
    epoch: int
    nodes: tuple[NodeStatus, ...]
    meta: GroupStatus
    partitions: tuple[GroupStatus, ...]
    """In order of partition."""

    @property
    def is_healthy(self) -> bool:
        """Every node answered and every group has a leader."""
        groups = (self.meta, *self.partitions)
        return all(node.is_reachable for node in self.nodes) and all(
            group.leader is not None for group in groups
        )


async def ask_status(
    connections: Connections, cluster_map: ClusterMap, timeout_s: float
) -> ClusterStatus:
    """Asks every node of the map; never fails, but says which nodes did not answer, and why."""
    answers = await asyncio.gather(
        *(_ask(connections, node, min(timeout_s, STATUS_TIMEOUT_S)) for node in cluster_map.nodes)
    )
    nodes = tuple(
        _node_status(node, answer) for node, answer in zip(cluster_map.nodes, answers, strict=True)
    )
    heard = [answer for answer in answers if not isinstance(answer, str)]
    leaders, applied = _leaders(heard), _applied(heard)
    everyone = tuple(node.replica for node in cluster_map.nodes)
    return ClusterStatus(
        cluster_map.cluster_id,
        cluster_map.epoch,
        nodes,
        _group_status(cluster_map, GroupId(0), everyone, leaders, applied),
        tuple(
            _group_status(cluster_map, group_of(info.partition), info.replicas, leaders, applied)
            for info in cluster_map.partitions
        ),
    )


async def _ask(
    connections: Connections, node: NodeInfo, timeout_s: float
) -> admin_pb2.StatusResponse | str:
    connection = connections.to(node.address)
    try:
        answer: admin_pb2.StatusResponse = await call(
            connection.status, admin_pb2.StatusRequest(), timeout_s
        )
    except (grpc.aio.AioRpcError, ConnectionClosed) as error:
        return judge(error, "Status").detail
    if answer.replica_id != node.replica:
        return f"the node at {node.address} is replica {answer.replica_id}, not {node.replica}"
    return answer


def _node_status(node: NodeInfo, answer: admin_pb2.StatusResponse | str) -> NodeStatus:
    if isinstance(answer, str):
        return NodeStatus(node.node_id, node.replica, node.address, answer)
    return NodeStatus(
        node.node_id,
        node.replica,
        node.address,
        None,
        answer.version,
        answer.map_epoch,
        answer.uptime_s,
        answer.rounds,
        answer.log_syncs,
        answer.messages_sent,
        answer.log_bytes,
        sum(replica.role == "leader" for replica in answer.replicas),
        answer.short_of_space,
        answer.free_bytes,
        answer.loop_lag_ms_p99,
        answer.loop_lag_ms_max,
        answer.round_ms_p99,
        answer.round_ms_max,
        answer.log_write_ms_max,
        answer.unfit_reason,
        answer.scrubs,
        answer.scrub_mismatches,
        answer.scrub_age_s if answer.scrubs else None,
        answer.scrubbed_replicas,
        answer.rebuilds,
    )


_Leaders = dict[GroupId, tuple[ReplicaId, admin_pb2.ReplicaStatus]]


def _leaders(answers: Sequence[admin_pb2.StatusResponse]) -> _Leaders:
    """Who leads each group: of several that say so, the one of the highest term does."""
    leaders: _Leaders = {}
    for answer in answers:
        for replica in answer.replicas:
            group = GroupId(replica.group_id)
            if replica.role == "leader" and (
                group not in leaders or leaders[group][1].term < replica.term
            ):
                leaders[group] = (ReplicaId(answer.replica_id), replica)
    return leaders


_Applied = dict[tuple[GroupId, ReplicaId], int]


def _applied(answers: Sequence[admin_pb2.StatusResponse]) -> _Applied:
    """What each replica has applied."""
    return {
        (GroupId(replica.group_id), ReplicaId(answer.replica_id)): replica.applied_index
        for answer in answers
        for replica in answer.replicas
    }


def _group_status(
    cluster_map: ClusterMap,
    group: GroupId,
    replicas: Sequence[ReplicaId],
    leaders: _Leaders,
    applied: _Applied,
) -> GroupStatus:
    names = {node.replica: node.node_id for node in cluster_map.nodes}
    members = tuple(names[replica] for replica in replicas)
    heard = {names[each]: applied[group, each] for each in replicas if (group, each) in applied}
    if group not in leaders:
        return GroupStatus(group, members, None, applied=heard)
    leader, seen = leaders[group]
    lag = {
        names[ReplicaId(each.replica_id)]: each.entries
        for each in seen.lags
        if each.replica_id in names
    }
    return GroupStatus(
        group, members, names[leader], seen.term, seen.commit_index, seen.applied_index, lag, heard
    )
