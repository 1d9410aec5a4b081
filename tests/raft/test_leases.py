"""Lease reads (dissertation 6.4.1): when a leader may answer alone, and what voters owe it."""

from __future__ import annotations

import pytest

from cluster.errors import InvariantViolation
from cluster.ids import ReplicaId, Term
from cluster.raft import (
    HeartbeatRequest,
    LeaseConfig,
    RaftConfig,
    ReadState,
    Role,
    TimeoutNow,
    TooManyReads,
    VoteRequest,
    VoteResponse,
)
from cluster.raft.lease import Lease, Protection
from tests.raft.harness import Cluster
from tests.raft.solo import (
    FOUR,
    ME,
    THREE,
    TICK_US,
    TWO,
    Solo,
    change,
    configuration,
    members,
    only,
    replicas,
)

CONFIG = RaftConfig(lease=LeaseConfig(tick_us=TICK_US, drift_ppm=100_000))
PROTECTION_US = 12 * TICK_US
LEASE_US = PROTECTION_US * 9 // 11


def leader(size: int = 3, *, learners: tuple[int, ...] = ()) -> Solo:
    """Leads, has committed, and has no lease yet. It has more to do: its group is not quiet."""
    group = members(range(1, size + 1), (), learners)
    solo = Solo(group=group, config=CONFIG)
    solo.lead(caught_up=(TWO, THREE))
    solo.raft.propose(b"under way")
    solo.settle()
    return solo


def beat(solo: Solo) -> int:
    """The round of the heartbeats that go out next."""
    (heartbeat, *_) = only(HeartbeatRequest, solo.tick(2))
    return heartbeat.read_round


def leased(size: int = 3, **kwargs: tuple[int, ...]) -> Solo:
    """Leads, with a lease that began now."""
    solo = leader(size, **kwargs)
    number = beat(solo)
    for peer in (TWO, THREE):
        solo.step(solo.beats(peer, number))
    return solo


def reads_at_once(solo: Solo, context: int = 77) -> bool:
    """Whether a read that comes in now is served without asking anybody."""
    solo.raft.read_index(context, solo.now_us)
    since = len(solo.bundles)
    solo.settle()
    served = [read.context for bundle in solo.bundles[since:] for read in bundle.read_states]
    return context in served


# The leader's side


