"""The contract of Ready: what is handed out, when it may be sent, and what its answers mean."""

from __future__ import annotations

from random import Random

import pytest

from cluster.errors import InvariantViolation
from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    AppendRequest,
    AppendResponse,
    Configuration,
    EntryKind,
    HardState,
    HeartbeatResponse,
    MemoryLogStorage,
    Raft,
    RaftConfig,
    Role,
    VoteRequest,
    VoteResponse,
)
from tests.raft.solo import ME, THREE, TWO, Solo, indexes, log_of, only, terms_of


def test_a_new_replica_has_nothing_to_do() -> None:
    solo = Solo()
    assert not solo.raft.has_ready
    bundle = solo.take()
    assert (bundle.number, bundle.must_persist, bundle.must_sync) == (1, False, False)
    assert (bundle.messages, bundle.messages_after_persist, bundle.committed) == ((), (), ())


def test_numbers_rise_by_one() -> None:
    solo = Solo()
    assert [solo.take().number for _ in range(3)] == [1, 2, 3]


def test_a_restart_goes_on_from_what_survived() -> None:
    solo = Solo(terms=[1, 1, 2], term=3, vote=2, commit=2, applied=1)
    raft = solo.raft
    assert (raft.term, raft.vote, raft.role, raft.leader) == (3, 2, Role.FOLLOWER, None)
    assert (raft.commit, raft.applied, raft.last_index, raft.persisted) == (2, 1, 3, 3)
    bundle = solo.take()
    assert indexes(bundle.committed) == [2]
    assert bundle.hard_state is None


def test_a_log_from_a_later_term_than_the_hard_state_is_refused() -> None:
    with pytest.raises(InvariantViolation, match="the log ends in term 4, but the term is 3"):
        Solo(terms=[1, 4], term=3)


def test_entries_are_handed_out_once_and_several_bundles_may_be_under_way() -> None:
    solo = Solo(terms=[1])
    solo.lead(caught_up=(TWO,))
    first_index = solo.raft.propose(b"a")
    one = solo.take()
    solo.raft.propose(b"b")
    two = solo.take()
    assert [e.data for e in (*one.entries, *two.entries)] == [b"a", b"b"]
    assert one.must_sync
    assert two.must_sync
    assert indexes(two.entries) == [first_index + 1]
    solo.raft.on_persisted(two.number)
    assert solo.raft.persisted == first_index + 1


@pytest.mark.parametrize("number", [1, 2, 4])
def test_an_answer_to_what_was_not_handed_out_or_is_answered_is_a_broken_invariant(
    number: int,
) -> None:
    solo = Solo()
    for _ in range(3):
        solo.take()
    solo.raft.on_persisted(2)
    with pytest.raises(InvariantViolation, match=f"bundle {number} persisted after 2"):
        solo.raft.on_persisted(number)


def test_term_and_vote_are_persisted_in_one_step() -> None:
    solo = Solo(term=1)
    solo.raft.step(solo.vote_request(term=7))
    bundle = solo.take()
    assert bundle.hard_state == HardState(Term(7), TWO, Index(0))
    assert bundle.must_sync
    assert not solo.raft.has_ready


def test_a_vote_is_sent_only_after_it_is_persisted() -> None:
    solo = Solo()
    solo.raft.step(solo.vote_request(term=1))
    bundle = solo.take()
    assert bundle.messages == ()
    assert bundle.messages_after_persist == (VoteResponse(ME, TWO, Term(1), True),)


def test_a_candidate_asks_for_votes_only_after_its_own_is_persisted() -> None:
    solo = Solo()
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.raft.step(solo.grant(TWO, pre_vote=True))
    bundle = solo.take()
    assert bundle.hard_state == HardState(Term(1), ME, Index(0))
    assert bundle.messages == ()
    assert [m.to for m in only(VoteRequest, bundle.messages_after_persist)] == [TWO, THREE]


def test_a_pre_vote_goes_at_once() -> None:
    solo = Solo()
    while not solo.raft.has_ready:
        solo.raft.tick()
    bundle = solo.take()
    assert bundle.messages_after_persist == ()
    assert [m.pre_vote for m in only(VoteRequest, bundle.messages)] == [True, True]
    assert not bundle.must_persist


