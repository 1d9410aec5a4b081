"""ReadIndex (dissertation 6.4), and the mistakes others made in it."""

from __future__ import annotations

import pytest

from cluster.errors import MemoryLost, NotLeader, ProposalRefused
from cluster.ids import Index, Term
from cluster.raft import (
    HeartbeatRequest,
    HeartbeatResponse,
    RaftConfig,
    ReadState,
    Role,
    TooManyReads,
)
from tests.raft.harness import Cluster
from tests.raft.solo import FOUR, ME, THREE, TWO, Solo, only


def leader(size: int = 3, config: RaftConfig | None = None) -> Solo:
    solo = Solo(size, config=config)
    solo.lead(caught_up=(TWO, THREE))
    solo.step(solo.accepts(1, THREE))
    return solo


def served(solo: Solo, since: int) -> list[ReadState]:
    return [read for bundle in solo.bundles[since:] for read in bundle.read_states]


def test_a_read_is_served_once_a_majority_confirmed_its_round() -> None:
    solo = leader(5)
    since = len(solo.bundles)
    solo.raft.read_index(7)
    beats = only(HeartbeatRequest, solo.settle())
    assert [(m.to, m.read_round) for m in beats] == [(2, 1), (3, 1), (4, 1), (5, 1)]
    solo.step(solo.beats(TWO, 1))
    assert served(solo, since) == []
    solo.step(solo.beats(TWO, 1))
    assert served(solo, since) == [], "one follower is not two"
    solo.step(solo.beats(THREE, 1))
    assert served(solo, since) == [ReadState(7, solo.raft.commit)]
    solo.step(solo.beats(THREE, 1))
    assert len(served(solo, since)) == 1


def test_all_reads_that_wait_share_one_round() -> None:
    solo = leader()
    since = len(solo.bundles)
    for context in range(100):
        solo.raft.read_index(context)
    assert len(only(HeartbeatRequest, solo.settle())) == 2
    solo.step(solo.beats(TWO, 1))
    assert [read.context for read in served(solo, since)] == list(range(100))


def test_no_read_is_served_before_the_first_commit_of_the_term() -> None:
    """Until then the leader does not know what its predecessors committed."""
    solo = Solo(terms=[1, 1], commit=1, applied=1)
    solo.lead()
    since = len(solo.bundles)
    solo.raft.read_index(1)
    assert not solo.raft.has_ready
    solo.tick(2)
    solo.step(solo.beats(TWO, 0), solo.beats(THREE, 0))
    assert served(solo, since) == []
    beats = only(HeartbeatRequest, solo.step(solo.accepts(3)))
    assert [m.read_round for m in beats] == [1, 1]
    solo.step(solo.beats(TWO, 1))
    assert served(solo, since) == [ReadState(1, solo.raft.commit)]
    assert solo.raft.commit == 3


def test_a_late_answer_confirms_only_the_rounds_before_it() -> None:
    """A pause lies between the rounds: the follower may have left for another leader since."""
    solo = leader()
    since = len(solo.bundles)
    solo.raft.read_index(1)
    solo.settle()
    solo.raft.read_index(2)
    solo.settle()
    solo.step(solo.beats(TWO, 1))
    assert [read.context for read in served(solo, since)] == [1]
    solo.step(solo.beats(TWO, 0), solo.beats(THREE, 1))
    assert [read.context for read in served(solo, since)] == [1]
    solo.step(solo.beats(THREE, 2))
    assert [read.context for read in served(solo, since)] == [1, 2]


def test_a_later_round_confirms_all_before_it() -> None:
    solo = leader()
    since = len(solo.bundles)
    for context in (1, 2, 3):
        solo.raft.read_index(context)
        solo.settle()
    solo.step(solo.beats(TWO, 3))
    assert [read.context for read in served(solo, since)] == [1, 2, 3]


