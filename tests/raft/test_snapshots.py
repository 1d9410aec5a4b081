"""Compaction and snapshots (dissertation chapter 5), and the mistakes others made in them."""

from __future__ import annotations

import pytest

from cluster.errors import InvariantViolation
from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    AppendRequest,
    AppendResponse,
    Configuration,
    Entry,
    HardState,
    HeartbeatRequest,
    HeartbeatResponse,
    ProgressState,
    RaftConfig,
    Ready,
    Role,
    SnapshotMeta,
    SnapshotRequest,
    TimeoutNow,
    VoteRequest,
)
from tests.raft.harness import Cluster
from tests.raft.solo import (
    ME,
    THREE,
    TWO,
    Solo,
    change,
    configuration,
    entry,
    log_of,
    members,
    membership_entry,
    only,
    terms_of,
)

SNAPSHOT = ProgressState.SNAPSHOT
ALL = configuration(3)


def meta(index: int, term: int, group: Configuration = ALL) -> SnapshotMeta:
    return SnapshotMeta(Index(index), Term(term), group)


def snapshot(
    index: int, of: int, *, term: int, group: Configuration = ALL, sender: ReplicaId = TWO
) -> SnapshotRequest:
    """Of a log whose entry at `index` is of term `of`, sent by the leader of `term`."""
    return SnapshotRequest(sender, ME, Term(term), meta(index, of, group))


# The leader's side


def compacted_leader(config: RaftConfig | None = None) -> Solo:
    """Leads with a log that begins at 4 and ends at 5; TWO has all of it, THREE has nothing."""
    solo = Solo(terms=[1, 1, 1, 1], commit=4, applied=4, compacted=3, config=config)
    solo.lead(caught_up=(TWO,))
    assert solo.raft.applied == 5
    return solo


def sent_snapshot(config: RaftConfig | None = None) -> Solo:
    solo = compacted_leader(config)
    solo.step(solo.rejects(4, (0, 0), THREE))
    return solo


def state_of_three(solo: Solo) -> tuple[ProgressState, int | None]:
    three = solo.raft.status().peers[1]
    return three.state, three.snapshot_index


def test_a_follower_that_needs_compacted_entries_is_sent_the_applied_state() -> None:
    solo = compacted_leader()
    sent = solo.step(solo.rejects(4, (1, 1), THREE))
    assert sent == [SnapshotRequest(ME, THREE, Term(2), meta(5, 2))]
    assert state_of_three(solo) == (SNAPSHOT, 5)


def test_a_snapshot_carries_the_configuration_of_the_applied_state_and_no_later_one() -> None:
    log = [*log_of([1, 1]), membership_entry(3, 1, members((1, 2, 3), (), (4,))), entry(4, 1)]
    solo = Solo(log=log, commit=3, applied=3, compacted=3, group=members((1, 2, 3), (), (4,)))
    solo.lead(caught_up=(TWO,))
    solo.raft.propose_membership(change((1, 2, 3), (4, 5)))
    (request,) = only(SnapshotRequest, solo.step(solo.rejects(4, (0, 0), THREE)))
    assert request.snapshot == meta(5, 2, members((1, 2, 3), (), (4,)))
    assert solo.raft.configuration == members((1, 2, 3), (), (4, 5))


def test_one_snapshot_at_a_time_goes_to_a_follower_and_no_entries() -> None:
    solo = sent_snapshot()
    solo.raft.propose(b"x")
    sent = solo.settle()
    sent += solo.step(solo.rejects(4, (1, 1), THREE), solo.rejects(5, (0, 0), THREE))
    sent += solo.tick(2)
    assert {type(m) for m in sent if m.to == THREE} == {HeartbeatRequest}
    assert state_of_three(solo) == (SNAPSHOT, 5)


def test_entries_flow_behind_a_snapshot_once_it_is_acknowledged() -> None:
    solo = sent_snapshot()
    solo.raft.propose(b"x")
    solo.settle()
    (request,) = only(AppendRequest, solo.step(solo.accepts(5, THREE)), THREE)
    assert (request.prev_index, request.prev_term, len(request.entries)) == (5, 2, 1)
    assert state_of_three(solo) == (ProgressState.REPLICATE, None)


def test_an_acknowledgement_below_the_snapshot_does_not_end_it() -> None:
    solo = sent_snapshot()
    solo.step(solo.accepts(2, THREE))
    assert state_of_three(solo) == (SNAPSHOT, 5)
    assert solo.raft.status().peers[1].match == 2