def test_a_refusal_goes_at_once_if_its_term_is_persisted() -> None:
    solo = Solo(terms=[1], term=5, vote=3)
    solo.raft.step(solo.vote_request(term=5, last=(9, 4)))
    assert solo.take().messages == (VoteResponse(ME, TWO, Term(5), False),)


def test_no_message_tells_a_term_before_it_is_persisted() -> None:
    solo = Solo(terms=[3], term=3)
    solo.raft.step(solo.heartbeat(term=4))
    one = solo.take()
    assert one.messages == ()
    assert len(only(HeartbeatResponse, one.messages_after_persist)) == 1
    solo.raft.step(solo.heartbeat(term=4))
    two = solo.take()
    assert two.messages == ()
    assert not two.must_persist
    solo.raft.on_persisted(one.number)
    solo.raft.step(solo.heartbeat(term=4))
    assert len(only(HeartbeatResponse, solo.take().messages)) == 1


def test_an_acknowledgement_is_sent_only_after_its_entries_are_persisted() -> None:
    solo = Solo(term=1)
    solo.step(solo.heartbeat(term=1))
    solo.raft.step(solo.append(term=1, terms=[1, 1]))
    one = solo.take()
    assert one.messages == ()
    assert one.messages_after_persist == (AppendResponse(ME, TWO, Term(1), True, Index(2)),)
    solo.raft.step(solo.append(term=1, terms=[1, 1]))  # repeated before the disk is done
    two = solo.take()
    assert two.messages == ()
    assert two.messages_after_persist == one.messages_after_persist
    solo.raft.on_persisted(two.number)
    solo.raft.step(solo.append(term=1, terms=[1, 1]))
    assert solo.take().messages == one.messages_after_persist


def test_acknowledgements_that_wait_for_one_disk_write_are_one() -> None:
    solo = Solo(term=1)
    solo.step(solo.heartbeat(term=1))
    solo.raft.step(solo.append(term=1, terms=[1, 1]))
    solo.raft.step(solo.append(term=1, prev=(2, 1), terms=[1]))
    solo.raft.step(solo.append(term=1, terms=[1, 1]))
    assert [m.index for m in only(AppendResponse, solo.take().messages_after_persist)] == [3]


def test_other_answers_that_wait_are_kept_beside_the_acknowledgement() -> None:
    solo = Solo()
    solo.raft.step(solo.heartbeat(term=1))
    solo.raft.step(solo.append(term=1, terms=[1]))
    assert [type(m) for m in solo.take().messages_after_persist] == [
        HeartbeatResponse,
        AppendResponse,
    ]


def test_the_leader_sends_before_its_own_disk_is_done() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    solo.raft.propose(b"x")
    bundle = solo.take()
    assert [len(m.entries) for m in only(AppendRequest, bundle.messages)] == [1, 1]
    assert bundle.messages_after_persist == ()


def test_committed_entries_are_handed_out_only_once_persisted_here() -> None:
    """Two of three have it, but this replica has not: committed, and not yet to be applied."""
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    index = solo.raft.propose(b"x")
    bundle = solo.take()
    solo.raft.step(solo.accepts(index, TWO))
    solo.raft.step(solo.accepts(index, THREE))
    assert solo.raft.commit == index
    assert solo.take().committed == ()
    solo.raft.on_persisted(bundle.number)
    assert indexes(solo.take().committed) == [index]


def test_the_leader_counts_itself_only_once_persisted() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    index = solo.raft.propose(b"x")
    bundle = solo.take()
    solo.raft.step(solo.accepts(index, TWO))
    assert solo.raft.commit == index - 1
    solo.raft.on_persisted(bundle.number)
    assert solo.raft.commit == index


def test_a_follower_does_not_apply_what_an_old_completion_seems_to_confirm() -> None:
    """Async append ABA, through the whole core."""
    solo = Solo(term=1)
    solo.step(solo.heartbeat(term=1))
    solo.raft.step(solo.append(term=1, terms=[1, 1, 1]))
    old = solo.take()
    solo.raft.step(solo.append(term=2, terms=[2, 2, 2], commit=3, sender=THREE))
    new = solo.take()
    assert solo.raft.commit == 3
    solo.raft.on_persisted(old.number)
    assert solo.raft.persisted == 0
    assert solo.take().committed == ()
    solo.raft.on_persisted(new.number)
    assert terms_of(solo.take().committed) == [2, 2, 2]


