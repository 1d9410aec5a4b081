"""Leadership goes where the map prefers it, and away from a node that stops."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.ids import META_GROUP, GroupId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, ClusterSettings, NodeInfo, PartitionInfo
from cluster.partition.meta import SetPreferredLeaders, apply
from cluster.partition.placement import (
    LedReplica,
    drain_targets,
    gathered_leaders,
    leaders_to_hand_over,
    spread_leaders,
)
from tests.partition.maps import map_of, replica_ids

ME = ReplicaId(1)


def led_replica(lags: dict[int, int]) -> LedReplica:
    return LedReplica({ReplicaId(replica): lag for replica, lag in lags.items()})


def three_nodes(*replicas: tuple[int, int, int]) -> ClusterMap:
    like = map_of(3, len(replicas))
    return ClusterMap(
        cluster_id=like.cluster_id,
        epoch=1,
        nodes=tuple(NodeInfo(n.replica, n.node_id, n.address) for n in like.nodes),
        partitions=tuple(
            PartitionInfo(PartitionId(number), tuple(ReplicaId(member) for member in members))
            for number, members in enumerate(replicas)
        ),
        settings=ClusterSettings(len(replicas), 3, 4096, 1 << 20),
    )


@pytest.mark.parametrize(
    ("preferred", "lags", "handed"),
    [
        ((2, 1, 3), {2: 0, 3: 0}, True),
        ((2, 1, 3), {2: 10, 3: 0}, True),
        ((2, 1, 3), {2: 11, 3: 0}, False),  # behind
        ((2, 1, 3), {3: 0}, False),  # not heard of
        ((2, 1, 3), {}, False),
        ((1, 2, 3), {2: 0, 3: 0}, False),  # preferred here
    ],
)
def test_a_partition_goes_to_its_preferred_leader_once_that_has_caught_up(
    preferred: tuple[int, int, int], lags: dict[int, int], handed: bool
) -> None:
    cluster_map = three_nodes(preferred)
    leads = {PartitionId(0): led_replica(lags)}
    expected = [(PartitionId(0), ReplicaId(2))] if handed else []
    assert leaders_to_hand_over(cluster_map, ME, leads, lag_max=10) == expected


def test_only_what_is_led_is_handed_over_in_order_of_partition() -> None:
    cluster_map = three_nodes((2, 1, 3), (3, 1, 2), (1, 2, 3), (3, 2, 1))
    ready = led_replica({2: 0, 3: 0})
    leads = {PartitionId(number): ready for number in (3, 2, 0)}
    assert leaders_to_hand_over(cluster_map, ME, leads) == [(0, 2), (3, 3)]


def test_a_partition_that_the_map_does_not_know_stays() -> None:
    leads = {PartitionId(7): led_replica({2: 0})}
    assert leaders_to_hand_over(three_nodes((2, 1, 3)), ME, leads) == []


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 32), st.randoms(use_true_random=False))
def test_leadership_comes_to_rest_where_the_map_prefers_it(
    nodes: int, partitions: int, random: Random
) -> None:
    cluster_map = map_of(nodes, partitions)
    leaders = {info.partition: random.choice(info.replicas) for info in cluster_map.partitions}
    for _ in range(2):
        moved = 0
        for node in cluster_map.nodes:
            leads = {
                partition: LedReplica(dict.fromkeys(cluster_map.replicas_of(partition), 0))
                for partition, leader in leaders.items()
                if leader == node.replica
            }
            handed = leaders_to_hand_over(cluster_map, node.replica, leads)
            leaders.update(handed)
            moved += len(handed)
    assert moved == 0
    assert leaders == {info.partition: info.preferred_leader for info in cluster_map.partitions}


# As an operator prefers.


def preferring(cluster_map: ClusterMap, leaders: dict[PartitionId, ReplicaId]) -> ClusterMap:
    state = apply(cluster_map, SetPreferredLeaders(leaders)).state
    assert state is not None
    return state


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 32))
def test_gathered_and_spread_again_leaders_are_as_even_as_in_the_beginning(
    nodes: int, partitions: int
) -> None:
    begun = map_of(nodes, partitions)
    assert spread_leaders(begun) == {}
    gathered = preferring(begun, gathered_leaders(begun, ME))
    for info in gathered.partitions:
        assert (info.preferred_leader == ME) == (ME in info.replicas)
    assert gathered_leaders(gathered, ME) == {}
    again = preferring(gathered, spread_leaders(gathered))
    assert sorted(Counter(info.preferred_leader for info in again.partitions).values()) == sorted(
        Counter(info.preferred_leader for info in begun.partitions).values()
    )
    assert [set(info.replicas) for info in again.partitions] == [
        set(info.replicas) for info in begun.partitions
    ]


# Before a stop.


def test_a_stopping_node_spreads_what_it_leads_over_those_that_caught_up() -> None:
    ready = led_replica({2: 5, 3: 0})
    leads = {GroupId(number): ready for number in range(6)}
    targets = drain_targets(ME, leads)
    assert [group for group, _ in targets] == [0, 1, 2, 3, 4, 5]
    assert targets[0] == (META_GROUP, 3)  # the closest behind
    assert Counter(to for _, to in targets) == {2: 3, 3: 3}


def test_what_nobody_can_take_over_is_left_out() -> None:
    leads = {
        PartitionId(0): led_replica({2: 11, 3: 10}),
        PartitionId(1): led_replica({2: 11, 3: 11}),
        PartitionId(2): led_replica({}),
        PartitionId(3): led_replica({1: 0}),
    }
    assert drain_targets(ME, leads, lag_max=10) == [(0, 3)]


def test_a_node_that_leads_nothing_has_nothing_to_hand_over() -> None:
    nothing: dict[PartitionId, LedReplica] = {}
    assert drain_targets(ME, nothing) == []
    assert leaders_to_hand_over(map_of(), ME, nothing) == []


@settings(deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 9).map(GroupId),
        st.dictionaries(replica_ids, st.integers(0, 20), max_size=3).map(LedReplica),
    )
)
def test_targets_are_always_others_that_caught_up(leads: dict[GroupId, LedReplica]) -> None:
    targets = drain_targets(ME, leads, lag_max=10)
    for group, to in targets:
        assert to != ME
        assert leads[group].lags[to] <= 10
    able = {
        group
        for group, led in leads.items()
        if any(lag <= 10 for replica, lag in led.lags.items() if replica != ME)
    }
    assert {group for group, _ in targets} == able
