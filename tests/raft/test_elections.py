"""Elections (dissertation 3.4, 3.6.1, 6.2, 6.4.1, 9.6), and the mistakes others made in them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cluster.errors import InvariantViolation
from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    AppendRequest,
    AppendResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    RaftConfig,
    Role,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from tests.raft.harness import Cluster, Faults
from tests.raft.solo import ME, THREE, TWO, Solo, only

FOUR = ReplicaId(4)


# Becoming leader


def test_a_follower_that_hears_nothing_asks_first_whether_it_could_win() -> None:
    solo = Solo(terms=[1, 2], term=2)
    sent = solo.tick_until(Role.PRE_CANDIDATE)
    assert [(m.to, m.term, m.last_index, m.last_term) for m in only(VoteRequest, sent)] == [
        (TWO, 3, 2, 2),
        (THREE, 3, 2, 2),
    ]
    assert (solo.raft.term, solo.raft.vote) == (2, None)


def test_a_majority_of_pre_votes_starts_the_vote_and_a_majority_of_votes_wins() -> None:
    solo = Solo(5)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(solo.grant(TWO, pre_vote=True))
    assert (solo.raft.role, solo.raft.term) == (Role.PRE_CANDIDATE, 0)
    sent = solo.step(solo.grant(THREE, pre_vote=True))
    assert (solo.raft.role, solo.raft.term, solo.raft.vote) == (Role.CANDIDATE, 1, ME)
    assert [m.pre_vote for m in only(VoteRequest, sent)] == [False] * 4
    solo.step(solo.grant(TWO))
    assert (solo.raft.role, solo.raft.leader) == (Role.CANDIDATE, None)
    solo.step(solo.grant(FOUR))
    assert (solo.raft.role, solo.raft.leader) == (Role.LEADER, ME)


def test_a_repeated_vote_counts_once() -> None:
    solo = Solo(5)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(*[solo.grant(TWO, pre_vote=True)] * 3)
    assert solo.raft.role is Role.PRE_CANDIDATE


def test_a_vote_from_outside_the_group_does_not_count() -> None:
    solo = Solo(3)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(solo.grant(ReplicaId(8), pre_vote=True), solo.grant(ReplicaId(9), pre_vote=True))
    assert solo.raft.role is Role.PRE_CANDIDATE


def candidate(size: int = 3, term: int = 5) -> Solo:
    """In the term after `term`."""
    solo = Solo(size, term=term)
    solo.tick_until(Role.PRE_CANDIDATE)
    for peer in range(2, size // 2 + 2):
        solo.step(solo.grant(ReplicaId(peer), pre_vote=True))
    assert (solo.raft.role, solo.raft.term) == (Role.CANDIDATE, term + 1)
    return solo


def test_a_vote_of_an_older_term_does_not_count() -> None:
    solo = candidate(term=5)
    solo.step(VoteResponse(TWO, ME, Term(5), True))
    assert solo.raft.role is Role.CANDIDATE


def test_a_late_pre_vote_does_not_count_as_a_vote() -> None:
    solo = candidate(term=5)
    late = VoteResponse(TWO, ME, solo.raft.term, True, pre_vote=True)
    solo.step(late)
    assert (solo.raft.role, solo.raft.leader) == (Role.CANDIDATE, None)
    solo.step(VoteResponse(TWO, ME, solo.raft.term, False, pre_vote=True))
    solo.step(VoteResponse(THREE, ME, solo.raft.term, False, pre_vote=True))
    assert solo.raft.role is Role.CANDIDATE


@pytest.mark.parametrize("asked_term", [4, 5, 7])
def test_a_pre_vote_for_another_term_does_not_count(asked_term: int) -> None:
    solo = Solo(term=5)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(VoteResponse(TWO, ME, Term(asked_term), True, pre_vote=True))
    assert (solo.raft.role, solo.raft.term) == (Role.PRE_CANDIDATE, 5)


def test_a_vote_does_not_count_as_a_pre_vote() -> None:
    solo = candidate(term=5)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(solo.grant(TWO))
    assert (solo.raft.role, solo.raft.term) == (Role.PRE_CANDIDATE, 6)


def test_a_pre_candidate_knows_no_leader_and_has_no_votes_from_before() -> None:
    solo = Solo(5, term=1)
    solo.step(solo.heartbeat(term=1))
    assert (solo.raft.role, solo.raft.leader) == (Role.FOLLOWER, TWO)
    solo.tick_until(Role.PRE_CANDIDATE)
    assert (solo.raft.role, solo.raft.leader) == (Role.PRE_CANDIDATE, None)
    solo.step(solo.grant(TWO, pre_vote=True))
    solo.step(solo.heartbeat(term=1, sender=THREE), solo.heartbeat(term=1, sender=THREE))
    assert solo.raft.leader == THREE
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(solo.grant(THREE, pre_vote=True))
    assert solo.raft.role is Role.PRE_CANDIDATE, "the vote of the first campaign was kept"


def test_a_campaign_that_times_out_is_begun_anew_without_its_votes() -> None:
    solo = Solo(5)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(solo.grant(TWO, pre_vote=True))
    sent = solo.tick(solo.config.election_ticks_max)
    assert len(only(VoteRequest, sent)) >= 4
    solo.step(solo.grant(THREE, pre_vote=True))
    assert solo.raft.role is Role.PRE_CANDIDATE


def test_a_candidate_that_times_out_asks_again_first() -> None:
    """Else a replica that is cut off in mid-campaign would drive the term up."""
    solo = candidate(term=5)
    solo.tick(100)
    assert (solo.raft.role, solo.raft.term) == (Role.PRE_CANDIDATE, 6)


@pytest.mark.parametrize("pre_vote", [True, False])
def test_a_lost_campaign_ends_at_once(pre_vote: bool) -> None:
    solo = Solo(5, term=5)
    solo.tick_until(Role.PRE_CANDIDATE)
    if not pre_vote:
        solo.step(solo.grant(TWO, pre_vote=True), solo.grant(THREE, pre_vote=True))
    term = solo.raft.term
    for peer in (TWO, THREE, FOUR):
        assert solo.raft.role is not Role.FOLLOWER
        solo.step(solo.refuse(peer, term, pre_vote=pre_vote))
    assert (solo.raft.role, solo.raft.term) == (Role.FOLLOWER, term)


def test_stepping_down_within_a_term_keeps_the_vote() -> None:
    solo = candidate(term=5)
    solo.step(solo.heartbeat(term=6))
    assert (solo.raft.role, solo.raft.vote) == (Role.FOLLOWER, ME)
    sent = solo.step(solo.vote_request(THREE, term=6, last=(9, 5)))
    assert [m.granted for m in only(VoteResponse, sent)] == [False]


def test_votes_that_come_after_the_campaign_make_nobody_leader() -> None:
    solo = candidate(term=5)
    solo.step(solo.heartbeat(term=6, sender=THREE))
    solo.step(solo.grant(TWO))
    assert (solo.raft.role, solo.raft.leader) == (Role.FOLLOWER, THREE)


@pytest.mark.parametrize("append", [True, False])
def test_a_follower_that_hears_its_leader_never_campaigns(append: bool) -> None:
    solo = Solo(term=5)
    for _ in range(50):
        solo.step(solo.append(term=5) if append else solo.heartbeat(term=5))
        assert solo.tick(solo.config.election_ticks_min - 1) == []
    assert (solo.raft.role, solo.raft.leader) == (Role.FOLLOWER, TWO)


def test_each_campaign_waits_for_a_time_of_its_own() -> None:
    """Else two candidates that once split the vote would split it for ever (3.4)."""
    solo = Solo()
    campaigns = [tick for tick in range(2000) if only(VoteRequest, solo.tick())]
    waits = {after - before for before, after in pairwise(campaigns)}
    assert waits == set(range(solo.config.election_ticks_min, solo.config.election_ticks_max + 1))


@pytest.mark.parametrize("append", [True, False])
def test_the_leader_of_a_higher_term_is_followed_at_once(append: bool) -> None:
    solo = Solo(term=5)
    solo.step(solo.append(term=9) if append else solo.heartbeat(term=9))
    assert (solo.raft.term, solo.raft.vote, solo.raft.leader) == (9, None, TWO)


@pytest.mark.parametrize("role", [Role.PRE_CANDIDATE, Role.CANDIDATE])
@pytest.mark.parametrize("append", [True, False])
def test_a_campaign_ends_when_the_terms_leader_is_heard(role: Role, append: bool) -> None:
    solo = Solo(term=5)
    solo.tick_until(Role.PRE_CANDIDATE)
    if role is Role.CANDIDATE:
        solo.step(solo.grant(TWO, pre_vote=True))
    term = solo.raft.term
    solo.step(solo.append(term=term) if append else solo.heartbeat(term=term))
    assert (solo.raft.role, solo.raft.leader, solo.raft.term) == (Role.FOLLOWER, TWO, term)


def test_two_leaders_in_a_term_are_a_broken_invariant() -> None:
    solo = Solo(term=5)
    solo.step(solo.heartbeat(term=5, sender=TWO))
    with pytest.raises(InvariantViolation, match="replicas 2 and 3 both lead term 5"):
        solo.raft.step(solo.heartbeat(term=5, sender=THREE))


def test_a_leader_that_hears_of_another_in_its_term_is_a_broken_invariant() -> None:
    solo = Solo()
    solo.lead()
    with pytest.raises(InvariantViolation, match="both lead term 1"):
        solo.raft.step(solo.append(term=1))


# Voting


@pytest.mark.parametrize("pre_vote", [True, False])
@pytest.mark.parametrize(
    ("term", "vote", "asked_term", "last", "granted"),
    [
        (5, None, 6, (3, 2), True),
        (5, None, 6, (9, 1), False),  # an older last term
        (5, None, 6, (2, 2), False),  # a shorter log
        (5, None, 6, (1, 3), True),  # a later last term
        (5, 3, 6, (3, 2), True),  # the vote was for another term
        (5, None, 5, (3, 2), True),
        (5, 2, 5, (3, 2), True),  # asked twice
        (5, 3, 5, (9, 9), False),  # given to another
        (5, None, 4, (9, 9), False),  # an older term
    ],
)
def test_a_vote_goes_to_whoever_has_a_log_as_good_and_once_per_term(
    pre_vote: bool,
    term: int,
    vote: int | None,
    asked_term: int,
    last: tuple[int, int],
    granted: bool,
) -> None:
    solo = Solo(terms=[1, 2, 2], term=term, vote=vote)
    sent = solo.step(solo.vote_request(TWO, term=asked_term, last=last, pre_vote=pre_vote))
    (answer,) = only(VoteResponse, sent)
    assert (answer.granted, answer.pre_vote) == (granted, pre_vote)
    assert answer.term == (max(term, asked_term) if granted or not pre_vote else term)
    if pre_vote:
        assert (solo.raft.term, solo.raft.vote) == (term, vote), "a pre-vote changes nothing"
    else:
        assert solo.raft.term == max(term, asked_term)
        assert (solo.raft.vote == TWO) is granted


def test_a_granted_pre_vote_repeats_the_term_that_was_asked_for() -> None:
    solo = Solo(term=3)
    (answer,) = only(VoteResponse, solo.step(solo.vote_request(term=9, pre_vote=True)))
    assert (answer.granted, answer.term) == (True, 9)


def test_a_given_vote_survives_a_restart() -> None:
    solo = Solo(term=5)
    solo.step(solo.vote_request(TWO, term=6))
    state = solo.bundles[-1].hard_state
    assert state is not None
    again = Solo(term=state.term, vote=state.vote)
    (answer,) = only(VoteResponse, again.step(again.vote_request(THREE, term=6)))
    assert not answer.granted


def test_no_vote_goes_to_another_once_the_terms_leader_is_known() -> None:
    solo = Solo(term=5)
    solo.step(solo.heartbeat(term=5, sender=TWO))
    (answer,) = only(VoteResponse, solo.step(solo.vote_request(THREE, term=5)))
    assert not answer.granted


def test_giving_a_vote_puts_off_the_own_campaign_and_refusing_does_not() -> None:
    solo = Solo(terms=[1], seed=5)
    timeout = 0
    while not Solo(terms=[1], seed=5).tick(timeout):
        timeout += 1
    solo.tick(timeout - 1)
    solo.step(solo.vote_request(TWO, term=2))  # refused: its log is empty
    assert solo.raft.term == 2
    solo.tick()
    assert solo.raft.role is Role.PRE_CANDIDATE
    other = Solo(terms=[1], seed=5)
    other.tick(timeout - 1)
    other.step(other.vote_request(TWO, term=2, last=(1, 1)))
    other.tick(timeout - 1)
    assert other.raft.role is Role.FOLLOWER


def test_a_pre_candidate_that_gives_its_vote_gives_up_its_campaign() -> None:
    solo = Solo(term=5)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(solo.vote_request(THREE, term=5))
    assert (solo.raft.role, solo.raft.vote) == (Role.FOLLOWER, THREE)
    solo.step(solo.grant(TWO, pre_vote=True))
    assert solo.raft.term == 5


@pytest.mark.parametrize(
    "answer",
    [
        HeartbeatResponse(TWO, ME, Term(9)),
        AppendResponse(TWO, ME, Term(9), True, Index(0)),
        VoteResponse(TWO, ME, Term(9), False),
        VoteResponse(TWO, ME, Term(9), False, pre_vote=True),
    ],
)
def test_an_answer_of_a_higher_term_makes_a_leader_a_follower(answer: Message) -> None:
    solo = Solo()
    solo.lead()
    solo.step(answer)
    assert (solo.raft.role, solo.raft.term, solo.raft.leader) == (Role.FOLLOWER, 9, None)


# Protecting a leader


@pytest.mark.parametrize("pre_vote", [True, False])
def test_who_heard_its_leader_lately_does_not_help_to_replace_it(pre_vote: bool) -> None:
    solo = Solo(term=5)
    solo.step(solo.heartbeat(term=5, sender=TWO))
    solo.tick(solo.config.election_ticks_min - 1)
    sent = solo.step(solo.vote_request(THREE, term=9, pre_vote=pre_vote))
    assert [m.granted for m in only(VoteResponse, sent)] == ([False] if pre_vote else [])
    assert (solo.raft.term, solo.raft.leader) == (5, TWO)


def test_who_has_not_heard_its_leader_lately_helps() -> None:
    solo = Solo(term=5, seed=1)
    solo.step(solo.heartbeat(term=5, sender=TWO))
    solo.tick(solo.config.election_ticks_min)
    assert solo.raft.role is Role.FOLLOWER
    (answer,) = only(VoteResponse, solo.step(solo.vote_request(THREE, term=6, pre_vote=True)))
    assert answer.granted


def test_a_leader_that_asks_for_votes_itself_has_restarted_and_is_helped() -> None:
    solo = Solo(term=5)
    solo.step(solo.heartbeat(term=5, sender=TWO))
    (answer,) = only(VoteResponse, solo.step(solo.vote_request(TWO, term=6, pre_vote=True)))
    assert answer.granted
    (answer,) = only(VoteResponse, solo.step(solo.vote_request(TWO, term=6)))
    assert answer.granted


def test_a_campaign_that_the_leader_asked_for_is_helped() -> None:
    solo = Solo(term=5)
    solo.step(solo.heartbeat(term=5, sender=TWO))
    (answer,) = only(VoteResponse, solo.step(solo.vote_request(THREE, term=6, handover=True)))
    assert answer.granted


def test_a_leader_protects_itself_however_long_its_election_took() -> None:
    solo = Solo(config=RaftConfig(election_ticks_min=5, election_ticks_max=10_000))
    solo.tick_until(Role.PRE_CANDIDATE, ticks_max=10_000)
    solo.tick(10)
    solo.step(solo.grant(TWO, pre_vote=True))
    solo.step(solo.grant(TWO))
    (answer,) = only(VoteResponse, solo.step(solo.vote_request(TWO, term=9, pre_vote=True)))
    assert (answer.granted, answer.term) == (False, 1)
    assert solo.step(solo.vote_request(TWO, term=9)) == []
    assert (solo.raft.role, solo.raft.term) == (Role.LEADER, 1)


# Check-quorum


def test_a_leader_that_hears_no_majority_steps_down() -> None:
    solo = Solo(5)
    solo.lead()
    for _ in range(30):
        solo.tick()
        solo.step(solo.beats(TWO), solo.beats(THREE))
    assert (solo.raft.role, solo.raft.leader) == (Role.LEADER, ME)
    ticks = 0
    while solo.raft.role is Role.LEADER:
        solo.tick()
        solo.step(solo.beats(TWO))
        ticks += 1
    config = solo.config
    assert config.election_ticks_min <= ticks <= config.election_ticks_min + config.heartbeat_ticks
    assert (solo.raft.term, solo.raft.leader, solo.raft.vote) == (1, None, ME)


def test_answers_to_appends_count_as_hearing() -> None:
    solo = Solo()
    solo.lead()
    for _ in range(50):
        solo.tick()
        solo.step(solo.accepts(1))
    assert solo.raft.role is Role.LEADER


def test_answers_of_strangers_do_not_count() -> None:
    solo = Solo()
    solo.lead()
    for _ in range(20):
        solo.tick()
        solo.step(solo.beats(ReplicaId(9)), solo.accepts(1, ReplicaId(9)))
    assert solo.raft.role is not Role.LEADER


# Stale messages


def test_a_leader_of_an_older_term_is_told() -> None:
    solo = Solo(terms=[1], term=7)
    for message in (solo.append(term=6), solo.heartbeat(term=6)):
        (answer,) = only(HeartbeatResponse, solo.step(message))
        assert (answer.to, answer.term) == (TWO, 7)
    assert solo.raft.leader is None


def test_other_messages_of_an_older_term_are_dropped() -> None:
    solo = Solo(term=7)
    stale: list[Message] = [
        TimeoutNow(TWO, ME, solo.heartbeat(term=6).term),
        solo.refuse(TWO, 6),
        solo.refuse(TWO, 6, pre_vote=True),
    ]
    assert solo.step(*stale) == []
    assert (solo.raft.role, solo.raft.term) == (Role.FOLLOWER, 7)


def test_answers_to_a_leader_that_was_are_dropped() -> None:
    solo = Solo(term=7)
    assert solo.step(solo.beats(TWO), solo.accepts(3), solo.grant(TWO)) == []


# Whole groups


def test_a_group_elects_one_leader_and_keeps_it() -> None:
    for size in (1, 2, 3, 4, 5):
        cluster = Cluster(size, seed=size)
        cluster.run_until(cluster.has_leader, ticks_max=100)
        term = cluster.leader.term
        cluster.run(200)
        assert (len(cluster.leaders), cluster.leader.term) == (1, term)


def test_a_replica_alone_in_its_group_leads_with_its_first_tick() -> None:
    cluster = Cluster(1)
    cluster.run(1)
    assert cluster.leader.role is Role.LEADER


def test_a_failed_leader_is_replaced() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.crash(ME)
    cluster.wake(2, silent_ticks=12)
    cluster.wake(3, silent_ticks=12)
    cluster.run(2 * cluster.config.election_ticks_max)
    assert cluster.led_by(2, 3)


def test_a_replica_that_rejoins_disturbs_nobody() -> None:
    """9.6: it was cut off for long, and its term has not grown."""
    cluster = Cluster(3)
    leader = cluster.elect(1)
    cluster.cut(3)
    cluster.wake(3, silent_ticks=100)
    cluster.propose(1, b"missed")
    cluster.run(500)
    assert cluster.raft(3).role is not Role.FOLLOWER
    cluster.heal()
    cluster.run(60)
    assert (leader.role, leader.term) == (Role.LEADER, 1)
    assert (cluster.raft(3).leader, cluster.raft(3).commit) == (1, leader.commit)


def test_a_replica_with_a_higher_term_comes_back_into_the_group() -> None:
    """It campaigned for real before it was cut off: its term does not fall, so others' rise."""
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.cut(3)
    cluster.raft(3).step(TimeoutNow(ME, THREE, cluster.raft(1).term))
    cluster.run(50)
    assert cluster.raft(3).term == 2
    cluster.heal()
    cluster.wake(1)
    cluster.run_until(cluster.all_quiet)
    assert len({cluster.raft(i).term for i in (1, 2, 3)}) == 1


