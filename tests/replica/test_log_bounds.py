"""A log that does not begin at 1: compacted, replaced by a snapshot, and recovered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.ids import Index, Term
from cluster.raft.messages import Entry
from cluster.raft.storage import MemoryLogStorage
from kvstore.commitlog.commit_log import Position
from kvstore.errors import CorruptionError, InvariantViolation
from kvstore.replica.log_records import Bounds, encode_entries
from kvstore.replica.log_store import LogStore
from tests.replica.test_log_store import EVERYTHING, entries

RECORDS_PER_SEGMENT = 3
ACTIONS = ["append", "append", "append", "cut", "persist", "compact", "install"]


class SegmentedDisk:
    """Records in segments of three; each segment begins with the bounds of that moment."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, ...] | Bounds] = []
        self.released = 0

    def write(self, run: tuple[Entry, ...]) -> Position:
        self.records.append((encode_entries(run),))
        return self._position(len(self.records) - 1)

    def write_bounds(self, bounds: Bounds) -> None:
        self.records.append(bounds)

    @property
    def active(self) -> int:
        return max(0, len(self.records) - 1) // RECORDS_PER_SEGMENT

    def release(self, before: int) -> None:
        assert before <= self.active
        self.released = max(self.released, before)

    def read(self, position: Position) -> bytes:
        assert position.segment >= self.released, "read of a released segment"
        record = self.records[position.offset]
        assert isinstance(record, tuple)
        return record[0]

    def recover(self) -> LogStore:
        log = LogStore(0)
        log.attach(self)
        begin = self.released * RECORDS_PER_SEGMENT
        bounds = Bounds()
        for number, record in enumerate(self.records):
            if number >= begin and number % RECORDS_PER_SEGMENT == 0:
                log.recover_bounds(bounds)
            if isinstance(record, Bounds):
                bounds = record
                if number >= begin:
                    log.recover_bounds(record)
            elif number >= begin:
                log.recover(record[0], self._position(number))
        log.end_recovery()
        return log

    def _position(self, number: int) -> Position:
        record = self.records[number]
        assert isinstance(record, tuple)
        return Position(number // RECORDS_PER_SEGMENT, number, len(record[0]))


class Twins:
    """The log store and the log in memory, with the disk below the one."""

    def __init__(self, cache_bytes_max: int = 0) -> None:
        self.disk = SegmentedDisk()
        self.log = LogStore(cache_bytes_max)
        self.log.attach(self.disk)
        self.model = MemoryLogStorage()
        self.waiting: list[tuple[Entry, ...]] = []

    def append(self, first: int, terms: list[int]) -> None:
        run = entries(first, terms)
        self.log.append(run)
        self.model.append(run)
        self.waiting.append(run)

    def persist(self) -> None:
        run = self.waiting.pop(0)
        self.log.persisted(run, self.disk.write(run))

    def persist_all(self) -> None:
        while self.waiting:
            self.persist()

    def compact(self, through: int) -> None:
        self.log.compact(Index(through))
        self.model.compact(Index(through))

    def install(self, index: int, term: int) -> None:
        self.log.install(Bounds(Index(index), Term(term)))
        self.model.install(Index(index), Term(term))
        self.disk.write_bounds(self.log.bounds)

    def write_bounds_and_release(self) -> None:
        self.disk.write_bounds(self.log.bounds)
        first = self.log.first_segment
        self.disk.release(self.disk.active if first is None else first)

    def check(self, log: LogStore) -> None:
        model = self.model
        low, last = model.first_index(), model.last_index()
        assert (log.first_index(), log.last_index()) == (low, last)
        assert [log.term(Index(i)) for i in range(low - 1, last + 1)] == [
            model.term(Index(i)) for i in range(low - 1, last + 1)
        ]
        for index in (low - 2, last + 1):
            with pytest.raises(IndexError):
                log.term(Index(index))
        if low <= last:
            for first in (low, last):
                assert log.entries(first, Index(last + 1), EVERYTHING) == model.entries(
                    first, Index(last + 1), EVERYTHING
                )
            assert log.membership_entries(low, Index(last + 1)) == model.membership_entries(
                low, Index(last + 1)
            )


def written(*runs: tuple[int, list[int]]) -> Twins:
    twins = Twins()
    for first, terms in runs:
        twins.append(first, terms)
        twins.persist()
    return twins


def test_what_was_compacted_is_gone_but_for_the_last_term() -> None:
    twins = written((1, [1, 1, 2, 2]), (5, [3]))
    twins.compact(3)
    twins.check(twins.log)
    assert twins.log.bounds == Bounds(Index(3), Term(2))
    with pytest.raises(IndexError, match=r"\[3, 5\) is not in \[4, 5\]"):
        twins.log.entries(Index(3), Index(5), EVERYTHING)


def test_a_log_that_was_compacted_whole_goes_on() -> None:
    twins = written((1, [1, 1]))
    twins.compact(2)
    twins.check(twins.log)
    assert twins.log.first_segment is None
    twins.append(3, [2])
    twins.persist()
    twins.check(twins.log)
    twins.disk.write_bounds(twins.log.bounds)
    twins.check(twins.disk.recover())


@pytest.mark.parametrize("through", [0, 1, 4])
def test_only_what_is_held_is_compacted(through: int) -> None:
    twins = written((1, [1, 1, 1]))
    twins.compact(1)
    with pytest.raises(InvariantViolation, match=r"\[2, 3\]"):
        twins.log.compact(Index(through))


def test_nothing_is_appended_below_the_bounds() -> None:
    twins = written((1, [1, 1]))
    twins.compact(2)
    with pytest.raises(InvariantViolation, match="appended at 2"):
        twins.log.append(entries(2, [2]))


def test_the_last_entry_of_old_segments_is_known_by_where_runs_stand() -> None:
    twins = written(*((index, [1]) for index in range(1, 8)))  # three a segment
    assert [twins.log.last_before(segment) for segment in range(4)] == [0, 3, 6, 7]
    twins.compact(4)
    assert [twins.log.last_before(segment) for segment in range(4)] == [4, 4, 6, 7]
    assert twins.log.first_segment == 1


def test_recovery_begins_where_later_bounds_say() -> None:
    # The first entries that are left lie far above the bounds at the head of their segment.
    twins = written(*((index, [1]) for index in range(1, 6)))
    twins.compact(2)
    twins.disk.write_bounds(twins.log.bounds)
    for index in range(6, 12):
        twins.append(index, [1])
        twins.persist()
    twins.compact(9)
    twins.write_bounds_and_release()
    assert twins.disk.released == 3
    twins.check(twins.disk.recover())


def test_bounds_that_do_not_reach_the_first_entry_are_corruption() -> None:
    twins = written(*((index, [1]) for index in range(1, 8)))
    twins.disk.release(1)
    with pytest.raises(CorruptionError, match="begin at 4, but it was compacted only up to 0"):
        twins.disk.recover()
    twins.disk.write_bounds(Bounds(Index(2), Term(1)))
    with pytest.raises(CorruptionError, match="begin at 4, but it was compacted only up to 2"):
        twins.disk.recover()
    twins.disk.write_bounds(Bounds(Index(3), Term(1)))
    assert twins.disk.recover().first_index() == 4


def test_an_overwritten_beginning_is_recovered_though_the_first_writing_is_gone() -> None:
    twins = written((1, [1]), (2, [1]), (3, [1]), (4, [1, 1, 1]), (3, [2]), (4, [2]))
    twins.compact(2)
    twins.write_bounds_and_release()
    assert twins.disk.released == 1
    twins.check(twins.disk.recover())


def test_bounds_that_the_log_does_not_match_replace_it() -> None:
    twins = written((1, [1, 1, 1]))
    twins.install(3, 2)
    twins.append(4, [2])
    twins.persist()
    twins.check(twins.log)
    twins.check(twins.disk.recover())


def test_a_write_that_ends_after_a_snapshot_replaced_it_is_passed_over() -> None:
    twins = Twins()
    twins.append(1, [1, 1])
    twins.install(8, 2)
    twins.persist()
    twins.check(twins.log)
    assert twins.log.first_segment is None


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_it_reads_and_recovers_like_the_log_in_memory(data: st.DataObject) -> None:
    """Appends, truncations, compactions and snapshots, with segments released at any time."""
    twins = Twins(data.draw(st.sampled_from([0, 64, EVERYTHING])))
    term = 1
    applied = 0
    for _ in range(data.draw(st.integers(1, 30))):
        model = twins.model
        action = data.draw(
            st.sampled_from(["append"] * 3 + ["cut", "persist", "compact", "install"])
        )
        if action in ("append", "cut"):
            first = model.last_index() + 1
            if action == "cut":
                first = data.draw(st.integers(max(applied, model.first_index() - 1) + 1, first))
                term += 1
            twins.append(first, [term] * data.draw(st.integers(1, 3)))
        elif action == "persist" and twins.waiting:
            twins.persist()
        elif action == "compact":
            twins.persist_all()
            applied = data.draw(st.integers(applied, max(applied, model.last_index())))
            through = data.draw(st.integers(model.first_index() - 1, max(applied, 0)))
            if through >= model.first_index():
                twins.compact(through)
                twins.write_bounds_and_release()
        elif action == "install":
            twins.persist_all()
            term += 1
            applied = model.last_index() + data.draw(st.integers(0, 3))
            if applied >= model.first_index():
                twins.install(applied, term)
        applied = max(applied, twins.model.first_index() - 1)
        twins.check(twins.log)
    twins.persist_all()
    twins.log.trim(Index(applied))
    twins.check(twins.log)
    twins.check(twins.disk.recover())
