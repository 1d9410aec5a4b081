"""Replication and commit (dissertation 3.5, 3.6.2, 10.2.1), and the mistakes others made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import InvariantViolation, MemoryLost, NotLeader, TooManyUncommitted
from cluster.ids import Index, ReplicaId
from cluster.raft import (
    AppendRequest,
    AppendResponse,
    HeartbeatRequest,
    ProgressState,
    RaftConfig,
    Role,
)
from tests.raft.harness import Cluster
from tests.raft.solo import ME, THREE, TWO, Solo, indexes, only


def follower(terms: list[int], *, term: int, commit: int = 0) -> Solo:
    """Replica 1 with leader 2."""
    solo = Solo(terms=terms, term=term, commit=commit)
    solo.step(solo.heartbeat(term=term))
    return solo


def log_terms(solo: Solo) -> list[int]:
    return [solo.storage.term(Index(i)) for i in range(1, solo.raft.last_index + 1)]


# The follower's side


@pytest.mark.parametrize(
    ("prev", "terms", "accepted", "log"),
    [
        ((0, 0), [1], 1, [1, 1, 2]),
        ((3, 2), [3, 3], 5, [1, 1, 2, 3, 3]),
        ((3, 2), [], 3, [1, 1, 2]),
        ((2, 1), [3], 3, [1, 1, 3]),
        ((1, 1), [1, 2], 3, [1, 1, 2]),
        ((4, 2), [3], None, [1, 1, 2]),
        ((3, 3), [3], None, [1, 1, 2]),
    ],
)
def test_entries_are_taken_where_what_precedes_them_matches(
    prev: tuple[int, int], terms: list[int], accepted: int | None, log: list[int]
) -> None:
    solo = follower([1, 1, 2], term=3)
    (answer,) = only(AppendResponse, solo.step(solo.append(term=3, prev=prev, terms=terms)))
    assert answer.accepted is (accepted is not None)
    assert answer.index == (prev[0] if accepted is None else accepted)
    assert log_terms(solo) == log


def test_a_delayed_append_does_not_cut_what_matches() -> None:
    solo = follower([], term=1)
    solo.step(solo.append(term=1, terms=[1, 1, 1, 1]))
    solo.step(solo.append(term=1, terms=[1, 1]))
    solo.step(solo.append(term=1, prev=(1, 1)))
    assert (solo.raft.last_index, solo.raft.persisted) == (4, 4)


@pytest.mark.parametrize(
    ("log", "prev", "hint"),
    [
        ([1, 1], (5, 3), (2, 1)),  # too short
        ([1, 1, 2, 2, 2], (5, 3), (5, 2)),  # the leader's term there is higher
        ([1, 1, 4, 4, 4], (5, 3), (2, 1)),  # all of term 4 is skipped at once
        ([4, 4], (1, 3), (0, 0)),
    ],
)
def test_a_rejection_hints_at_the_last_entry_that_could_match(
    log: list[int], prev: tuple[int, int], hint: tuple[int, int]
) -> None:
    solo = follower(log, term=5)
    (answer,) = only(AppendResponse, solo.step(solo.append(term=5, prev=prev)))
    assert (answer.accepted, answer.index) == (False, prev[0])
    assert (answer.hint_index, answer.hint_term) == hint


def test_a_request_against_what_is_committed_is_a_broken_invariant() -> None:
    solo = follower([1, 1, 1], term=3, commit=2)
    with pytest.raises(InvariantViolation, match="term 1 is committed"):
        solo.raft.step(solo.append(term=3, prev=(2, 2), terms=[3]))
    with pytest.raises(InvariantViolation, match="cut at 2"):
        solo.raft.step(solo.append(term=3, prev=(1, 1), terms=[2]))


@pytest.mark.parametrize(
    ("prev", "terms", "commit", "expected"),
    [
        ((0, 0), [1, 1], 9, 2),  # what follows may not be the leader's
        ((2, 1), [], 9, 2),
        ((3, 1), [2], 9, 4),
        ((3, 1), [2], 1, 1),
    ],
)
def test_an_append_commits_no_more_than_it_shows_to_match(
    prev: tuple[int, int], terms: list[int], commit: int, expected: int
) -> None:
    solo = follower([1, 1, 1, 1, 1], term=2)
    solo.step(solo.append(term=2, prev=prev, terms=terms, commit=commit))
    assert solo.raft.commit == expected


def test_a_heartbeat_commits_no_more_than_is_known_to_match() -> None:
    solo = follower([1, 1, 1, 1], term=2)
    solo.step(solo.heartbeat(term=2, commit=4))
    assert solo.raft.commit == 0
    solo.step(solo.append(term=2, prev=(2, 1)))
    solo.step(solo.heartbeat(term=2, commit=4))
    assert solo.raft.commit == 2


def test_what_matched_an_older_leader_is_not_known_to_match_the_next() -> None:
    solo = follower([1], term=1)
    solo.step(solo.append(term=1, prev=(1, 1), terms=[1, 1]))
    solo.step(solo.heartbeat(term=2, commit=3, sender=THREE))
    assert solo.raft.commit == 0


def test_a_follower_that_restarts_in_mid_term_knows_its_log_from_its_leader() -> None:
    """An entry of the current term came from its leader, and all before it matches."""
    solo = Solo(terms=[1, 1, 2], term=2)
    solo.step(solo.heartbeat(term=2, commit=3))
    assert solo.raft.commit == 3


def test_the_commit_index_does_not_move_back_on_reordered_messages() -> None:
    solo = follower([], term=1)
    solo.step(solo.append(term=1, terms=[1, 1, 1], commit=3))
    solo.step(solo.append(term=1, terms=[1], commit=1), solo.heartbeat(term=1, commit=2))
    assert solo.raft.commit == 3


def test_a_follower_that_lost_what_it_acknowledged_stops() -> None:
    solo = follower([1], term=1)
    with pytest.raises(MemoryLost, match="acknowledged entries were lost"):
        solo.raft.step(solo.heartbeat(term=1, commit=2))


# The leader's side


def test_a_leader_probes_with_its_first_entry() -> None:
    solo = Solo(terms=[1, 1])
    (request,) = only(AppendRequest, solo.lead(), TWO)
    assert (request.prev_index, request.prev_term, indexes(request.entries)) == (2, 1, [3])


def test_one_probe_at_a_time_and_a_heartbeat_allows_the_next() -> None:
    solo = Solo()
    solo.lead()
    solo.raft.propose(b"x")
    assert only(AppendRequest, solo.settle(), THREE) == []
    (again,) = only(AppendRequest, solo.step(solo.beats(THREE)), THREE)
    assert indexes(again.entries) == [1, 2]


def test_many_proposals_travel_in_one_request_per_follower() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    first, *_ = [solo.raft.propose(bytes([i])) for i in range(50)]
    sent = only(AppendRequest, solo.settle())
    assert [m.to for m in sent] == [TWO, THREE]
    assert indexes(sent[0].entries) == list(range(first, first + 50))
    assert sent[0].entries is sent[1].entries, "cut from the log once"


def test_requests_follow_each_other_without_waiting_for_answers() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO,))
    prevs = []
    for i in range(3):
        solo.raft.propose(bytes([i]))
        prevs += [m.prev_index for m in only(AppendRequest, solo.settle(), TWO)]
    assert prevs == [1, 2, 3]


SMALL = RaftConfig(inflight_messages_max=3, inflight_bytes_max=100, append_bytes_max=40)


def test_requests_are_cut_to_size_and_stop_at_the_windows_bound_in_bytes() -> None:
    solo = Solo(config=SMALL)
    solo.lead(caught_up=(TWO, THREE))
    for _ in range(10):
        solo.raft.propose(bytes(20))
    sent = only(AppendRequest, solo.settle(), TWO)
    assert [indexes(m.entries) for m in sent] == [[2, 3], [4, 5], [6]]
    (peer, _) = solo.raft.status().peers
    assert (peer.inflight_messages, peer.inflight_bytes) == (3, 100)
    sent = only(AppendRequest, solo.step(solo.accepts(3)), TWO)
    assert [indexes(m.entries) for m in sent] == [[7, 8]]


def test_requests_stop_at_the_windows_bound_in_messages() -> None:
    solo = Solo(config=SMALL)
    solo.lead(caught_up=(TWO, THREE))
    sent = 0
    for _ in range(5):
        solo.raft.propose(b"x")
        sent += len(only(AppendRequest, solo.settle(), TWO))
    assert sent == 3
    (request,) = only(AppendRequest, solo.step(solo.accepts(2)), TWO)
    assert indexes(request.entries) == [5, 6]


def test_an_entry_larger_than_the_window_travels_alone() -> None:
    solo = Solo(config=SMALL)
    solo.lead(caught_up=(TWO, THREE))
    solo.raft.propose(b"x")
    solo.settle()
    solo.raft.propose(bytes(500))
    assert only(AppendRequest, solo.settle(), TWO) == []
    (request,) = only(AppendRequest, solo.step(solo.accepts(2)), TWO)
    assert [len(e.data) for e in request.entries] == [500]
    solo.raft.propose(b"y")
    assert only(AppendRequest, solo.settle(), TWO) == []


def test_the_window_does_not_leak() -> None:
    """Over losses, rejections and late answers: in the end it is as empty as at first."""
    solo = Solo(config=SMALL)
    solo.lead(caught_up=(TWO, THREE))
    for round_number in range(50):
        for _ in range(4):
            solo.raft.propose(bytes(15))
        solo.settle()
        last = solo.raft.last_index
        match = solo.raft.status().peers[0].match
        if round_number % 3 == 0:
            solo.step(solo.rejects(last, (match, 1)), solo.accepts(match))
        solo.step(solo.accepts(match), solo.beats(TWO), solo.accepts(match - 1))
        for _ in range(10):
            solo.step(solo.accepts(min(last, solo.raft.status().peers[0].match + 2)))
        solo.step(solo.accepts(last), solo.accepts(last, THREE))
        peer = solo.raft.status().peers[0]
        assert (peer.match, peer.inflight_messages, peer.inflight_bytes) == (last, 0, 0)


def test_what_was_lost_is_found_out_by_a_heartbeat_even_with_a_full_window() -> None:
    solo = Solo(config=SMALL)
    solo.lead(caught_up=(TWO, THREE))
    for _ in range(5):
        solo.raft.propose(bytes(20))
        solo.settle()
    (check,) = only(AppendRequest, solo.step(solo.beats(TWO)), TWO)
    assert (check.prev_index, check.entries) == (4, ())
    sent = only(AppendRequest, solo.step(solo.rejects(4, (1, 1))), TWO)
    assert [indexes(m.entries) for m in sent] == [[2, 3]], "a probe, from where the logs part"


def test_a_follower_that_has_all_is_sent_nothing() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    assert solo.step(solo.beats(TWO), solo.accepts(1), solo.accepts(0)) == []


@pytest.mark.parametrize(
    ("log", "hint", "next_probe"),
    [
        ([1, 1, 1, 4, 4], (3, 1), 3),  # the follower lacks all of term 4
        ([1, 1, 1, 4, 4], (5, 3), 3),  # it has term 3 where this leader has 4
        ([1, 1, 1, 4, 4], (4, 4), 4),
        ([1, 1, 1, 4, 4], (0, 0), 0),
        ([2, 2, 2, 4, 4], (4, 1), 0),
    ],
)
def test_backtracking_skips_whole_terms(
    log: list[int], hint: tuple[int, int], next_probe: int
) -> None:
    solo = Solo(terms=log, term=4)
    solo.lead()
    (probe,) = only(AppendRequest, solo.step(solo.rejects(5, hint, THREE)), THREE)
    assert probe.prev_index == next_probe


def test_a_late_rejection_is_ignored() -> None:
    solo = Solo(terms=[1, 1, 1])
    solo.lead(caught_up=(TWO, THREE))
    assert solo.step(solo.rejects(3, (0, 0))) == []
    assert solo.raft.status().peers[0].state is ProgressState.REPLICATE


def test_a_request_that_overtook_another_is_sent_again() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    for data in (b"a", b"b"):
        solo.raft.propose(data)
        solo.settle()
    (again,) = only(AppendRequest, solo.step(solo.rejects(2, (1, 1))), TWO)
    assert (again.prev_index, indexes(again.entries)) == (1, [2, 3])
    assert solo.step(solo.accepts(2)) == [
        AppendRequest(ME, TWO, again.term, Index(2), again.term, Index(2), tuple(again.entries[1:]))
    ]


def test_match_does_not_move_back_on_reordered_answers() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO, THREE))
    solo.raft.propose(b"x")
    solo.raft.propose(b"y")
    solo.settle()
    solo.step(solo.accepts(3), solo.accepts(2), solo.accepts(1))
    assert (solo.raft.status().peers[0].match, solo.raft.commit) == (3, 3)


def test_an_acknowledgement_beyond_the_log_is_a_broken_invariant() -> None:
    solo = Solo()
    solo.lead()
    with pytest.raises(InvariantViolation, match="acknowledges 7 in term 1"):
        solo.raft.step(solo.accepts(7))


def test_a_heartbeat_tells_no_commit_index_beyond_what_the_follower_has() -> None:
    solo = Solo()
    solo.lead(caught_up=(TWO,))
    beats = only(HeartbeatRequest, solo.tick(solo.config.heartbeat_ticks))
    assert [(m.to, m.commit) for m in beats] == [(TWO, 1), (THREE, 0)]


# Requests in the place of heartbeats


def replicated(solo: Solo, *peers: ReplicaId) -> list[HeartbeatRequest]:
    """An entry that `peers` acknowledge, and a tick; the heartbeats that were sent."""
    index = solo.raft.propose(b"entry")
    sent = solo.settle()
    sent += solo.step(*(solo.accepts(index, peer) for peer in peers))
    return only(HeartbeatRequest, sent + solo.tick())


def steady(config: RaftConfig | None = None) -> Solo:
    """A leader that has sent something to both of its peers in every tick of an interval."""
    solo = Solo(config=config)
    solo.lead(caught_up=(TWO, THREE))
    for _ in range(2 * solo.config.heartbeat_ticks):
        replicated(solo, TWO, THREE)
    return solo


def test_requests_in_every_tick_take_the_place_of_heartbeats() -> None:
    solo = steady()
    for _ in range(10 * solo.config.election_ticks_max):
        assert replicated(solo, TWO, THREE) == []
    assert solo.raft.role is Role.LEADER, "acknowledgements are heard, too"


def test_heartbeats_are_sent_again_as_soon_as_there_is_a_tick_without_requests() -> None:
    solo = steady()
    ticks = solo.config.heartbeat_ticks
    for _ in range(ticks - 1):
        assert replicated(solo, TWO, THREE) == []
    assert {beat.to for beat in only(HeartbeatRequest, solo.tick(ticks + 1))} == {TWO, THREE}


def test_heartbeats_go_on_while_a_peer_is_sent_no_requests() -> None:
    solo = steady(RaftConfig(inflight_messages_max=1))
    ticks = solo.config.heartbeat_ticks
    beats = [beat for _ in range(3 * ticks) for beat in replicated(solo, TWO)]
    assert {beat.to for beat in beats} == {TWO, THREE}


def test_a_single_request_in_an_interval_of_one_tick_is_no_steady_speech() -> None:
    solo = steady(RaftConfig(heartbeat_ticks=1))
    assert {beat.to for beat in replicated(solo, TWO, THREE)} == {TWO, THREE}


# Commit


def test_entries_of_older_terms_are_not_committed_by_counting() -> None:
    """Figure 3.7: they may yet be overwritten, however many have them."""
    solo = Solo(5, terms=[1, 2], term=3)
    solo.lead()
    first = solo.raft.last_index
    assert first == 3
    for peer in (TWO, THREE):
        solo.step(solo.accepts(2, peer))
    assert solo.raft.commit == 0
    solo.step(solo.accepts(3, TWO))
    assert solo.raft.commit == 0
    solo.step(solo.accepts(3, THREE))
    assert solo.raft.commit == 3


@given(st.lists(st.tuples(st.integers(2, 5), st.integers(1, 8)), max_size=30))
def test_the_commit_index_is_the_majoritys(answers: list[tuple[int, int]]) -> None:
    solo = Solo(5)
    solo.lead()
    for _ in range(7):
        solo.raft.propose(b"x")
    solo.settle()
    match = {1: 8, 2: 0, 3: 0, 4: 0, 5: 0}
    for peer, index in answers:
        solo.step(solo.accepts(index, ReplicaId(peer)))
        match[peer] = max(match[peer], index)
        assert solo.raft.commit == sorted(match.values())[2]


def test_only_a_leader_takes_proposals() -> None:
    solo = Solo(term=3)
    with pytest.raises(NotLeader, match="replica 1 is FOLLOWER in term 3; its leader is not known"):
        solo.raft.propose(b"x")
    solo.step(solo.heartbeat(term=3))
    with pytest.raises(NotLeader, match="its leader is 2"):
        solo.raft.propose(b"x")


def test_proposals_beyond_the_bound_are_refused_until_others_are_committed() -> None:
    solo = Solo(config=RaftConfig(uncommitted_bytes_max=100))
    solo.lead(caught_up=(TWO, THREE))
    for _ in range(4):
        solo.raft.propose(bytes(25))
    with pytest.raises(TooManyUncommitted, match="100 bytes wait"):
        solo.raft.propose(b"x")
    assert solo.raft.last_index == 5
    solo.settle()
    solo.step(solo.accepts(3))
    assert solo.raft.status().uncommitted_bytes == 50
    solo.raft.propose(bytes(50))
    with pytest.raises(TooManyUncommitted):
        solo.raft.propose(b"x")


def test_what_older_leaders_proposed_does_not_count_against_the_bound() -> None:
    solo = Solo(config=RaftConfig(uncommitted_bytes_max=100))
    solo.step(solo.heartbeat(term=1))
    solo.step(solo.append(term=1, terms=[1, 1], data=bytes(80)))
    solo.lead()
    solo.raft.propose(bytes(90))
    solo.settle()
    solo.step(solo.accepts(3))
    assert solo.raft.commit == 3
    assert solo.raft.status().uncommitted_bytes == 90
    solo.step(solo.accepts(4))
    assert solo.raft.status().uncommitted_bytes == 0


def test_committed_entries_are_handed_out_in_bundles_of_bounded_size() -> None:
    solo = Solo(config=RaftConfig(committed_bytes_max=25))
    solo.lead(caught_up=(TWO, THREE))
    for _ in range(5):
        solo.raft.propose(bytes(10))
    solo.settle()
    before = len(solo.bundles)
    solo.step(solo.accepts(6))
    assert [indexes(b.committed) for b in solo.bundles[before:] if b.committed] == [
        [2, 3],
        [4, 5],
        [6],
    ]


# Whole groups


def test_logs_as_in_figure_3_6_are_made_equal() -> None:
    logs = {
        1: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
        2: [1, 1, 1, 4, 4, 5, 5, 6, 6],
        3: [1, 1, 1, 4],
        4: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        5: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        6: [1, 1, 1, 4, 4, 4, 4],
        7: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    }
    cluster = Cluster(7)
    for replica, terms in logs.items():
        cluster.replace_log(replica, terms, term=7)
    cluster.elect(1)
    cluster.run_until(cluster.all_quiet)
    expected = [*logs[1], 8]
    for member in cluster.members.values():
        assert member.disk.terms == expected


def test_a_follower_catches_up_in_few_round_trips_over_many_conflicting_terms() -> None:
    cluster = Cluster(3)
    cluster.replace_log(1, [1] * 100 + [9] * 100, term=9)
    cluster.replace_log(2, [1] * 100 + [9] * 100, term=9)
    cluster.replace_log(3, [1] * 100 + [2] * 50 + [4] * 50, term=9)
    cluster.elect(1)
    cluster.run(1)
    sent = cluster.sent
    cluster.run_until(lambda: cluster.all_applied(201), ticks_max=20)
    assert sent < 60


def test_an_old_leaders_unacknowledged_entries_give_way() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.run_until(cluster.all_quiet)
    cluster.cut(1)
    lost = cluster.propose(1, b"lost")
    cluster.wake(2, silent_ticks=20)
    cluster.wake(3, silent_ticks=20)
    cluster.run_until(lambda: cluster.led_by(2, 3))
    kept = cluster.propose(cluster.leader_id(), b"kept")
    cluster.heal()
    assert kept is not None
    cluster.run_until(lambda: cluster.all_applied(kept))
    assert lost is not None
    assert [data for _, data, _ in cluster.checker.committed] == [b"", b"", b"kept"]
    assert cluster.raft(1).role is Role.FOLLOWER


def test_a_follower_restarted_without_its_last_entries_gets_them_again() -> None:
    cluster = Cluster(3)
    cluster.elect(1)
    cluster.faults.persist_max = 500
    for i in range(10):
        cluster.propose(1, bytes([i]))
    cluster.crash(TWO)
    cluster.faults.persist_max = 1
    cluster.start(TWO)
    last = cluster.propose(1, b"last")
    assert last is not None
    cluster.run_until(lambda: cluster.all_applied(last), ticks_max=100)