def test_a_longer_log_and_a_higher_term_do_not_block_each_other() -> None:
    """Pre-vote deadlock: 1 has the longer log, 2 the higher term, and 3 is down."""
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.cut(2)
    cluster.propose(1, b"longer")
    cluster.run(3)
    cluster.crash(THREE)
    cluster.raft(2).step(TimeoutNow(ME, TWO, cluster.raft(1).term))
    cluster.run(50)
    assert cluster.raft(2).term > cluster.raft(1).term
    assert cluster.raft(2).last_index < cluster.raft(1).last_index
    cluster.heal()
    cluster.run_until(lambda: cluster.led_by(1), ticks_max=200)


def test_a_leader_that_speaks_but_does_not_hear_gives_way() -> None:
    """Half-connected: its heartbeats would keep the others from electing for ever."""
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.cuts = {(TWO, ME), (THREE, ME)}
    cluster.propose(1, b"x")
    cluster.run_until(lambda: cluster.led_by(2, 3), ticks_max=100)
    assert cluster.raft(1).role is not Role.LEADER


def test_a_leader_that_reaches_only_a_hub_gives_way_to_a_connected_majority() -> None:
    """Only 3 reaches everybody; the old leader 1 reaches only 3, and so has no majority."""
    cluster = Cluster(5)
    cluster.elect(1)
    every = list(cluster.members)
    cluster.cuts = {(a, b) for a in every for b in every if THREE not in (a, b)}
    cluster.propose(1, b"x")
    cluster.run_until(lambda: cluster.led_by(3), ticks_max=300)