def test_a_receiver_that_took_a_later_state_goes_on_behind_that() -> None:
    """The host may stream what it has applied by the time it starts to."""
    solo = sent_snapshot()
    last = solo.raft.propose(b"x")
    solo.settle()
    solo.step(solo.accepts(last))
    solo.step(solo.accepts(last, THREE))
    assert solo.raft.status().peers[1].match == last
    assert state_of_three(solo) == (ProgressState.REPLICATE, None)


def test_a_lost_acknowledgement_is_found_out_with_the_next_heartbeat() -> None:
    solo = sent_snapshot()
    (probe,) = only(AppendRequest, solo.step(solo.beats(THREE)), THREE)
    assert (probe.prev_index, probe.prev_term, probe.entries) == (5, 2, ())
    solo.step(solo.rejects(5, (0, 0), THREE))  # not yet arrived
    assert state_of_three(solo) == (SNAPSHOT, 5)
    solo.step(solo.accepts(5, THREE))
    assert state_of_three(solo) == (ProgressState.REPLICATE, None)


def test_a_snapshot_that_failed_is_sent_again_when_its_receiver_is_heard() -> None:
    solo = sent_snapshot()
    (request,) = only(SnapshotRequest, [m for b in solo.bundles for m in b.messages])
    solo.raft.report_snapshot_failed(request)
    assert solo.settle() == [], "not at once: it would fail again and again"
    assert state_of_three(solo) == (ProgressState.PROBE, None)
    sent = solo.step(solo.beats(THREE))
    assert only(SnapshotRequest, sent, THREE) == [request]


def test_a_late_report_says_nothing_of_another_snapshot() -> None:
    solo = sent_snapshot()
    old = SnapshotRequest(ME, THREE, solo.raft.term, meta(4, 1))
    solo.raft.report_snapshot_failed(old)
    solo.raft.report_snapshot_failed(SnapshotRequest(ME, THREE, Term(1), meta(5, 2)))
    solo.raft.report_snapshot_failed(SnapshotRequest(ME, TWO, solo.raft.term, meta(5, 2)))
    assert state_of_three(solo) == (SNAPSHOT, 5)
    solo.step(solo.heartbeat(term=9))
    solo.raft.report_snapshot_failed(SnapshotRequest(ME, THREE, Term(9), meta(5, 2)))


def test_a_snapshot_that_is_not_acknowledged_for_long_is_given_up() -> None:
    solo = sent_snapshot(RaftConfig(snapshot_ticks_max=40))
    for _ in range(40):
        assert state_of_three(solo) == (SNAPSHOT, 5)
        solo.step(solo.beats(TWO), solo.beats(THREE))
        solo.tick()
    assert state_of_three(solo) == (ProgressState.PROBE, None)
    assert len(only(SnapshotRequest, solo.step(solo.beats(THREE)), THREE)) == 1


def test_no_snapshot_goes_to_who_was_not_heard_lately() -> None:
    solo = compacted_leader()
    solo.step(solo.rejects(4, (3, 1), THREE))  # may have index 3, and so needs 4: it is here
    for _ in range(solo.config.election_ticks_min):
        solo.step(solo.beats(TWO))
        solo.tick()
    solo.storage.compact(Index(5))
    solo.raft.propose(b"x")
    assert only(SnapshotRequest, solo.settle()) == []
    assert len(only(SnapshotRequest, solo.step(solo.beats(THREE)), THREE)) == 1


def test_a_follower_in_step_that_is_overtaken_by_compaction_gets_a_snapshot() -> None:
    solo = Solo(config=RaftConfig(inflight_messages_max=1))
    solo.lead(caught_up=(TWO, THREE))
    for _ in range(3):
        last = solo.raft.propose(b"x")
        solo.settle()
        solo.step(solo.accepts(last))
    assert solo.raft.applied == 4
    solo.storage.compact(Index(4))
    sent = solo.step(solo.accepts(2, THREE))
    assert only(SnapshotRequest, sent, THREE) == [
        SnapshotRequest(ME, THREE, solo.raft.term, meta(4, 1))
    ]


def test_a_snapshot_that_is_overtaken_by_compaction_is_followed_by_another_and_not_by_a_gap() -> (
    None
):
    solo = sent_snapshot()
    last = solo.raft.propose(b"x")
    solo.settle()
    solo.step(solo.accepts(last))
    solo.storage.compact(last)
    assert only(AppendRequest, solo.step(solo.beats(THREE)), THREE) == []
    sent = solo.step(solo.accepts(5, THREE))
    solo.raft.propose(b"y")
    sent += solo.settle()
    (request,) = only(SnapshotRequest, sent, THREE)
    assert request.snapshot.index == last


