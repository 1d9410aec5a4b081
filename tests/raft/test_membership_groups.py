"""Membership changes of whole groups (dissertation chapter 4): what no replica shows alone."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.ids import ReplicaId
from cluster.raft import AppendRequest, Configuration, EntryKind, Message, Role, TimeoutNow
from tests.raft.harness import Cluster
from tests.raft.solo import ME, THREE, TWO, configuration, members


def settled(cluster: Cluster, group: Configuration) -> bool:
    """Whether the group has changed to `group`, for certain."""
    return cluster.checker.configurations[-1][1] == group


def change(cluster: Cluster, voters: Iterable[int], learners: Iterable[int] = ()) -> None:
    """Asked for until 1 takes it: a quiet group has to hear its members first."""
    cluster.run_until(lambda: cluster.change(1, tuple(voters), tuple(learners)), ticks_max=10)


def with_learners(count: int, size: int = 3) -> Cluster:
    """Led by 1, with learners that have caught up."""
    cluster = Cluster(size)
    cluster.elect(1)
    joined = [cluster.join() for _ in range(count)]
    assert cluster.change(1, range(1, size + 1), joined)
    cluster.run_until(lambda: cluster.all_applied(2), ticks_max=20)
    return cluster


def test_a_replica_whose_data_were_lost_comes_back_under_another_id() -> None:
    """Under its own it would vote twice in a term, and deny what it had acknowledged."""
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.propose(1, b"x")
    cluster.run(5)
    cluster.destroy(THREE)
    new = cluster.join()
    cluster.wake(1)
    cluster.run(5)
    assert cluster.change(1, (1, 2), (new,))
    cluster.run_until(lambda: settled(cluster, members((1, 2), (), (new,))), ticks_max=20)
    cluster.run(5)
    change(cluster, (1, 2, new))
    cluster.run_until(lambda: settled(cluster, members((1, 2, new))), ticks_max=20)
    cluster.run_until(cluster.all_quiet)
    cluster.destroy(TWO)
    last = cluster.propose(1, b"y")
    cluster.run(5)
    assert cluster.raft(1).commit == last


def test_a_change_that_its_leader_began_is_completed_by_the_next() -> None:
    """The leader dies between the two entries of joint consensus: nobody has to ask again."""
    cluster = with_learners(1)
    sent: list[Message] = []

    def drop(message: Message) -> bool:
        is_leaving = isinstance(message, AppendRequest) and any(
            entry.kind is EntryKind.MEMBERSHIP and entry.index == 4 for entry in message.entries
        )
        if is_leaving and message.sender == ME:
            sent.append(message)
        return is_leaving and message.sender == ME

    cluster.drop = drop
    change(cluster, (1, 2, 4))
    cluster.run_until(lambda: bool(sent), ticks_max=20)
    cluster.crash(ME)
    cluster.run_until(lambda: cluster.led_by(2, 3, 4))
    cluster.run_until(lambda: settled(cluster, members((1, 2, 4))), ticks_max=50)
    cluster.start(ME)
    cluster.run(50)
    assert cluster.raft(1).configuration == members((1, 2, 4))


def test_a_change_that_reached_nobody_is_as_if_it_had_never_been() -> None:
    cluster = with_learners(1)
    cluster.run_until(cluster.all_quiet)
    cluster.wake(1)
    cluster.run(2)
    cluster.cut(1)
    assert cluster.change(1, (1, 4))
    assert cluster.raft(1).configuration == members((1, 4), (1, 2, 3))
    cluster.run_until(lambda: cluster.led_by(2, 3))
    cluster.propose(cluster.leader_id(), b"x")
    cluster.run(5)
    cluster.heal()
    cluster.run_until(cluster.all_quiet)
    assert cluster.raft(1).configuration == members((1, 2, 3), (), (4,))


def test_neither_side_of_a_joint_group_that_is_split_elects_or_commits() -> None:
    """With the old voters on one side and the new ones on the other, each would have a majority of
    its own (4.3)."""
    cluster = with_learners(3)
    change(cluster, (4, 5, 6))
    cluster.cut(4, 5, 6)
    for replica in (4, 5, 6):
        cluster.wake(replica, silent_ticks=20)
    commit = cluster.raft(1).commit
    cluster.propose(1, b"x")
    cluster.run(100)
    assert not cluster.has_leader()
    assert {cluster.raft(i).commit for i in range(1, 7)} == {commit}
    cluster.heal()
    cluster.run_until(cluster.has_leader)
    cluster.run_until(lambda: not cluster.leader.configuration.is_joint)


def test_a_removed_leader_is_replaced_without_an_election_timeout() -> None:
    cluster = Cluster(3)
    old = cluster.elect(1)
    cluster.propose(1, b"x")
    cluster.run(1)
    assert cluster.change(1, (2, 3))
    cluster.run(4)
    assert (old.role, cluster.led_by(2, 3)) == (Role.FOLLOWER, True)
    sent = cluster.sent
    cluster.run_until(lambda: cluster.raft(2).is_quiet and cluster.raft(3).is_quiet, ticks_max=20)
    sent = cluster.sent
    cluster.run(200)
    assert cluster.sent == sent, "whoever was removed is silent"
    assert old.is_quiet


def test_a_removed_replica_that_does_not_know_disturbs_nobody_for_long() -> None:
    """It has not got the entry that removes it, and campaigns: pre-votes are refused (4.2.3)."""
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.cut(3)
    cluster.propose(1, b"x")
    cluster.run(1)
    assert cluster.change(1, (1, 2))
    cluster.run_until(lambda: settled(cluster, configuration(2)))
    term = leader.term
    cluster.wake(3, silent_ticks=20)
    cluster.run(20)
    cluster.heal()
    for _ in range(100):
        cluster.propose(1, b"x")
        cluster.run(1)
    assert (leader.role, leader.term) == (Role.LEADER, term)
    assert cluster.raft(3).term == term


def test_only_the_removed_replica_can_win_and_it_does() -> None:
    """Its log alone ends with the entry that removes it, and the old majority needs its vote:
    nobody could be elected if it did not campaign (4.2.2)."""
    cluster = with_learners(2)
    cluster.transfer(1, 3)
    cluster.run_until(lambda: cluster.led_by(3), ticks_max=20)
    cluster.run(4)
    removing = cluster.raft(3).last_index + 2
    told: list[int] = []

    def drop(message: Message) -> bool:
        is_leaving = isinstance(message, AppendRequest) and any(
            entry.index == removing for entry in message.entries
        )
        if is_leaving:
            told.append(message.to)
        return is_leaving

    cluster.drop = drop
    cluster.propose(3, b"x")
    cluster.run(1)
    removing = cluster.raft(3).last_index + 2
    assert cluster.change(3, (1, 4, 5))
    cluster.run_until(lambda: bool(told), ticks_max=20)
    assert cluster.raft(3).configuration == members((1, 4, 5))
    cluster.run(1)
    cluster.crash(THREE)
    cluster.crash(TWO)
    cluster.crash(ReplicaId(5))
    cluster.drop = lambda message: False
    cluster.start(THREE)
    for replica in (1, 4):
        assert cluster.raft(replica).configuration == members((1, 4, 5), (1, 2, 3))
    cluster.run_until(lambda: settled(cluster, members((1, 4, 5))), ticks_max=300)
    cluster.run_until(lambda: cluster.led_by(1, 4), ticks_max=100)


def test_a_longer_log_and_a_higher_term_do_not_block_each_other_under_joint_consensus() -> None:
    """Pre-vote deadlock: 2 has the higher term, and 1 the longer log. Without 3, who is down, and
    with both majorities needed, each has to have the other's vote."""
    cluster = with_learners(1)
    change(cluster, (1, 2, 3, 4))
    cluster.run_until(lambda: settled(cluster, configuration(4)))
    cluster.cut(2)
    assert cluster.change(1, (1, 2, 4))
    cluster.run(1)
    cluster.crash(THREE)
    cluster.raft(2).step(TimeoutNow(ME, TWO, cluster.raft(1).term))
    cluster.run(50)
    assert cluster.raft(2).term > cluster.raft(1).term
    assert cluster.raft(2).last_index < cluster.raft(1).last_index
    cluster.heal()
    cluster.run_until(lambda: cluster.led_by(1, 4), ticks_max=200)
    cluster.run_until(lambda: settled(cluster, members((1, 2, 4))), ticks_max=50)
