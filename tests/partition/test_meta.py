"""The meta group's state machine: total, deterministic, one epoch per change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.ids import PartitionId, ReplicaId
from cluster.partition.map import ClusterMap
from cluster.partition.meta import (
    BootstrapCluster,
    Effect,
    MetaCommand,
    SetPreferredLeaders,
    apply,
)
from tests.partition.maps import map_of, maps, partition_ids, replica_ids

commands: st.SearchStrategy[MetaCommand] = st.one_of(
    st.builds(BootstrapCluster, maps),
    st.builds(BootstrapCluster, maps.map(lambda cluster_map: replace(cluster_map, epoch=2))),
    st.builds(SetPreferredLeaders, st.dictionaries(partition_ids, replica_ids, max_size=3)),
)


def leaders(*pairs: tuple[int, int]) -> SetPreferredLeaders:
    return SetPreferredLeaders(
        {PartitionId(partition): ReplicaId(replica) for partition, replica in pairs}
    )


def test_the_first_bootstrap_begins_the_cluster() -> None:
    first = map_of(cluster_id="c-1")
    result = apply(None, BootstrapCluster(first))
    assert (result.state, result.effect, result.reason) == (first, Effect.CHANGED, "")


def test_a_later_bootstrap_changes_nothing() -> None:
    state = map_of(cluster_id="c-1")
    again = apply(state, BootstrapCluster(state))
    assert (again.state, again.effect) == (state, Effect.UNCHANGED)
    other = apply(state, BootstrapCluster(map_of(cluster_id="c-2")))
    assert (other.state, other.effect) == (state, Effect.REFUSED)
    assert "c-1 has already begun" in other.reason


def test_a_cluster_begins_with_epoch_one() -> None:
    result = apply(None, BootstrapCluster(replace(map_of(), epoch=2)))
    assert (result.state, result.effect) == (None, Effect.REFUSED)
    assert "epoch 2" in result.reason


def test_a_preferred_leader_is_moved_to_the_head_and_the_others_keep_their_order() -> None:
    state = map_of(5, 8, 5)
    before = state.replicas_of(PartitionId(3))
    result = apply(state, leaders((3, before[3])))
    assert result.effect is Effect.CHANGED
    assert result.state is not None
    assert result.state.epoch == 2
    after = result.state.replicas_of(PartitionId(3))
    assert after == (before[3], before[0], before[1], before[2], before[4])
    rest = [info for info in state.partitions if info.partition != 3]
    assert [info for info in result.state.partitions if info.partition != 3] == rest


def test_all_leadership_can_be_gathered_on_one_node_in_one_epoch() -> None:
    state = map_of(3, 16)
    result = apply(state, leaders(*((number, 2) for number in range(16))))
    assert result.state is not None
    assert {info.preferred_leader for info in result.state.partitions} == {2}
    assert result.state.epoch == state.epoch + 1


@pytest.mark.parametrize(
    ("pairs", "effect", "reason"),
    [
        ([], Effect.UNCHANGED, "already"),
        ([(0, 3)], Effect.UNCHANGED, "already"),
        ([(0, 9)], Effect.REFUSED, "replica 9 does not hold partition 0; 3, 2, 1 do"),
        ([(1, 3), (16, 1)], Effect.REFUSED, "there is no partition 16; there are 16"),
        ([(1, 3), (-1, 1)], Effect.REFUSED, "there is no partition -1"),
    ],
)
def test_what_cannot_be_done_changes_nothing_and_says_why(
    pairs: list[tuple[int, int]], effect: Effect, reason: str
) -> None:
    state = map_of(3, 16)
    result = apply(state, leaders(*pairs))
    assert result.state is state
    assert result.effect is effect
    assert reason in result.reason


def test_before_the_cluster_begins_there_are_no_leaders_to_prefer() -> None:
    result = apply(None, leaders((0, 1)))
    assert (result.state, result.effect) == (None, Effect.REFUSED)
    assert "has not begun" in result.reason


@settings(deadline=None, max_examples=60)
@given(st.lists(commands, max_size=8))
def test_the_epoch_grows_by_one_exactly_when_something_changes(history: list[MetaCommand]) -> None:
    state: ClusterMap | None = None
    for command in history:
        result = apply(state, command)
        assert apply(state, command) == result
        if result.effect is Effect.CHANGED:
            assert result.state is not None
            assert result.state != state
            assert result.state.epoch == (state.epoch if state else 0) + 1
            assert result.reason == ""
        else:
            assert result.state is state
            assert result.reason
        if state is not None and result.state is not None:
            assert result.state.cluster_id == state.cluster_id
            assert [sorted(info.replicas) for info in result.state.partitions] == [
                sorted(info.replicas) for info in state.partitions
            ]
        state = result.state