def test_a_leader_that_steps_down_forgets_its_snapshots() -> None:
    solo = sent_snapshot()
    solo.step(solo.heartbeat(term=9))
    assert solo.raft.status().peers == ()


# The follower's side


def test_a_new_follower_installs_what_it_is_sent() -> None:
    solo = Solo(group=Configuration())
    solo.raft.step(snapshot(10, 3, term=4))
    bundle = solo.take()
    assert bundle.snapshot == meta(10, 3)
    assert (bundle.hard_state, bundle.must_sync) == (HardState(Term(4), None, Index(10)), True)
    assert bundle.must_persist
    assert (bundle.messages, bundle.committed) == ((), ())
    assert bundle.messages_after_persist == (AppendResponse(ME, TWO, Term(4), True, Index(10)),)
    status = solo.raft.status()
    assert (status.commit, status.applied, status.persisted, status.last_index) == (10, 0, 0, 10)
    assert (status.first_index, status.is_installing) == (11, True)
    assert status.configuration == ALL
    solo.raft.on_persisted(bundle.number)
    status = solo.raft.status()
    assert (status.applied, status.persisted, status.is_installing) == (10, 10, False)
    assert not solo.raft.has_ready


@pytest.mark.parametrize(
    ("terms", "index", "of"),
    [
        ([1, 1], 5, 2),  # it lacks the end
        ([1, 1, 1, 1, 1, 1, 1], 5, 2),  # another entry is there
        ([1, 1, 1, 1, 2, 2], 5, 4),
    ],
)
def test_a_snapshot_that_does_not_match_replaces_the_whole_log(
    terms: list[int], index: int, of: int
) -> None:
    solo = Solo(terms=terms, commit=1, applied=1)
    sent = solo.step(snapshot(index, of, term=5))
    assert sent == [AppendResponse(ME, TWO, Term(5), True, Index(index))]
    assert (solo.raft.last_index, solo.raft.applied, solo.raft.persisted) == (index, index, index)
    assert solo.storage.first_index() == index + 1


def test_a_snapshot_that_ends_at_an_entry_that_is_here_keeps_what_follows() -> None:
    """Else acknowledged entries behind it would be gone: they may be committed already (5.3)."""
    solo = Solo(terms=[1, 1, 2, 2, 2], term=2, commit=1, applied=1)
    sent = solo.step(snapshot(3, 2, term=2))
    assert sent == [AppendResponse(ME, TWO, Term(2), True, Index(3))]
    assert all(bundle.snapshot is None for bundle in solo.bundles)
    assert (solo.raft.last_index, solo.raft.commit, solo.raft.applied) == (5, 3, 3)
    assert terms_of(solo.storage.entries(Index(1), Index(6), 100)) == [1, 1, 2, 2, 2]


@pytest.mark.parametrize("index", [2, 4])
def test_a_snapshot_of_no_more_than_is_committed_is_answered_and_not_installed(index: int) -> None:
    """It came late, or twice: its sender has to learn that the follower has it."""
    solo = Solo(terms=[1, 1, 1, 1, 1], commit=4, applied=1)
    sent = solo.step(snapshot(index, 1, term=2))
    assert only(AppendResponse, sent) == [AppendResponse(ME, TWO, Term(2), True, Index(4))]
    assert all(bundle.snapshot is None for bundle in solo.bundles)
    assert solo.raft.last_index == 5


def test_the_same_snapshot_twice_is_installed_once() -> None:
    solo = Solo()
    solo.raft.step(snapshot(10, 3, term=4))
    solo.raft.step(snapshot(10, 3, term=4))
    solo.settle()
    sent = solo.step(snapshot(10, 3, term=4))
    assert [bundle.snapshot for bundle in solo.bundles if bundle.snapshot] == [meta(10, 3)]
    assert [m.index for m in only(AppendResponse, sent)] == [10]


def test_a_snapshot_of_an_older_term_is_not_installed_and_its_sender_told() -> None:
    solo = Solo(term=5)
    sent = solo.step(snapshot(10, 3, term=4))
    assert sent == [HeartbeatResponse(ME, TWO, Term(5))]
    assert solo.raft.last_index == 0


