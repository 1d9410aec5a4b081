"""The meta group's state machine: total, deterministic, one epoch per change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, PartitionInfo
from cluster.partition.meta import (
    BootstrapCluster,
    Effect,
    MetaCommand,
    RecordLives,
    ReplaceReplica,
    SetPreferredLeaders,
    apply,
)
from tests.partition.maps import map_of, maps, node_ids, partition_ids, replica_ids

commands: st.SearchStrategy[MetaCommand] = st.one_of(
    st.builds(BootstrapCluster, maps),
    st.builds(BootstrapCluster, maps.map(lambda cluster_map: replace(cluster_map, epoch=2))),
    st.builds(SetPreferredLeaders, st.dictionaries(partition_ids, replica_ids, max_size=3)),
    st.builds(RecordLives, st.dictionaries(replica_ids, st.integers(0, 3), max_size=2)),
    st.builds(ReplaceReplica, node_ids, replica_ids, st.integers(0, 9)),
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
            assert result.state.next_replica >= state.next_replica
            assert_the_same_nodes_hold_the_same(state, result.state)
        state = result.state


def assert_the_same_nodes_hold_the_same(before: ClusterMap, after: ClusterMap) -> None:
    """Whatever their replica ids are."""
    assert {node.node_id: node.address for node in before.nodes} == {
        node.node_id: node.address for node in after.nodes
    }
    for was, is_ in zip(before.partitions, after.partitions, strict=True):
        assert holders(before, was) == holders(after, is_)
        assert was.founders == is_.founders


def holders(cluster_map: ClusterMap, info: PartitionInfo) -> set[NodeId]:
    return {node.node_id for node in map(cluster_map.replica, info.replicas) if node is not None}


# Lives


def applied(state: ClusterMap, *commands: MetaCommand) -> ClusterMap:
    """The state after `commands`, each of which changes it."""
    for command in commands:
        result = apply(state, command)
        assert result.effect is Effect.CHANGED
        assert result.state is not None
        state = result.state
    return state


N2 = NodeId("n2")
TWO = ReplicaId(2)


def test_lives_are_recorded_once_and_for_good() -> None:
    state = applied(map_of(3, 4), RecordLives({TWO: 22}))
    assert [node.life for node in state.nodes] == [0, 22, 0]
    assert apply(state, RecordLives({TWO: 22})).effect is Effect.UNCHANGED
    for lives in ({TWO: 23}, {ReplicaId(9): 1}, {ReplicaId(3): 0}):
        refused = apply(state, RecordLives({ReplicaId(1): 11, **lives}))
        assert (refused.state, refused.effect) == (state, Effect.REFUSED)
    state = applied(state, RecordLives({ReplicaId(1): 11, TWO: 22}))
    assert [node.life for node in state.nodes] == [11, 22, 0]


def test_a_new_life_takes_the_place_of_the_old_one_under_a_new_id() -> None:
    before = map_of(3, 16)
    after = applied(before, ReplaceReplica(N2, TWO, 44))
    assert [(node.replica, node.node_id, node.life) for node in after.nodes] == [
        (1, "n1", 0),
        (3, "n3", 0),
        (4, "n2", 44),
    ]
    new_ids = {1: 1, 2: 4, 3: 3}
    for was, is_ in zip(before.partitions, after.partitions, strict=True):
        assert is_.replicas == tuple(new_ids[replica] for replica in was.replicas)
        assert is_.founders == was.replicas
    assert (after.epoch, after.next_replica) == (2, 5)
    assert after.has_replaced(TWO)
    assert not before.has_replaced(ReplicaId(4))


def test_no_id_is_ever_given_twice() -> None:
    state = map_of(3, 1)
    given = [1, 2, 3]
    for life in range(100, 110):
        node = state.node(N2)
        assert node is not None
        state = applied(state, ReplaceReplica(N2, node.replica, life))
        given.append(state.nodes[-1].replica)
    assert given == list(range(1, 14))


def test_a_place_that_was_given_is_not_given_again() -> None:
    state = applied(map_of(3, 4), ReplaceReplica(N2, TWO, 44))
    again = apply(state, ReplaceReplica(N2, TWO, 44))
    assert (again.state, again.effect) == (state, Effect.UNCHANGED)
    other = apply(state, ReplaceReplica(N2, TWO, 45))
    assert (other.state, other.effect) == (state, Effect.REFUSED)
    assert "node n2 is replica 4 by now" in other.reason


@pytest.mark.parametrize(
    ("nodes", "replication_factor", "reason"),
    [
        (1, 1, "the cluster has 1 nodes: without this one there is no majority"),
        (2, 2, "the cluster has 2 nodes: without this one there is no majority"),
        (3, 1, "has 1 replicas: what this node has of it may be the last copy"),
        (5, 2, "has 2 replicas: what this node has of it may be the last copy"),
        (3, 3, ""),
        (5, 3, ""),
        (4, 4, ""),
    ],
)
def test_the_last_copy_is_not_given_up(nodes: int, replication_factor: int, reason: str) -> None:
    state = map_of(nodes, 16, replication_factor)
    result = apply(state, ReplaceReplica(NodeId("n1"), ReplicaId(1), 11))
    assert result.effect is (Effect.REFUSED if reason else Effect.CHANGED)
    assert reason in result.reason


@pytest.mark.parametrize("command", [RecordLives({TWO: 1}), ReplaceReplica(N2, TWO, 1)])
def test_before_the_cluster_begins_there_are_no_lives(command: MetaCommand) -> None:
    assert apply(None, command).effect is Effect.REFUSED


def test_nobody_but_a_node_of_the_cluster_is_given_a_place() -> None:
    result = apply(map_of(3, 1), ReplaceReplica(NodeId("n9"), TWO, 1))
    assert result.effect is Effect.REFUSED
    assert "no node n9" in result.reason