def test_the_lease_is_the_protection_shortened_by_what_two_clocks_may_drift_apart() -> None:
    config = LeaseConfig(tick_us=10_000, drift_ppm=200)
    assert config.protection_us(12) == 120_000
    assert config.lease_us(12) == 119_952
    slow, fast = 1 - 200e-6, 1 + 200e-6
    assert config.lease_us(12) / slow <= config.protection_us(12) / fast


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [((0, 0), "tick_us"), ((1, -1), "drift_ppm"), ((1, 1_000_000), "drift_ppm")],
)
def test_a_lease_that_rests_on_nothing_is_refused(
    settings: tuple[int, int], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        LeaseConfig(*settings)


def test_a_leader_with_a_lease_reads_at_once_what_is_committed() -> None:
    solo = leased()
    since = len(solo.bundles)
    solo.raft.read_index(1, solo.now_us)
    assert solo.settle() == []
    assert solo.bundles[since].read_states == (ReadState(1, solo.raft.commit),)


def test_a_lease_begins_when_its_heartbeats_were_handed_out() -> None:
    """Not when they were answered: a voter's protection may have begun right after."""
    solo = leader()
    number = beat(solo)
    begun = solo.now_us
    solo.now_us = begun + LEASE_US - 1
    solo.step(solo.beats(TWO, number))
    assert reads_at_once(solo)
    solo.now_us = begun + LEASE_US
    assert not reads_at_once(solo)


def test_a_lease_needs_the_answers_of_a_majority_to_one_round() -> None:
    solo = leader(5)
    number = beat(solo)
    solo.step(solo.beats(TWO, number))
    assert not reads_at_once(solo)
    solo.step(solo.beats(TWO, number))
    solo.step(solo.beats(THREE, number - 1))
    assert not reads_at_once(solo)
    solo.step(solo.beats(THREE, number))
    assert reads_at_once(solo)


def test_late_answers_renew_only_as_of_their_round() -> None:
    solo = leader()
    first = beat(solo)
    begun = solo.now_us
    beat(solo)
    solo.now_us = begun + LEASE_US - 1
    solo.step(solo.beats(TWO, first))
    assert reads_at_once(solo)
    solo.now_us += 1
    assert not reads_at_once(solo)


def test_answers_that_say_nothing_of_a_round_renew_nothing() -> None:
    solo = leader()
    beat(solo)
    solo.step(solo.beats(TWO), solo.beats(THREE), solo.accepts(2), solo.accepts(2, THREE))
    assert not reads_at_once(solo)


def test_every_heartbeat_renews_the_lease() -> None:
    solo = leased()
    for _ in range(20):
        solo.step(solo.beats(TWO, beat(solo)))
        assert reads_at_once(solo)


def test_a_read_without_a_lease_is_confirmed_by_a_round() -> None:
    solo = leader()
    since = len(solo.bundles)
    solo.raft.read_index(1, solo.now_us)
    (heartbeat, *_) = only(HeartbeatRequest, solo.settle())
    solo.step(solo.beats(TWO, heartbeat.read_round))
    states = [read for bundle in solo.bundles[since:] for read in bundle.read_states]
    assert states == [ReadState(1, solo.raft.commit)]
    assert reads_at_once(solo), "and its round renews the lease"


def test_there_is_no_lease_after_a_pause() -> None:
    """No tick passed, but time did: somebody else may have been elected meanwhile."""
    solo = leased()
    solo.now_us += LEASE_US
    assert solo.role() is Role.LEADER
    assert not reads_at_once(solo)


def test_there_is_no_lease_before_the_first_commit_of_the_term() -> None:
    """Only then does a leader know what its predecessors committed."""
    solo = Solo(terms=[1, 1], commit=1, applied=1, config=CONFIG)
    solo.lead()
    solo.step(solo.beats(TWO, beat(solo)))
    assert not reads_at_once(solo)
    solo.step(solo.accepts(3))
    assert reads_at_once(solo)


def test_there_is_no_lease_while_leadership_is_handed_over() -> None:
    solo = leased()
    solo.raft.transfer_leadership(THREE)  # THREE lacks an entry: nobody was told yet
    assert not reads_at_once(solo)
    number = beat(solo)
    solo.step(solo.beats(TWO, number))
    assert not reads_at_once(solo)


def test_a_transfer_that_was_given_up_before_anybody_was_told_leaves_room_for_a_lease() -> None:
    solo = leased()
    solo.raft.transfer_leadership(THREE)
    while solo.raft.status().transfer_to is not None:
        solo.step(solo.beats(TWO, beat(solo)))
    solo.step(solo.beats(TWO, beat(solo)))
    assert reads_at_once(solo)


def test_there_is_no_lease_in_the_term_once_anybody_was_told_to_campaign() -> None:
    """TimeoutNow may arrive long after the transfer was given up, and no voter protects anybody
    from the campaign that it begins."""
    solo = leased()
    solo.raft.transfer_leadership(TWO)
    solo.settle()
    assert only(TimeoutNow, solo.step(solo.accepts(2)))
    while solo.raft.status().transfer_to is not None:
        solo.step(solo.beats(THREE, beat(solo)))
    for _ in range(3):
        solo.step(solo.beats(TWO, beat(solo)), solo.beats(THREE, solo.raft.commit))
        assert not reads_at_once(solo)


def test_there_is_no_lease_while_quiet() -> None:
    solo = leased()
    solo.step(solo.accepts(2), solo.accepts(2, THREE))
    solo.tick(2)
    assert solo.raft.is_quiet
    assert not reads_at_once(solo)


def test_a_group_that_is_read_by_lease_does_not_fall_quiet_between_two_reads() -> None:
    solo = leased()
    solo.step(solo.accepts(2), solo.accepts(2, THREE))
    for _ in range(5):
        assert reads_at_once(solo)
        solo.step(solo.beats(TWO, beat(solo)), solo.beats(THREE))
        assert not solo.raft.is_quiet
    solo.tick(2)
    assert solo.raft.status().is_quiet


def test_a_change_of_the_configuration_ends_the_lease() -> None:
    """The new voters have promised nothing yet."""
    solo = leased(learners=(4,))
    number = beat(solo)
    solo.step(solo.accepts(2), solo.accepts(1, FOUR))
    solo.raft.propose_membership(change((1, 2, 4), ()))
    solo.step(solo.beats(TWO, number), solo.beats(FOUR, number))
    assert not reads_at_once(solo)
    number = beat(solo)
    solo.step(solo.beats(TWO, number))
    assert not reads_at_once(solo) or solo.raft.configuration == members((1, 2, 4), (1, 2, 3))
    solo.step(solo.beats(FOUR, number))
    assert reads_at_once(solo)


def test_a_leader_that_steps_down_has_no_lease_when_it_leads_again() -> None:
    solo = leased()
    solo.step(solo.heartbeat(term=2, sender=THREE))
    solo.tick(40)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(solo.grant(TWO, pre_vote=True))
    solo.step(solo.grant(TWO))
    solo.step(solo.accepts(solo.raft.last_index))
    assert solo.role() is Role.LEADER
    assert not reads_at_once(solo)


def test_a_host_that_does_not_say_the_time_gets_no_lease() -> None:
    solo = leader()
    solo.raft.wake()
    solo.raft.tick(solo.now_us)
    solo.raft.tick(solo.now_us)
    bundle = solo.raft.ready()
    assert {m.read_round for m in only(HeartbeatRequest, bundle.messages)} == {0}
    solo = leased()
    solo.raft.read_index(1)
    assert solo.take().read_states == ()


def test_without_leases_no_read_is_served_at_once() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    solo.raft.propose(b"x")
    solo.settle()
    assert {m.read_round for m in only(HeartbeatRequest, solo.tick(2))} == {0}
    assert not reads_at_once(solo)


def test_reads_by_lease_are_bounded_too() -> None:
    solo = Solo(config=RaftConfig(lease=CONFIG.lease, reads_waiting_max=2))
    solo.lead(caught_up=(TWO, THREE))
    solo.raft.propose(b"x")
    solo.settle()
    solo.step(solo.beats(TWO, beat(solo)))
    solo.raft.read_index(1, solo.now_us)
    solo.raft.read_index(2, solo.now_us)
    with pytest.raises(TooManyReads):
        solo.raft.read_index(3, solo.now_us)


def test_rounds_that_nobody_answers_are_not_kept_without_bound() -> None:
    lease = Lease(5000)
    for number in range(1, 1001):
        lease.begin_round(number, number)
    lease.confirm(1000)
    assert lease.holds(64 + 4999)
    assert not lease.holds(64 + 5000)


def test_a_clock_that_goes_back_stops_the_node() -> None:
    lease = Lease(100)
    lease.begin_round(1, 50)
    with pytest.raises(InvariantViolation, match="the clock went back from 50 to 49"):
        lease.holds(49)
    protection = Protection(100, may_have_answered=False)
    protection.tick(50)
    with pytest.raises(InvariantViolation, match="the clock went back from 50 to 49"):
        protection.tick(49)


def test_leases_need_the_time_of_each_tick() -> None:
    with pytest.raises(ValueError, match="the time of each tick"):
        Solo(config=CONFIG).raft.tick()


# The voter's side


def follower(term: int = 4) -> Solo:
    """Has just answered TWO, and told a higher term: it knows no leader."""
    solo = Solo(term=term, config=CONFIG)
    solo.tick(20)  # what it owed for its time before the start is over
    solo.step(solo.heartbeat(term=term))
    return solo


def wants_vote(solo: Solo, term: int, *, pre_vote: bool, handover: bool = False) -> bool:
    """Whether THREE would get, or gets, the vote of `solo`."""
    request = solo.vote_request(THREE, term=term, last=(9, 9), pre_vote=pre_vote, handover=handover)
    answers = only(VoteResponse, solo.step(request))
    return any(answer.granted for answer in answers)


@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_voter_protects_its_leader_through_a_change_of_term(pre_vote: bool) -> None:
    """A late answer of somebody's failed campaign brings the term, and with it forgetfulness."""
    solo = follower()
    solo.step(VoteResponse(THREE, ME, Term(5), False))
    assert (solo.raft.term, solo.raft.leader) == (5, None)
    for term in (5, 6):
        assert not wants_vote(solo, term, pre_vote=pre_vote)
    assert solo.raft.vote is None


def test_the_protection_ends_by_the_clock() -> None:
    solo = follower()
    solo.step(VoteResponse(THREE, ME, Term(5), False))
    begun = solo.now_us + 1  # counted from the next tick
    solo.raft.tick(begun)
    solo.raft.tick(begun + PROTECTION_US - 1)
    assert not wants_vote(solo, 5, pre_vote=False)
    solo.raft.tick(begun + PROTECTION_US)
    assert wants_vote(solo, 5, pre_vote=False)


def test_ticks_in_a_burst_do_not_end_the_protection() -> None:
    solo = follower()
    for _ in range(100):
        solo.raft.tick(solo.now_us + 1)
    assert solo.raft.role is Role.FOLLOWER
    assert only(VoteRequest, solo.settle()) == []
    assert not wants_vote(solo, 5, pre_vote=True)


def test_a_hastened_election_waits_for_the_protection() -> None:
    solo = follower()
    solo.raft.wake(CONFIG.election_ticks_max)
    assert only(VoteRequest, solo.tick(12)) == []
    assert len(only(VoteRequest, solo.tick(1))) == 2


@pytest.mark.parametrize("handover", [True, False])
def test_a_campaign_that_the_leader_asked_for_is_not_hindered(handover: bool) -> None:
    solo = follower()
    assert wants_vote(solo, 5, pre_vote=False, handover=handover) is handover


def test_a_leader_that_asks_itself_has_no_lease_any_more_and_is_helped() -> None:
    solo = follower()
    solo.step(solo.vote_request(TWO, term=5, last=(9, 9)))
    assert solo.raft.vote == TWO


def test_who_is_told_to_campaign_does() -> None:
    solo = follower()
    sent = solo.step(TimeoutNow(TWO, ME, Term(4)))
    assert len(only(VoteRequest, sent)) == 2


@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_replica_that_restarts_helps_nobody_at_first(pre_vote: bool) -> None:
    """Before, it may have answered a leader that counts on it (6.4.1)."""
    solo = Solo(terms=[1], term=4, config=CONFIG)
    assert not wants_vote(solo, 5, pre_vote=pre_vote)
    solo.raft.tick(1)
    solo.raft.tick(PROTECTION_US)
    assert not wants_vote(solo, 5, pre_vote=pre_vote)
    assert only(VoteRequest, solo.settle()) == []
    solo.raft.tick(PROTECTION_US + 1)
    assert wants_vote(solo, 5, pre_vote=pre_vote)


def test_a_replica_that_restarts_does_not_campaign_at_first_however_it_is_hastened() -> None:
    solo = Solo(terms=[1], term=4, config=CONFIG)
    solo.raft.wake(CONFIG.election_ticks_max)
    assert only(VoteRequest, solo.tick(12)) == []
    assert len(only(VoteRequest, solo.tick(1))) == 2


def test_a_replica_alone_owes_it_too() -> None:
    """It may be alone by a change that is not committed, and have answered the leader before."""
    solo = Solo(terms=[1], term=4, group=configuration(1), config=CONFIG)
    solo.tick(12)
    assert solo.role() is Role.FOLLOWER
    solo.tick(1)
    assert solo.role() is Role.LEADER


def test_a_new_replica_owes_nothing() -> None:
    solo = Solo(config=CONFIG)
    assert wants_vote(solo, 1, pre_vote=False)
    solo = Solo(group=configuration(1), config=CONFIG)
    solo.tick()
    assert solo.raft.role is Role.LEADER


# Whole groups


def test_a_leader_that_was_paused_and_replaced_serves_no_stale_read() -> None:
    cluster = Cluster(3, config=CONFIG)
    cluster.elect(1)
    cluster.propose(1, b"x")
    cluster.run(1)
    cluster.propose(1, b"y")
    cluster.read(1)
    assert cluster.checker.reads_by_lease == 1
    cluster.pause(ME, 100)
    cluster.run_until(lambda: cluster.led_by(2, 3))
    cluster.propose(cluster.leader_id(), b"z")
    cluster.run(100)
    assert cluster.checker.reads_by_lease == 1


def test_a_leader_that_is_cut_off_loses_its_lease_before_another_can_be_elected() -> None:
    for seed in range(20):
        cluster = Cluster(3, seed=seed, config=CONFIG)
        cluster.elect(1)
        cluster.propose(1, b"x")
        cluster.run(1)
        cluster.cut(1)
        cluster.propose(1, b"y")
        for _ in range(100):
            cluster.read(1)
            cluster.run(1)
            if cluster.led_by(2, 3):
                break
        assert cluster.checker.reads_by_lease > 5
        cluster.propose(cluster.leader_id(), b"y")
        for _ in range(3):
            cluster.run(1)
            cluster.read(1)


def test_two_of_three_restart_and_elect_nobody_while_the_third_has_a_lease() -> None:
    cluster = Cluster(3, config=CONFIG)
    cluster.elect(1)
    cluster.propose(1, b"x")
    cluster.run(1)
    cluster.read(1)
    assert cluster.checker.reads_by_lease == 1
    cluster.cut(1)
    for replica in (2, 3):
        cluster.crash(ReplicaId(replica))
        cluster.start(ReplicaId(replica))
        cluster.wake(replica, silent_ticks=100)
    for _ in range(12):
        cluster.run(1)
        assert not cluster.led_by(2, 3)
        cluster.read(1)
    cluster.run_until(lambda: cluster.led_by(2, 3))
    assert replicas((1, 2, 3)) == cluster.leader.configuration.voters