def test_a_state_of_a_later_term_than_its_message_is_not_taken() -> None:
    """The sender lost its leadership while it streamed, and attached what it applied since. Who
    took it could be elected in a term of which it holds entries already. Found by simulation."""
    solo = Solo(terms=[1], term=4)
    sent = solo.step(snapshot(10, 5, term=4))
    assert only(AppendResponse, sent) == []
    assert (solo.raft.last_index, solo.raft.term) == (1, 4)


def test_a_snapshot_makes_its_sender_the_leader() -> None:
    solo = Solo(term=3)
    solo.tick_until(Role.PRE_CANDIDATE)
    solo.step(snapshot(10, 3, term=4))
    assert (solo.raft.role, solo.raft.term, solo.raft.leader) == (Role.FOLLOWER, 4, TWO)


def test_nothing_is_acknowledged_before_it_is_installed() -> None:
    solo = Solo(term=4)
    solo.step(solo.heartbeat(term=4))
    solo.raft.step(snapshot(10, 3, term=4))
    one = solo.take()
    solo.raft.step(snapshot(10, 3, term=4))  # again, while the first is installed
    solo.raft.step(solo.append(term=4, prev=(10, 3)))
    solo.raft.step(solo.append(term=4, prev=(4, 1), terms=[1]))
    two = solo.take()
    assert (one.messages, two.messages) == ((), ())
    assert [m.index for m in only(AppendResponse, two.messages_after_persist)] == [10]
    assert two.snapshot is None


def test_entries_that_come_while_a_snapshot_is_installed_follow_it() -> None:
    solo = Solo(terms=[1, 1], term=4, commit=1, applied=1)
    solo.raft.step(snapshot(10, 3, term=4))
    one = solo.take()
    solo.raft.step(solo.append(term=4, prev=(10, 3), terms=[4, 4], commit=12))
    two = solo.take()
    assert [e.index for e in two.entries] == [11, 12]
    assert (solo.raft.commit, two.committed) == (12, ())
    solo.raft.on_persisted(one.number)
    assert not solo.raft.has_ready, "applied are entries that are persisted"
    solo.raft.on_persisted(two.number)
    assert [e.index for e in solo.take().committed] == [11, 12]


def test_a_snapshot_and_what_follows_it_may_share_a_bundle() -> None:
    solo = Solo(term=4)
    solo.raft.step(snapshot(10, 3, term=4))
    solo.raft.step(solo.append(term=4, prev=(10, 3), terms=[4], commit=11))
    bundle = solo.take()
    assert (bundle.snapshot, [e.index for e in bundle.entries]) == (meta(10, 3), [11])
    solo.raft.on_persisted(bundle.number)
    assert (solo.raft.applied, solo.raft.persisted) == (10, 11)
    assert [e.index for e in solo.take().committed] == [11]


def test_two_snapshots_in_quick_succession_end_with_the_newer() -> None:
    solo = Solo(term=4)
    solo.raft.step(snapshot(10, 3, term=4))
    one = solo.take()
    solo.raft.step(snapshot(20, 4, term=4))
    two = solo.take()
    assert (one.snapshot, two.snapshot) == (meta(10, 3), meta(20, 4))
    solo.raft.on_persisted(one.number)
    assert (solo.raft.applied, solo.raft.commit, solo.raft.last_index) == (10, 20, 20)
    assert solo.raft.status().is_installing
    assert not solo.raft.has_ready
    solo.raft.on_persisted(two.number)
    assert (solo.raft.applied, solo.raft.persisted) == (20, 20)


def test_of_two_snapshots_before_a_bundle_only_the_newer_is_installed() -> None:
    solo = Solo(term=4)
    solo.raft.step(snapshot(10, 3, term=4))
    solo.raft.step(snapshot(20, 4, term=4))
    solo.settle()
    assert [b.snapshot for b in solo.bundles if b.snapshot] == [meta(20, 4)]
    assert solo.raft.applied == 20


def test_a_newer_snapshot_that_ends_in_what_followed_the_older_is_not_installed() -> None:
    solo = Solo(term=4)
    solo.raft.step(snapshot(10, 3, term=4))
    solo.raft.step(solo.append(term=4, prev=(10, 3), terms=[4, 4, 4]))
    one = solo.take()
    solo.raft.step(snapshot(12, 4, term=4))
    two = solo.take()
    assert (two.snapshot, solo.raft.commit, solo.raft.last_index) == (None, 12, 13)
    solo.raft.on_persisted(one.number)
    assert [e.index for e in solo.take().committed] == [11, 12]


