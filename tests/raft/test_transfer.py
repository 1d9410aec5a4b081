"""Handing leadership over (dissertation 3.10)."""

from __future__ import annotations

import pytest

from cluster.errors import NotLeader, TransferInProgress
from cluster.ids import ReplicaId
from cluster.raft import AppendRequest, HeartbeatRequest, Role, TimeoutNow, VoteRequest
from tests.raft.harness import Cluster
from tests.raft.solo import ME, THREE, TWO, Solo, only


def leader() -> Solo:
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    return solo


def test_a_target_that_has_all_is_told_at_once() -> None:
    solo = leader()
    solo.raft.transfer_leadership(TWO)
    assert solo.settle() == [TimeoutNow(ME, TWO, solo.raft.term)]


def test_a_target_is_told_once_it_has_all() -> None:
    solo = leader()
    solo.raft.propose(b"x")
    last = solo.raft.propose(b"y")
    solo.raft.transfer_leadership(TWO)
    sent = solo.settle()
    assert only(TimeoutNow, sent) == []
    assert len(only(AppendRequest, sent, TWO)) == 1
    assert only(TimeoutNow, solo.step(solo.accepts(last, THREE))) == []
    assert only(TimeoutNow, solo.step(solo.accepts(last - 1))) == []
    assert only(TimeoutNow, solo.step(solo.accepts(last))) == [TimeoutNow(ME, TWO, solo.raft.term)]
    assert only(TimeoutNow, solo.step(solo.accepts(last))) == [], "told once"


def test_no_proposals_are_taken_meanwhile_and_reads_are() -> None:
    solo = leader()
    last = solo.raft.last_index
    solo.raft.transfer_leadership(TWO)
    assert solo.raft.status().transfer_to == TWO
    with pytest.raises(TransferInProgress, match="handed to replica 2"):
        solo.raft.propose(b"x")
    assert solo.raft.last_index == last
    solo.raft.read_index(1)
    sent = solo.settle()
    assert [m.read_round for m in only(HeartbeatRequest, sent)] == [1, 1], "not from a lease"
    assert all(not bundle.read_states for bundle in solo.bundles)


def test_a_transfer_is_given_up_after_an_election_timeout() -> None:
    solo = leader()
    solo.raft.transfer_leadership(TWO)
    for _ in range(solo.config.election_ticks_min):
        with pytest.raises(TransferInProgress):
            solo.raft.propose(b"x")
        solo.tick()
        solo.step(solo.beats(TWO))
    assert solo.raft.status().transfer_to is None
    solo.raft.propose(b"x")


def test_a_transfer_to_another_is_refused_meanwhile_and_to_the_same_is_nothing_new() -> None:
    solo = leader()
    solo.raft.transfer_leadership(TWO)
    solo.settle()
    solo.raft.transfer_leadership(TWO)
    assert solo.settle() == []
    with pytest.raises(TransferInProgress):
        solo.raft.transfer_leadership(THREE)


def test_a_transfer_to_oneself_is_done_already() -> None:
    solo = leader()
    solo.raft.transfer_leadership(ME)
    assert solo.raft.status().transfer_to is None
    solo.raft.propose(b"x")


def test_a_transfer_to_a_stranger_is_refused() -> None:
    solo = leader()
    with pytest.raises(ValueError, match="replica 9 is not a voter"):
        solo.raft.transfer_leadership(ReplicaId(9))


def test_only_a_leader_hands_over() -> None:
    with pytest.raises(NotLeader):
        Solo().raft.transfer_leadership(TWO)


def test_the_target_campaigns_at_once_without_a_pre_vote() -> None:
    solo = Solo(terms=[1], term=3)
    solo.step(solo.heartbeat(term=3))
    sent = solo.step(TimeoutNow(TWO, ME, solo.raft.term))
    assert (solo.raft.role, solo.raft.term) == (Role.CANDIDATE, 4)
    assert [(m.pre_vote, m.handover) for m in only(VoteRequest, sent)] == [(False, True)] * 2


def test_a_target_that_does_not_win_asks_as_usual_the_next_time() -> None:
    solo = Solo(terms=[1], term=3)
    solo.step(TimeoutNow(TWO, ME, solo.raft.term))
    sent = solo.tick_until(Role.PRE_CANDIDATE)
    assert [(m.pre_vote, m.handover) for m in only(VoteRequest, sent)] == [(True, False)] * 2


def test_a_group_that_is_quiet_hands_over() -> None:
    cluster = Cluster(3)
    old = cluster.elect(1)
    cluster.run_until(cluster.all_quiet)
    cluster.transfer(1, 3)
    assert not old.is_quiet
    cluster.run(2)
    assert cluster.led_by(3)
    assert (old.role, old.leader) == (Role.FOLLOWER, 3)
    cluster.run_until(cluster.all_quiet)


def test_a_target_that_is_cut_off_does_not_stop_the_group() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.cut(3)
    cluster.transfer(1, 3)
    assert cluster.propose(1, b"x") is None
    cluster.run(cluster.config.election_ticks_min)
    assert cluster.propose(1, b"x") is not None
    cluster.run(2)
    assert cluster.led_by(1)


def test_a_leader_that_is_asked_to_step_down_leaves_its_term_to_who_has_most() -> None:
    solo = leader()
    last = solo.raft.propose(b"x")
    solo.settle()
    solo.step(solo.accepts(last, THREE))
    term = solo.raft.term
    solo.raft.step_down()
    assert only(TimeoutNow, solo.settle()) == [TimeoutNow(ME, THREE, term)]
    assert solo.raft.role is Role.FOLLOWER
    assert (solo.raft.term, solo.raft.leader) == (term, None)
    solo.raft.step_down()
    assert solo.settle() == [], "who does not lead has nothing to leave"