def test_a_commit_index_alone_need_not_be_synced() -> None:
    solo = Solo(terms=[1, 1])
    solo.step(solo.heartbeat(term=1))
    solo.raft.step(solo.heartbeat(term=1, commit=2))
    bundle = solo.take()
    assert bundle.hard_state == HardState(Term(1), None, Index(2))
    assert not bundle.must_sync
    assert bundle.must_persist


def test_an_unchanged_hard_state_is_not_handed_out_again() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO,))
    solo.raft.propose(b"x")
    assert solo.take().hard_state is None


def test_the_host_hears_of_a_new_leader_without_any_other_work() -> None:
    solo = Solo(terms=[1], term=1)
    solo.raft.step(solo.heartbeat(term=1))
    bundle = solo.take()
    assert (bundle.role, bundle.term, bundle.leader) == (Role.FOLLOWER, 1, TWO)
    assert not solo.raft.has_ready


@pytest.mark.parametrize(("to", "sender"), [(9, TWO), (1, ME)])
def test_a_message_for_another_replica_or_from_oneself_is_dropped(
    to: int, sender: ReplicaId
) -> None:
    solo = Solo()
    request = VoteRequest(sender, ReplicaId(to), Term(5), Index(0), Term(0))
    solo.raft.step(request)
    assert (solo.raft.term, solo.raft.has_ready) == (0, False)


def test_reading_an_interface_twice_changes_nothing() -> None:
    solo = Solo()
    solo.lead()
    solo.raft.propose(b"x")
    assert solo.raft.has_ready
    assert solo.raft.status() == solo.raft.status()
    assert solo.raft.has_ready


def test_a_group_of_one_commits_by_itself_and_only_after_persisting() -> None:
    solo = Solo(1)
    solo.raft.tick()
    assert solo.raft.role is Role.LEADER
    one = solo.take()
    assert one.hard_state == HardState(Term(1), ME, Index(0))
    assert solo.raft.commit == 0
    solo.raft.on_persisted(one.number)
    assert solo.raft.commit == 1
    solo.raft.propose(b"x")
    two = solo.take()
    assert [e.data for e in two.committed] == [b""]
    solo.raft.on_persisted(two.number)
    assert [e.data for e in solo.take().committed] == [b"x"]


def test_a_leaders_first_entry_is_empty_and_of_its_term() -> None:
    solo = Solo(terms=[1, 1])
    solo.lead()
    first = solo.storage.entries(Index(3), Index(4), 100)[0]
    assert (first.term, first.kind, first.data) == (2, EntryKind.NORMAL, b"")


def test_elections_take_their_randomness_from_the_one_that_was_handed_in() -> None:
    def ticks_to_campaign(seed: int) -> int:
        raft = Raft(
            replica=ME,
            config=RaftConfig(),
            configuration=Configuration(frozenset({ME, TWO})),
            hard_state=HardState(),
            storage=MemoryLogStorage(),
            applied=Index(0),
            random=Random(seed),
        )
        ticks = 0
        while not raft.has_ready:
            raft.tick()
            ticks += 1
        return ticks

    times = [ticks_to_campaign(seed) for seed in range(200)]
    assert times == [ticks_to_campaign(seed) for seed in range(200)]
    assert set(times) == set(range(12, 25))


def test_a_follower_whose_log_begins_later_takes_the_rest_of_an_old_request() -> None:
    solo = Solo(terms=[1, 1, 1, 1], commit=3, applied=3, compacted=3)
    sent = solo.step(solo.append(term=1, prev=(1, 1), terms=[1, 1, 1, 1]))
    assert [m.index for m in only(AppendResponse, sent)] == [5]
    assert solo.raft.last_index == 5
    sent = solo.step(solo.append(term=1, prev=(0, 0), terms=[1]))
    assert [m.index for m in only(AppendResponse, sent)] == [1]
    assert solo.raft.last_index == 5
    assert log_of([1, 1], 4) == tuple(solo.storage.entries(Index(4), Index(6), 100))