def test_an_old_disk_completion_confirms_nothing_of_what_a_snapshot_replaced() -> None:
    """Async append ABA with a snapshot between."""
    solo = Solo(term=1)
    solo.step(solo.heartbeat(term=1))
    solo.raft.step(solo.append(term=1, terms=[1, 1, 1, 1, 1]))
    old = solo.take()
    solo.raft.step(snapshot(3, 2, term=2, sender=THREE))
    solo.raft.step(solo.append(term=2, prev=(3, 2), terms=[2], commit=4, sender=THREE))
    new = solo.take()
    solo.raft.on_persisted(old.number)
    assert (solo.raft.persisted, solo.raft.applied) == (0, 0)
    assert not solo.raft.has_ready
    solo.raft.on_persisted(new.number)
    assert terms_of(solo.take().committed) == [2]


def test_what_was_still_to_be_applied_is_covered_by_the_snapshot() -> None:
    """The host drops it; if it has applied it all the same, that changes nothing."""
    solo = Solo(terms=[1, 1, 1], term=4, commit=1)
    solo.raft.step(solo.append(term=4, prev=(2, 1), commit=2))
    one = solo.take()
    assert [e.index for e in one.committed] == [1, 2]
    solo.raft.step(snapshot(10, 3, term=4))
    two = solo.take()
    solo.raft.on_applied(Index(1))
    assert solo.raft.applied == 1
    solo.raft.on_persisted(two.number)
    solo.raft.on_applied(Index(2))
    assert solo.raft.applied == 10


def test_nobody_campaigns_while_a_snapshot_is_installed() -> None:
    """As a leader it could neither send what it has not, nor a snapshot of what it has."""
    solo = Solo(term=4)
    solo.raft.step(snapshot(10, 3, term=4))
    bundle = solo.take()
    for _ in range(100):
        solo.raft.tick()
    solo.raft.step(TimeoutNow(TWO, ME, Term(4)))
    assert only(VoteRequest, solo.take().messages) == []
    assert solo.role() is Role.FOLLOWER
    assert not solo.raft.is_quiet
    solo.raft.on_persisted(bundle.number + 1)
    solo.tick_until(Role.PRE_CANDIDATE)


def test_votes_are_given_by_the_place_of_the_snapshot() -> None:
    solo = Solo(term=4)
    solo.step(snapshot(10, 3, term=4))
    solo.tick(24)
    solo.step(solo.vote_request(sender=THREE, term=6, last=(9, 3)))
    assert solo.raft.vote is None
    solo.step(solo.vote_request(sender=THREE, term=7, last=(10, 3)))
    assert solo.raft.vote == THREE


@pytest.mark.parametrize(
    ("prev", "accepted", "hint"),
    [((10, 3), True, None), ((12, 4), False, (10, 3))],
)
def test_after_a_snapshot_an_append_is_taken_only_if_it_follows(
    prev: tuple[int, int], accepted: bool, hint: tuple[int, int] | None
) -> None:
    solo = Solo(term=4)
    solo.step(snapshot(10, 3, term=4))
    (answer,) = only(AppendResponse, solo.step(solo.append(term=4, prev=prev, terms=[4])))
    assert answer.accepted is accepted
    if hint is not None:
        assert (answer.hint_index, answer.hint_term) == hint
        assert solo.raft.last_index == 10


def test_an_append_that_contradicts_a_snapshot_is_a_broken_invariant() -> None:
    solo = Solo(term=4)
    solo.step(snapshot(10, 3, term=4))
    with pytest.raises(InvariantViolation, match="where term 3 is committed"):
        solo.step(solo.append(term=4, prev=(10, 2), terms=[4]))


def test_an_append_from_before_the_snapshot_is_not_taken_for_what_follows_it() -> None:
    solo = Solo(term=4)
    solo.raft.step(snapshot(10, 3, term=4))
    solo.raft.step(solo.append(term=4, prev=(2, 1), terms=[1, 1, 1]))
    sent = solo.settle()
    assert solo.raft.last_index == 10
    assert [m.index for m in only(AppendResponse, sent)] == [10]
    solo.step(solo.append(term=4, prev=(8, 3), terms=[3, 3, 4, 4]))
    assert terms_of(solo.storage.entries(Index(11), Index(13), 100)) == [4, 4]


