"""RaftLog: positions, conflicts, and what a disk completion confirms."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import InvariantViolation
from cluster.ids import Index, Term
from cluster.raft import Entry, MemoryLogStorage, SnapshotMeta
from cluster.raft.log import RaftLog
from tests.raft.solo import configuration, entry, indexes, log_of


class Host:
    """A log and its storage; `hand_out` does what a host does."""

    def __init__(
        self, terms: Sequence[int] = (), *, commit: int = 0, applied: int = 0, compacted: int = 0
    ) -> None:
        self.storage = MemoryLogStorage()
        self.storage.append(log_of(terms))
        if compacted:
            self.storage.compact(Index(compacted))
        self.log = RaftLog(
            self.storage,
            commit=Index(commit),
            applied=Index(applied),
            configuration=configuration(3),
        )
        self.number = 0

    def hand_out(self) -> int:
        self.number += 1
        snapshot = self.log.hand_out_snapshot(self.number)
        if snapshot is not None:
            self.storage.install(snapshot.index, snapshot.term)
        self.storage.append(self.log.hand_out(self.number))
        return self.number

    def terms(self) -> list[int]:
        return [self.log.term(i) for i in range(1, self.log.last_index + 1)]


@pytest.mark.parametrize(
    ("terms", "commit", "applied", "compacted", "complaint"),
    [
        ([1, 1], 3, 0, 0, "commit index 3 is beyond the last index 2"),
        ([1, 1], 0, 3, 0, "applied up to 3"),
        ([1, 1, 1], 0, 1, 2, "applied up to 1, but the log is"),
    ],
)
def test_a_log_that_lost_something_is_not_opened(
    terms: list[int], commit: int, applied: int, compacted: int, complaint: str
) -> None:
    with pytest.raises(InvariantViolation, match=complaint):
        Host(terms, commit=commit, applied=applied, compacted=compacted)


def test_what_was_applied_is_committed_even_if_the_hard_state_is_older() -> None:
    log = Host([1, 1, 1], commit=1, applied=2).log
    assert (log.commit, log.handed_out, log.persisted, log.last_index) == (2, 2, 3, 3)


LOG = [1, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("first", "terms", "expected", "handed_out"),
    [
        (6, [], LOG, []),
        (6, [3, 4], [*LOG, 3, 4], [6, 7]),
        (4, [3, 3], LOG, []),  # all is there
        (1, [1, 1], LOG, []),  # a late request: what follows stays
        (4, [3, 3, 4], [*LOG, 4], [6]),  # only what is new
        (5, [4], [1, 1, 2, 3, 4], [5]),  # a conflict cuts
        (4, [3, 4, 4], [1, 1, 2, 3, 4, 4], [5, 6]),
        (3, [4], [1, 1, 4], [3]),
    ],
)
@pytest.mark.parametrize("unstable", [0, 2, 5])
def test_merging_cuts_only_at_a_conflict(
    first: int, terms: list[int], expected: list[int], handed_out: list[int], unstable: int
) -> None:
    host = Host(LOG[: 5 - unstable], commit=2 if unstable < 5 else 0)
    host.log.merge(log_of(LOG[5 - unstable :], 6 - unstable))
    host.log.merge(log_of(terms, first))
    assert host.terms() == expected
    assert (host.log.last_index, host.log.last_term) == (len(expected), expected[-1])
    new = indexes(host.log.hand_out(1))
    assert new[-len(handed_out) :] == handed_out if handed_out else set(new) <= {1, 2, 3, 4, 5}


def test_cutting_what_is_committed_is_a_broken_invariant() -> None:
    host = Host(LOG, commit=4)
    with pytest.raises(InvariantViolation, match="cut at 4, but all up to 4 is committed"):
        host.log.merge(log_of([5], 4))


def test_a_gap_is_a_broken_invariant() -> None:
    with pytest.raises(InvariantViolation, match="entry 7 put behind 5"):
        Host(LOG).log.merge(log_of([5], 7))


def test_committing_beyond_the_log_is_a_broken_invariant() -> None:
    with pytest.raises(InvariantViolation, match="commit of 6, but the log ends at 5"):
        Host(LOG).log.commit_to(Index(6))


def test_the_commit_index_never_moves_back() -> None:
    log = Host(LOG, commit=4).log
    log.commit_to(Index(3))
    assert log.commit == 4


@pytest.mark.parametrize(
    ("last_index", "last_term", "expected"),
    [(5, 3, True), (4, 3, False), (6, 3, True), (1, 4, True), (9, 2, False)],
)
def test_a_later_last_term_beats_a_longer_log(
    last_index: int, last_term: int, expected: bool
) -> None:
    assert Host(LOG).log.is_up_to_date(last_index, last_term) is expected


@pytest.mark.parametrize(
    ("index", "term", "floor", "expected"),
    [
        (5, 3, 0, 5),
        (5, 2, 0, 3),
        (5, 1, 0, 2),
        (9, 9, 0, 5),  # the log is too short
        (4, 2, 0, 3),
        (5, 0, 0, 0),
        (5, 0, 2, 2),  # what is known to match is kept
        (1, 3, 4, 4),
    ],
)
def test_the_last_that_could_match_has_no_higher_term(
    index: int, term: int, floor: int, expected: int
) -> None:
    assert Host(LOG).log.last_that_could_match(index, term, floor) == expected


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=20).map(sorted),
    st.integers(0, 25),
    st.integers(0, 7),
)
def test_searching_by_halves_finds_what_searching_one_by_one_finds(
    terms: list[int], index: int, term: int
) -> None:
    expected = min(index, len(terms))
    while expected > 0 and terms[expected - 1] > term:
        expected -= 1
    assert Host(terms).log.last_that_could_match(index, term, 0) == expected


def test_below_what_was_compacted_only_the_position_is_known() -> None:
    log = Host(LOG, compacted=3, applied=3).log
    assert log.last_that_could_match(5, 1, 0) == 2
    assert log.last_that_could_match(2, 9, 0) == 2
    assert log.last_that_could_match(5, 2, 0) == 3


@pytest.mark.parametrize("stored", range(7))
@pytest.mark.parametrize(
    ("low", "bytes_max", "expected"),
    [
        (1, 100, [1, 2, 3, 4, 5, 6]),
        (1, 35, [1, 2, 3]),
        (3, 20, [3, 4]),
        (3, 1, [3]),  # at least one
        (6, 100, [6]),
    ],
)
def test_entries_are_cut_to_size_across_stored_and_unstable(
    stored: int, low: int, bytes_max: int, expected: list[int]
) -> None:
    host = Host()
    every = [entry(i, 1, bytes(10)) for i in range(1, 7)]
    host.log.merge(every[:stored])
    host.hand_out()
    host.log.merge(every[stored:])
    assert indexes(host.log.entries(low, bytes_max)) == expected


def test_a_completion_confirms_what_its_bundle_and_those_below_wrote() -> None:
    host = Host()
    for index in (1, 2, 3):
        host.log.append(entry(index, 1))
        host.hand_out()
    host.log.on_persisted(2)
    assert host.log.persisted == 2
    host.log.on_persisted(3)
    assert host.log.persisted == 3


def test_a_completion_does_not_confirm_what_was_overwritten_since() -> None:
    """Async append ABA: the same index, another entry."""
    host = Host([1, 1])
    host.log.merge(log_of([1, 1, 1], 3))
    first = host.hand_out()
    host.log.merge(log_of([2, 2, 2], 4))
    assert host.log.persisted == 2
    second = host.hand_out()
    host.log.on_persisted(first)
    assert host.log.persisted == 3, "entries 4 and 5 are not those that were written"
    host.log.on_persisted(second)
    assert host.log.persisted == 6


def test_what_was_persisted_is_no_longer_once_it_is_overwritten() -> None:
    host = Host([1, 1, 1])
    host.log.merge(log_of([2], 2))
    assert host.log.persisted == 1
    host.log.on_persisted(host.hand_out())
    assert host.log.persisted == 2


def test_committed_entries_wait_until_they_are_persisted_here() -> None:
    host = Host([1])
    host.log.merge(log_of([1, 1], 2))
    number = host.hand_out()
    host.log.commit_to(Index(3))
    assert indexes(host.log.hand_out_committed(100)) == [1]
    assert (host.log.has_committed, host.log.hand_out_committed(100)) == (False, ())
    host.log.on_persisted(number)
    assert host.log.has_committed
    assert indexes(host.log.hand_out_committed(100)) == [2, 3]


def test_committed_entries_come_in_bundles_of_bounded_size() -> None:
    host = Host()
    host.log.merge([entry(i, 1, bytes(10)) for i in range(1, 6)])
    host.log.on_persisted(host.hand_out())
    host.log.commit_to(Index(5))
    got = []
    while host.log.has_committed:
        got.append(indexes(host.log.hand_out_committed(25)))
    assert got == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize("index", [1, 4])
def test_applied_moves_forward_and_not_beyond_what_was_handed_out(index: int) -> None:
    host = Host(LOG, commit=3, applied=2)
    host.log.hand_out_committed(100)
    host.log.on_applied(Index(3))
    with pytest.raises(InvariantViolation, match=f"applied {index} after"):
        host.log.on_applied(Index(index))


def meta(index: int, term: int) -> SnapshotMeta:
    return SnapshotMeta(Index(index), Term(term), configuration(2))


STEPS = st.one_of(
    st.tuples(st.just("merge"), st.integers(1, 12), st.integers(1, 4)),
    st.tuples(st.just("restore"), st.integers(1, 4), st.just(0)),
    st.tuples(st.just("hand_out"), st.just(0), st.just(0)),
    st.tuples(st.just("persist"), st.just(0), st.just(0)),
)


class Model:
    """The log as terms by index from `first` on, and a disk that gets bundles in order."""

    def __init__(self) -> None:
        self.first = 1
        self.terms: list[int] = []
        self.disk = MemoryLogStorage()
        self.under_way: list[tuple[int, SnapshotMeta | None, tuple[Entry, ...]]] = []

    def persist(self, host: Host) -> None:
        number, snapshot, entries = self.under_way.pop(0)
        if snapshot is not None:
            self.disk.install(snapshot.index, snapshot.term)
        self.disk.append(entries)
        host.log.on_persisted(number)

    def hand_out(self, host: Host) -> None:
        snapshot = host.log.hand_out_snapshot(host.number + 1)
        host.number += 1
        if snapshot is not None:
            host.storage.install(snapshot.index, snapshot.term)
        entries = host.log.hand_out(host.number)
        host.storage.append(entries)
        self.under_way.append((host.number, snapshot, entries))

    def check(self, host: Host) -> None:
        log = host.log
        assert log.first_index() == self.first
        last = self.first + len(self.terms) - 1
        assert [log.term(i) for i in range(self.first, last + 1)] == self.terms
        assert (log.last_index, log.commit) == (last, self.first - 1)
        assert log.persisted <= self.disk.last_index()
        for index in range(max(self.first - 1, self.disk.first_index()), log.persisted + 1):
            assert self.disk.term(Index(index)) == log.term(index)


@given(st.lists(STEPS, max_size=40))
def test_persisted_is_always_true_of_the_disk(steps: list[tuple[str, int, int]]) -> None:
    host, model = Host(), Model()
    term = 1
    for kind, one, count in steps:
        if kind == "merge":
            term += 1
            place = min(one - 1, len(model.terms))
            host.log.merge(log_of([term] * count, model.first + place))
            model.terms[place:] = [term] * count
        elif kind == "restore":
            term += 1
            index = model.first - 1 + one
            host.log.restore(meta(index, term))
            model.first, model.terms = index + 1, []
        elif kind == "hand_out":
            model.hand_out(host)
        elif model.under_way:
            model.persist(host)
        model.check(host)
    model.hand_out(host)
    while model.under_way:
        model.persist(host)
    model.check(host)
    assert host.log.persisted == host.log.last_index
    assert host.log.applied == model.first - 1


def test_terms_are_known_one_before_the_first_entry() -> None:
    log = Host(LOG, compacted=2, applied=2).log
    assert (log.first_index(), log.term(2), log.term(3)) == (3, Term(1), Term(2))
    with pytest.raises(IndexError):
        log.term(1)


# Snapshots


def test_a_restored_log_begins_behind_the_snapshot_before_the_host_has_it() -> None:
    host = Host(LOG, commit=2)
    host.log.restore(meta(9, 4))
    log = host.log
    assert (log.first_index(), log.last_index, log.last_term, log.term(9)) == (10, 9, 4, 4)
    assert (log.commit, log.handed_out, log.applied, log.persisted) == (9, 9, 0, 2)
    assert log.configurations.current == configuration(2)
    log.merge(log_of([4, 5], 10))
    assert (log.term(9), log.term(10), log.last_term) == (4, 4, 5)
    with pytest.raises(IndexError):
        log.term(8)
    assert log.last_that_could_match(11, 3, 0) == 8


@pytest.mark.parametrize("index", [1, 3])
def test_a_snapshot_that_undoes_a_commit_is_a_broken_invariant(index: int) -> None:
    with pytest.raises(InvariantViolation, match=f"a snapshot of {index} would undo"):
        Host(LOG, commit=3).log.restore(meta(index, 1))


def test_a_snapshot_is_handed_out_once_and_installed_when_persisted() -> None:
    host = Host(LOG, commit=2)
    host.log.restore(meta(9, 4))
    host.log.merge(log_of([4], 10))
    assert (host.log.snapshot is not None, host.log.is_installing) == (True, True)
    number = host.hand_out()
    assert host.storage.first_index() == 10
    assert (host.log.snapshot is not None, host.log.is_installing) == (False, True)
    host.log.on_persisted(number)
    assert (host.log.applied, host.log.persisted, host.log.is_installing) == (9, 10, False)


def test_a_conflict_behind_a_snapshot_does_not_undo_it() -> None:
    host = Host()
    host.log.restore(meta(9, 4))
    host.log.merge(log_of([4, 4], 10))
    number = host.hand_out()
    host.log.merge(log_of([5], 10))
    host.log.on_persisted(number)
    assert (host.log.persisted, host.log.applied, host.log.last_index) == (9, 9, 10)


def test_what_is_appended_after_a_compaction_reads_as_before_it() -> None:
    host = Host(LOG, commit=4, applied=4, compacted=3)
    assert indexes(host.log.entries(4, 100)) == [4, 5]
    host.log.merge(log_of([4, 4], 5))
    host.hand_out()
    host.storage.compact(Index(4))
    assert (host.log.first_index(), host.log.term(4), host.log.term(5)) == (5, 3, 4)
    with pytest.raises(IndexError):
        host.log.entries(4, 100)