def test_a_context_used_again_is_another_read() -> None:
    """The caller retries after a pause: the answer to the first try must not serve the second."""
    solo = leader()
    since = len(solo.bundles)
    solo.raft.read_index(7)
    solo.settle()
    solo.raft.read_index(7)
    solo.settle()
    solo.step(solo.beats(TWO, 1))
    assert len(served(solo, since)) == 1
    solo.step(solo.beats(THREE, 2))
    assert len(served(solo, since)) == 2


def test_a_read_sees_what_was_committed_when_its_round_began() -> None:
    solo = leader()
    since = len(solo.bundles)
    index = solo.raft.propose(b"x")
    solo.settle()
    solo.raft.read_index(1)
    solo.settle()
    solo.step(solo.accepts(index))
    solo.raft.read_index(2)
    solo.settle()
    solo.step(solo.beats(TWO, 2))
    assert [(read.context, read.index) for read in served(solo, since)] == [(1, 1), (2, index)]


def test_heartbeats_repeat_a_round_that_was_not_confirmed() -> None:
    solo = leader()
    solo.raft.read_index(1)
    solo.settle()
    beats = only(HeartbeatRequest, solo.tick(2))
    assert [m.read_round for m in beats] == [1, 1]
    solo.step(solo.beats(TWO, 1))
    beats = only(HeartbeatRequest, solo.tick(2))
    assert [m.read_round for m in beats] == [0, 0]


def test_heartbeats_repeat_a_round_even_where_requests_take_their_place_otherwise() -> None:
    solo = leader()
    solo.raft.read_index(1)
    solo.settle()
    beats = []
    for _ in range(3 * solo.config.heartbeat_ticks):
        index = solo.raft.propose(b"entry")
        solo.settle()
        solo.step(solo.accepts(index, TWO), solo.accepts(index, THREE))
        beats += only(HeartbeatRequest, solo.tick())
    assert {beat.read_round for beat in beats} == {1}
    assert len(beats) == 2 * 3


def test_a_follower_repeats_the_round_it_was_asked() -> None:
    solo = Solo(term=4)
    (answer,) = only(HeartbeatResponse, solo.step(solo.heartbeat(term=4, read_round=9)))
    assert answer.read_round == 9


def test_a_leader_of_an_older_term_is_not_confirmed() -> None:
    solo = Solo(term=4)
    (answer,) = only(HeartbeatResponse, solo.step(solo.heartbeat(term=3, read_round=9)))
    assert (answer.term, answer.read_round) == (4, 0)


def test_only_a_leader_takes_reads() -> None:
    with pytest.raises(NotLeader):
        Solo().raft.read_index(1)


def test_reads_beyond_the_bound_are_refused() -> None:
    solo = leader(config=RaftConfig(reads_waiting_max=3))
    for context in range(3):
        solo.raft.read_index(context)
        solo.settle()
    with pytest.raises(TooManyReads, match="3 reads wait; the limit is 3") as caught:
        solo.raft.read_index(3)
    assert isinstance(caught.value, ProposalRefused)
    assert solo.raft.status().reads_waiting == 3
    solo.step(solo.beats(TWO, 2))
    assert solo.raft.status().reads_waiting == 1
    solo.raft.read_index(4)


def test_reads_are_dropped_when_leadership_is_lost() -> None:
    solo = leader()
    since = len(solo.bundles)
    solo.raft.read_index(1)
    solo.raft.read_index(2)
    solo.settle()
    solo.raft.step(solo.beats(TWO, 1))  # confirmed, but not yet handed out
    solo.step(solo.heartbeat(term=9))
    solo.step(solo.beats(THREE, 1))
    assert served(solo, since) == []
    assert solo.raft.status().reads_waiting == 0


def test_an_answer_of_an_older_term_confirms_nothing() -> None:
    solo = leader()
    late = solo.beats(TWO, 5)
    solo.step(solo.heartbeat(term=2, sender=THREE))
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(solo.grant(TWO, pre_vote=True))
    solo.step(solo.grant(TWO))
    solo.step(solo.accepts(solo.raft.last_index))
    since = len(solo.bundles)
    solo.raft.read_index(1)
    solo.settle()
    solo.step(late)
    assert served(solo, since) == []
    solo.step(solo.beats(TWO, 1))
    assert len(served(solo, since)) == 1