def test_a_snapshots_configuration_is_in_force_and_later_ones_follow_it() -> None:
    group = members((1, 4), (1, 2, 3))
    solo = Solo(terms=[1, 1], term=4, commit=1, applied=1)
    solo.raft.step(snapshot(10, 3, term=4, group=group))
    assert solo.raft.configuration == group, "joint consensus is not lost"
    solo.settle()
    after = membership_entry(11, 4, members((1, 4)))
    solo.step(AppendRequest(TWO, ME, Term(4), Index(10), Term(3), Index(10), (after,)))
    assert solo.raft.configuration == members((1, 4))
    solo.step(solo.append(term=5, prev=(10, 3), terms=[5], sender=THREE))
    assert solo.raft.configuration == group


def crashed(*bundles: Ready) -> Solo:
    """A life after `bundles`, and no others, have reached the disk."""
    state, applied, group = HardState(), 0, ALL
    log: list[Entry] = []
    first, previous = 1, Term(0)
    for bundle in bundles:
        if bundle.snapshot is not None:
            first, previous = bundle.snapshot.index + 1, bundle.snapshot.term
            applied, group, log = bundle.snapshot.index, bundle.snapshot.configuration, []
        log = [e for e in log if not bundle.entries or e.index < bundle.entries[0].index]
        log.extend(bundle.entries)
        state = bundle.hard_state or state
    return Solo(
        log=log,
        term=state.term,
        commit=state.commit,
        applied=applied,
        group=group,
        before=(first - 1, previous),
    )


def test_a_crash_before_the_install_leaves_the_old_log_and_one_after_it_the_new() -> None:
    solo = Solo()
    solo.raft.step(solo.append(term=1, terms=[1, 1]))
    one = solo.take()
    solo.raft.step(snapshot(10, 3, term=4))
    solo.raft.step(solo.append(term=4, prev=(10, 3), terms=[4]))
    two = solo.take()
    before = crashed(one)
    assert (before.raft.last_index, before.raft.applied) == (2, 0)
    assert before.step(snapshot(10, 3, term=4))[-1] == AppendResponse(
        ME, TWO, Term(4), True, Index(10)
    )
    after = crashed(one, two)
    assert (after.raft.last_index, after.raft.applied, after.raft.commit) == (11, 10, 10)
    (answer,) = only(AppendResponse, after.step(snapshot(10, 3, term=4)))
    assert (answer.accepted, answer.index) == (True, 10)
    assert all(bundle.snapshot is None for bundle in after.bundles)


# Whole groups


def far_behind(size: int = 3) -> Cluster:
    """The last replica is down while the others commit and compact all of it."""
    cluster = Cluster(size)
    cluster.elect(1)
    cluster.run_until(cluster.all_quiet)
    cluster.crash(ReplicaId(size))
    for _ in range(5):
        cluster.propose(1, b"x")
        cluster.run(1)
    for replica in range(1, size):
        cluster.compact(replica)
    return cluster


def test_a_replica_that_was_long_away_catches_up_by_a_snapshot() -> None:
    cluster = far_behind()
    cluster.start(THREE)
    cluster.propose(1, b"y")
    cluster.run_until(cluster.all_quiet)
    assert cluster.checker.snapshots_installed == 1
    assert cluster.raft(3).applied == cluster.raft(1).applied


def test_a_replica_that_joins_a_compacted_group_catches_up_and_becomes_a_voter() -> None:
    cluster = far_behind()
    joined = cluster.join()
    assert cluster.change(1, (1, 2, 3), (joined,))
    cluster.run(20)
    assert cluster.checker.snapshots_installed == 1
    assert cluster.change(1, (1, 2, joined))
    cluster.run(20)
    assert cluster.raft(joined).configuration == members((1, 2, joined))
    cluster.crash(TWO)
    assert cluster.propose(1, b"y") is not None
    cluster.run(5)
    assert cluster.raft(1).commit == cluster.raft(joined).commit == cluster.raft(1).last_index


def test_a_snapshot_that_arrives_after_its_replica_was_destroyed_is_nothing() -> None:
    cluster = far_behind()
    cluster.faults.snapshot_delay_max = 10_000
    cluster.start(THREE)
    cluster.propose(1, b"y")
    cluster.run_until(lambda: cluster.raft(1).status().peers[1].state is SNAPSHOT)
    cluster.destroy(THREE)
    cluster.run(1000)
    assert cluster.checker.snapshots_installed == 0
    assert cluster.led_by(1)