def test_a_minority_elects_nobody() -> None:
    cluster = Cluster(5)
    cluster.elect(3)
    cluster.cut(1, 2)
    cluster.wake(1, silent_ticks=50)
    cluster.wake(2, silent_ticks=50)
    cluster.run(300)
    assert {cluster.raft(1).role, cluster.raft(2).role} <= {Role.PRE_CANDIDATE, Role.FOLLOWER}
    assert cluster.raft(1).term == cluster.raft(3).term


def test_pre_votes_and_votes_of_a_restarted_leader_reach_a_quiet_group() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.run_until(cluster.all_quiet)
    cluster.crash(ME)
    cluster.start(ME)
    cluster.run_until(cluster.has_leader, ticks_max=60)
    cluster.run_until(cluster.all_quiet)


def test_elections_end_in_spite_of_loss() -> None:
    for seed in range(20):
        cluster = Cluster(5, seed=seed, faults=Faults(loss=0.2, delay_max=8, persist_max=8))
        cluster.run_until(cluster.has_leader, ticks_max=400)


def test_a_new_leader_speaks_at_once() -> None:
    solo = Solo(terms=[1])
    sent = solo.lead()
    assert [m.to for m in only(AppendRequest, sent)] == [TWO, THREE]
    assert only(HeartbeatRequest, solo.tick(solo.config.heartbeat_ticks)) != []