def test_a_replica_alone_answers_at_once() -> None:
    solo = Solo(1)
    solo.raft.tick()
    solo.raft.read_index(1)
    assert solo.take().read_states == (), "its first entry is not committed"
    solo.raft.on_persisted(1)
    assert solo.take().read_states == (ReadState(1, solo.raft.commit),)
    solo.raft.read_index(2)
    assert solo.take().read_states == (ReadState(2, solo.raft.commit),)


def test_a_leader_that_was_replaced_serves_no_read() -> None:
    cluster = Cluster(3)
    old = cluster.elect(1)
    cluster.run_until(cluster.all_quiet)
    cluster.cut(1)
    for replica in (2, 3):
        cluster.wake(replica, silent_ticks=20)
    cluster.run_until(lambda: cluster.led_by(2, 3))
    assert cluster.propose(cluster.leader_id(), b"new") is not None
    cluster.run(2)
    cluster.wake(1)
    assert (old.role, old.leader) == (Role.LEADER, ME)
    before = cluster.checker.reads_served
    cluster.read(1)
    cluster.run(100)
    assert cluster.checker.reads_served == before
    cluster.heal()
    cluster.run(100)
    assert cluster.checker.reads_served == before


# Rounds of which the host asks the peers itself


def test_a_round_that_the_host_asks_about_needs_no_heartbeats() -> None:
    solo = leader(5)
    solo.raft.read_index(7)
    assert (solo.raft.begin_read_round(), solo.raft.peers) == (1, (2, 3, 4, 5))
    assert not solo.raft.has_ready
    solo.raft.on_confirmed(TWO, solo.raft.term, 1)
    assert solo.raft.take_read_states() == (), "one follower is not two"
    solo.raft.on_confirmed(TWO, solo.raft.term, 1)
    assert solo.raft.take_read_states() == ()
    solo.raft.on_confirmed(THREE, solo.raft.term, 1)
    assert solo.raft.take_read_states() == (ReadState(7, solo.raft.commit),)
    assert not solo.raft.has_ready
    assert solo.raft.begin_read_round() == 0, "no read waits"


def test_a_confirmation_of_another_term_or_of_a_stranger_says_nothing() -> None:
    solo = leader()
    solo.raft.read_index(1)
    read_round = solo.raft.begin_read_round()
    term = solo.raft.term
    solo.raft.on_confirmed(TWO, Term(term - 1), read_round)
    solo.raft.on_confirmed(TWO, Term(term + 1), read_round)
    solo.raft.on_confirmed(FOUR, term, read_round)
    assert solo.raft.take_read_states() == ()
    solo.raft.on_confirmed(TWO, term, read_round)
    assert len(solo.raft.take_read_states()) == 1


def test_a_late_confirmation_is_of_the_rounds_up_to_its_own() -> None:
    solo = leader()
    rounds = []
    for context in (1, 2):
        solo.raft.read_index(context)
        rounds.append(solo.raft.begin_read_round())
    solo.raft.on_confirmed(TWO, solo.raft.term, rounds[0])
    assert [read.context for read in solo.raft.take_read_states()] == [1]
    solo.raft.on_confirmed(THREE, solo.raft.term, rounds[1])
    assert [read.context for read in solo.raft.take_read_states()] == [2]


def test_what_is_not_confirmed_the_next_heartbeat_asks_again() -> None:
    solo = leader()
    since = len(solo.bundles)
    solo.raft.read_index(7)
    read_round = solo.raft.begin_read_round()
    beats = only(HeartbeatRequest, solo.tick(solo.config.heartbeat_ticks))
    assert [(m.to, m.read_round) for m in beats] == [(2, read_round), (3, read_round)]
    solo.step(solo.beats(THREE, read_round))
    assert served(solo, since) == [ReadState(7, solo.raft.commit)]


