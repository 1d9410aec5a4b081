"""Quiet groups: what stops, what wakes them, and that nobody is left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.ids import ReplicaId
from cluster.raft import (
    AppendRequest,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    ProgressState,
    Role,
    VoteRequest,
    VoteResponse,
)
from tests.raft.harness import Cluster
from tests.raft.solo import ME, THREE, TWO, Solo, only


def idle_leader() -> Solo:
    """A leader whose group could fall quiet with its next heartbeat."""
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    return solo


def quiet_leader() -> Solo:
    solo = idle_leader()
    solo.tick(solo.config.heartbeat_ticks)
    assert solo.raft.is_quiet
    return solo


def quiet_follower(commit: int = 2) -> Solo:
    solo = Solo(terms=[1, 1])
    solo.step(solo.heartbeat(term=1, commit=commit, fall_quiet=True))
    return solo


def test_an_idle_leader_says_so_in_its_last_heartbeat() -> None:
    solo = idle_leader()
    beats = only(HeartbeatRequest, solo.tick(solo.config.heartbeat_ticks))
    assert [(m.to, m.commit, m.fall_quiet) for m in beats] == [(TWO, 1, True), (THREE, 1, True)]
    assert solo.raft.is_quiet
    assert solo.tick(1000) == []
    assert (solo.raft.role, solo.raft.has_ready) == (Role.LEADER, False)


def unacknowledged(solo: Solo) -> None:
    solo.step(solo.accepts(solo.raft.propose(b"x")))


def unheard(solo: Solo) -> None:
    """Replica 3 has all, but was not heard for long."""
    solo.raft.read_index(1)
    for _ in range(20):
        solo.tick()
        solo.step(solo.beats(TWO))
    solo.step(solo.beats(TWO, 1))


def unapplied(solo: Solo) -> None:
    last = solo.raft.propose(b"x")
    solo.raft.on_persisted(solo.take().number)
    solo.raft.step(solo.accepts(last))
    solo.raft.step(solo.accepts(last, THREE))
    solo.take()


def unpersisted(solo: Solo) -> None:
    last = solo.raft.propose(b"x")
    solo.take()
    solo.raft.step(solo.accepts(last))
    solo.raft.step(solo.accepts(last, THREE))


def reading(solo: Solo) -> None:
    solo.raft.read_index(1)


def read_not_handed_out(solo: Solo) -> None:
    solo.raft.read_index(1)
    solo.settle()
    solo.raft.step(solo.beats(TWO, 1))


def transferring(solo: Solo) -> None:
    solo.raft.transfer_leadership(TWO)


@pytest.mark.parametrize(
    "busy",
    [unacknowledged, unheard, unapplied, unpersisted, reading, read_not_handed_out, transferring],
)
def test_a_leader_with_something_to_do_does_not_fall_quiet(busy: Callable[[Solo], None]) -> None:
    solo = idle_leader()
    busy(solo)
    for _ in range(solo.config.heartbeat_ticks):
        solo.raft.tick()
    assert not solo.raft.is_quiet
    beats = only(HeartbeatRequest, solo.take().messages)
    assert [m.fall_quiet for m in beats] == [False, False]


def test_work_between_the_decision_and_the_bundle_takes_it_back() -> None:
    solo = idle_leader()
    for _ in range(solo.config.heartbeat_ticks):
        solo.raft.tick()
    assert solo.raft.is_quiet
    solo.raft.propose(b"x")
    beats = only(HeartbeatRequest, solo.settle())
    assert [m.fall_quiet for m in beats] == [False, False]


@pytest.mark.parametrize(
    "wake",
    [
        lambda raft: raft.propose(b"x"),
        lambda raft: raft.read_index(1),
        lambda raft: raft.transfer_leadership(TWO),
        lambda raft: raft.wake(),
        lambda raft: raft.step(Solo().vote_request(term=2, pre_vote=True)),
        lambda raft: raft.step(Solo(term=1).accepts(1)),
    ],
)
def test_a_quiet_leader_wakes_beats_soon_and_does_not_step_down_at_once(
    wake: Callable[..., object],
) -> None:
    solo = quiet_leader()
    wake(solo.raft)
    assert not solo.raft.is_quiet
    solo.settle()
    assert len(only(HeartbeatRequest, solo.tick())) == 2
    solo.tick(solo.config.election_ticks_min - 2)
    assert solo.raft.role is Role.LEADER


def test_a_woken_leader_that_hears_nobody_steps_down_in_time() -> None:
    solo = quiet_leader()
    solo.raft.wake()
    solo.tick(solo.config.election_ticks_min + solo.config.heartbeat_ticks)
    assert solo.raft.role is not Role.LEADER


def test_a_woken_leader_falls_quiet_again_only_when_all_have_answered() -> None:
    solo = quiet_leader()
    solo.raft.wake()
    solo.tick(4)
    solo.step(solo.beats(TWO))
    solo.tick(4)
    assert not solo.raft.is_quiet
    solo.step(solo.beats(THREE))
    solo.tick(2)
    assert solo.raft.is_quiet


@pytest.mark.parametrize("read_round", [0, 3])
def test_an_answer_to_a_heartbeat_does_not_wake_a_quiet_leader(read_round: int) -> None:
    solo = quiet_leader()
    assert solo.step(solo.beats(TWO, read_round)) == []
    assert solo.raft.is_quiet


def test_waking_one_who_is_awake_changes_nothing() -> None:
    solo = idle_leader()
    for _ in range(40):
        solo.raft.wake()
        solo.tick()
    assert solo.raft.role is not Role.LEADER, "check-quorum still works"


def test_a_replica_alone_falls_quiet_and_wakes() -> None:
    solo = Solo(1)
    solo.tick(5)
    assert (solo.raft.is_quiet, solo.raft.has_ready) == (True, False)
    index = solo.raft.propose(b"x")
    assert (solo.raft.is_quiet, solo.raft.has_ready) == (False, True)
    solo.settle()
    assert solo.raft.applied == index
    solo.tick(5)
    assert solo.raft.is_quiet


def test_a_follower_that_has_all_falls_quiet_without_an_answer() -> None:
    solo = quiet_follower()
    assert (solo.raft.is_quiet, solo.raft.commit) == (True, 2)
    solo.settle()
    assert solo.tick(1000) == []
    assert (solo.raft.role, solo.raft.leader) == (Role.FOLLOWER, TWO)


def test_a_follower_that_has_more_answers_and_goes_on() -> None:
    """The heartbeat is a late one: the leader has long gone on."""
    solo = Solo(terms=[1, 1, 1], term=1)
    sent = solo.step(solo.heartbeat(term=1, commit=2, fall_quiet=True))
    assert len(only(HeartbeatResponse, sent)) == 1
    assert (solo.raft.is_quiet, solo.raft.commit) == (False, 2)


def test_a_follower_that_does_not_know_its_log_to_match_does_not_fall_quiet() -> None:
    solo = Solo(terms=[1, 1], term=2)
    sent = solo.step(solo.heartbeat(term=2, commit=2, fall_quiet=True))
    assert (solo.raft.is_quiet, solo.raft.commit) == (False, 0)
    assert len(only(HeartbeatResponse, sent)) == 1


def test_a_leader_of_an_older_term_quiets_nobody() -> None:
    solo = Solo(terms=[1, 1], term=2, commit=2, applied=2)
    solo.step(solo.heartbeat(term=1, commit=2, fall_quiet=True))
    assert not solo.raft.is_quiet


@pytest.mark.parametrize(
    "message",
    [
        Solo().heartbeat(term=1, commit=2),
        Solo().append(term=1, prev=(2, 1)),
        Solo().vote_request(THREE, term=2, last=(2, 1), pre_vote=True),
        Solo().vote_request(THREE, term=1),
    ],
)
def test_any_other_message_wakes_a_follower(message: Message) -> None:
    solo = quiet_follower()
    solo.step(message)
    assert not solo.raft.is_quiet
    assert solo.raft.leader == TWO


def test_a_repeated_last_heartbeat_leaves_a_follower_quiet() -> None:
    solo = quiet_follower()
    assert (
        only(HeartbeatResponse, solo.step(solo.heartbeat(term=1, commit=2, fall_quiet=True))) == []
    )
    assert solo.raft.is_quiet


def test_a_follower_that_slept_still_protects_its_leader() -> None:
    solo = quiet_follower()
    solo.tick(1000)
    (answer,) = only(VoteResponse, solo.step(solo.vote_request(THREE, term=2, pre_vote=True)))
    assert not answer.granted


def test_a_follower_told_of_its_leaders_silence_helps_and_campaigns() -> None:
    config = quiet_follower().config
    solo = quiet_follower()
    solo.raft.wake(config.election_ticks_min)
    (answer,) = only(
        VoteResponse,
        solo.step(solo.vote_request(THREE, term=2, last=(2, 1), pre_vote=True)),
    )
    assert answer.granted
    other = quiet_follower()
    other.settle()
    other.raft.wake(config.election_ticks_max)
    assert len(only(VoteRequest, other.tick())) == 2


def test_silence_never_shortens_what_a_follower_saw_itself() -> None:
    solo = Solo(term=1)
    solo.step(solo.heartbeat(term=1))
    while solo.raft.role is Role.FOLLOWER:
        solo.raft.wake(1)
        solo.tick()


# Whole groups


def test_an_idle_group_falls_quiet_and_says_nothing() -> None:
    for size in (1, 2, 3, 5):
        cluster = Cluster(size)
        cluster.elect(1)
        cluster.run_until(cluster.all_quiet, ticks_max=20)
        sent = cluster.sent
        cluster.run(300)
        assert cluster.sent == sent


def test_a_quiet_group_takes_a_proposal_to_all_and_falls_quiet_again() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.run_until(cluster.all_quiet)
    index = cluster.propose(1, b"x")
    assert index is not None
    cluster.run_until(lambda: cluster.all_applied(index), ticks_max=5)
    cluster.run_until(cluster.all_quiet, ticks_max=10)


def test_a_follower_that_missed_the_last_heartbeat_wakes_the_leader_and_disturbs_nobody() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.drop = lambda m: isinstance(m, HeartbeatRequest) and m.fall_quiet and m.to == THREE
    cluster.wake(1)
    cluster.run_until(lambda: leader.is_quiet)
    assert not cluster.raft(3).is_quiet
    cluster.drop = lambda m: False
    cluster.run_until(lambda: not leader.is_quiet)
    cluster.run_until(cluster.all_quiet, ticks_max=60)
    assert (leader.role, leader.term) == (Role.LEADER, 1)


def test_a_quiet_group_whose_leaders_node_is_gone_elects_another() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.run_until(cluster.all_quiet)
    cluster.crash(ME)
    cluster.run(100)
    assert not cluster.leaders
    for replica in (2, 3):
        cluster.wake(replica, silent_ticks=cluster.config.election_ticks_min)
    cluster.run_until(lambda: cluster.led_by(2, 3), ticks_max=60)


def test_a_group_with_a_replica_down_stays_awake() -> None:
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.crash(THREE)
    cluster.wake(1)
    cluster.run(100)
    assert not leader.is_quiet
    assert leader.role is Role.LEADER
    cluster.start(ReplicaId(3))
    cluster.run_until(cluster.all_quiet, ticks_max=40)


def test_status_tells_who_lags() -> None:
    solo = idle_leader()
    solo.raft.propose(b"x")
    assert len(only(AppendRequest, solo.settle())) == 2
    solo.step(solo.accepts(2))
    (two, three) = solo.raft.status().peers
    assert (two.replica, two.match, two.lag, two.active, two.state) == (
        2,
        2,
        0,
        True,
        ProgressState.REPLICATE,
    )
    assert (three.match, three.lag) == (1, 1)
    assert Solo().raft.status().peers == ()