def test_before_the_first_commit_of_the_term_there_is_no_round_to_ask_about() -> None:
    solo = Solo(terms=[1, 1], commit=1, applied=1)
    solo.lead()
    since = len(solo.bundles)
    solo.raft.read_index(1)
    assert solo.raft.begin_read_round() == 0
    beats = only(HeartbeatRequest, solo.step(solo.accepts(3)))
    assert [m.read_round for m in beats] == [1, 1]
    solo.step(solo.beats(TWO, 1))
    assert served(solo, since) == [ReadState(1, solo.raft.commit)]


def test_who_alone_has_a_vote_asks_nobody() -> None:
    solo = Solo(1)
    solo.lead()
    solo.raft.read_index(1)
    assert solo.raft.begin_read_round() == 0
    assert solo.raft.take_read_states() == (ReadState(1, solo.raft.commit),)


def test_a_replica_that_does_not_lead_has_no_round() -> None:
    solo = Solo()
    assert (solo.raft.begin_read_round(), solo.raft.take_read_states()) == (0, ())
    solo.raft.on_confirmed(TWO, Term(1), 1)


def test_a_follower_confirms_its_leader_in_its_term_once_that_is_on_its_disk() -> None:
    solo = Solo(term=3)
    assert not solo.raft.confirm(TWO, Term(3), Index(0)), "it has not heard who leads"
    solo.raft.step(solo.heartbeat(term=4))
    assert not solo.raft.confirm(TWO, Term(4), Index(0)), (
        "after a crash it would be in term 3 again"
    )
    solo.settle()
    assert solo.raft.confirm(TWO, Term(4), Index(0))
    assert not solo.raft.confirm(THREE, Term(4), Index(0))
    assert not solo.raft.confirm(TWO, Term(3), Index(0))
    assert not solo.raft.confirm(TWO, Term(5), Index(0))


def test_who_has_voted_in_a_later_term_confirms_no_more() -> None:
    solo = Solo(term=3)
    solo.step(solo.heartbeat(term=3))
    assert solo.raft.confirm(TWO, Term(3), Index(0))
    solo.step(solo.vote_request(THREE, term=4, last=(9, 3), handover=True))
    assert solo.raft.vote == THREE
    assert not solo.raft.confirm(TWO, Term(3), Index(0))


def test_a_quiet_follower_confirms_and_stays_quiet() -> None:
    solo = Solo(terms=[1], commit=1, applied=1)
    solo.step(solo.heartbeat(term=1, commit=1, fall_quiet=True))
    assert solo.raft.is_quiet
    assert solo.raft.confirm(TWO, Term(1), Index(1))
    assert solo.raft.is_quiet


def test_who_confirms_learns_what_is_committed() -> None:
    solo = Solo(terms=[1])
    solo.step(solo.append(term=1, prev=(1, 1), terms=[1]))
    assert (solo.raft.confirm(TWO, Term(1), Index(1)), solo.raft.commit) == (True, 1)
    assert solo.raft.has_ready
    assert (solo.raft.confirm(TWO, Term(1), Index(2)), solo.raft.commit) == (True, 2)
    with pytest.raises(MemoryLost, match="knows 3 to be persisted here, but the log ends at 2"):
        solo.raft.confirm(TWO, Term(1), Index(3))


def test_who_follows_another_learns_nothing() -> None:
    solo = Solo(terms=[1])
    solo.step(solo.append(term=2, prev=(1, 1), terms=[2], sender=THREE))
    assert not solo.raft.confirm(TWO, Term(1), Index(2))
    assert solo.raft.commit == 0


def test_a_peer_is_told_no_more_than_it_is_known_to_have() -> None:
    solo = leader()
    solo.raft.propose(b"x")
    solo.settle()
    solo.step(solo.accepts(2, THREE))
    assert solo.raft.commit == 2
    assert (solo.raft.commit_known_to(TWO), solo.raft.commit_known_to(THREE)) == (1, 2)
