"""The log store against the log in memory, and what only it can get wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.ids import Index, Term
from cluster.raft.messages import Entry, EntryKind
from cluster.raft.storage import MemoryLogStorage
from kvstore.commitlog.commit_log import Position
from kvstore.errors import CorruptionError, InvariantViolation
from kvstore.replica.log_records import encode_entries
from kvstore.replica.log_store import LogStore

EVERYTHING = 1 << 30


class Disk:
    """Records by position, as the commit log would keep them."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    def write(self, entries: tuple[Entry, ...]) -> Position:
        self.records.append(encode_entries(entries))
        return Position(0, len(self.records) - 1, len(self.records[-1]))

    def read(self, position: Position) -> bytes:
        return self.records[position.offset]


def entries(first: int, terms: list[int], size: int = 8) -> tuple[Entry, ...]:
    return tuple(
        Entry(
            Index(first + offset),
            Term(term),
            EntryKind.NORMAL,
            f"{first + offset}/{term}".encode().ljust(size),
        )
        for offset, term in enumerate(terms)
    )


def store(disk: Disk, cache_bytes_max: int = EVERYTHING) -> LogStore:
    log = LogStore(cache_bytes_max)
    log.attach(disk)
    return log


def recovered(disk: Disk) -> LogStore:
    log = store(disk)
    for number, payload in enumerate(disk.records):
        log.recover(payload, Position(0, number, len(payload)))
    return log


def contents(log: LogStore) -> list[Entry]:
    last = log.last_index()
    return list(log.entries(Index(1), Index(last + 1), EVERYTHING)) if last else []


def test_an_entry_is_visible_before_it_is_persisted() -> None:
    log = store(Disk())
    log.append(entries(1, [1, 1]))
    assert contents(log) == list(entries(1, [1, 1]))


def test_entries_out_of_memory_are_read_from_disk() -> None:
    disk = Disk()
    log = store(disk, cache_bytes_max=0)
    for first in (1, 3, 5):
        written = entries(first, [1, 1])
        log.append(written)
        log.persisted(written, disk.write(written))
    log.trim(Index(6))
    assert contents(log) == list(entries(1, [1] * 6))


def test_what_is_not_applied_or_not_on_disk_stays_in_memory() -> None:
    log = store(Disk(), cache_bytes_max=0)
    log.append(entries(1, [1, 1, 1]))
    log.trim(Index(3))
    assert contents(log) == list(entries(1, [1, 1, 1]))


def test_the_replaced_end_of_a_recovered_record_is_not_read() -> None:
    disk = Disk()
    disk.write(entries(1, [1, 1, 1, 1]))
    log = recovered(disk)
    log.append(entries(3, [2]))
    assert contents(log) == list(entries(1, [1, 1, 2]))


def test_a_record_persisted_after_its_entries_were_replaced_is_passed_over() -> None:
    # Entry 1 of term 1, then of term 2, then of term 1 again, all on their way to the disk.
    disk = Disk()
    log = store(disk, cache_bytes_max=0)
    first, second, third = entries(1, [1]), entries(1, [2]), entries(1, [1])
    for written in (first, second, third):
        log.append(written)
    for written in (first, second, third):
        log.persisted(written, disk.write(written))
    more = entries(2, [3])
    log.append(more)
    log.persisted(more, disk.write(more))
    log.trim(Index(2))
    assert contents(log) == [*third, *more]
    assert contents(recovered(disk)) == [*third, *more]


def test_a_gap_between_recovered_records_is_corruption() -> None:
    disk = Disk()
    disk.write(entries(1, [1]))
    disk.write(entries(3, [1]))
    with pytest.raises(CorruptionError, match="from index 1 to 3"):
        recovered(disk)


def test_appending_beyond_the_end_breaks_an_invariant() -> None:
    with pytest.raises(InvariantViolation, match="appended at 3"):
        store(Disk()).append(entries(3, [1]))


def test_a_page_holds_at_least_one_entry_and_no_more_than_fit() -> None:
    log = store(Disk())
    log.append(entries(1, [1, 1, 1], size=100))
    assert len(log.entries(Index(1), Index(4), 0)) == 1
    assert len(log.entries(Index(1), Index(4), 200)) == 2
    assert len(log.entries(Index(1), Index(4), 299)) == 2


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_it_reads_like_the_log_in_memory_and_recovers_to_the_same(data: st.DataObject) -> None:
    """Appends and truncations, persisted later and in order, with the cache cut at any time."""
    disk = Disk()
    log = store(disk, cache_bytes_max=data.draw(st.sampled_from([0, 64, EVERYTHING])))
    model = MemoryLogStorage()
    waiting: list[tuple[Entry, ...]] = []
    term = 1
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["append", "append", "truncate", "persist", "trim"]))
        if action in ("append", "truncate"):
            first = model.last_index() + 1
            if action == "truncate":
                first = data.draw(st.integers(1, first))
                term += 1
            written = entries(first, [term] * data.draw(st.integers(1, 4)))
            if data.draw(st.booleans()):
                last = written[-1]
                written = (*written[:-1], replace(last, kind=EntryKind.MEMBERSHIP))
            log.append(written)
            model.append(written)
            waiting.append(written)
        elif action == "persist" and waiting:
            written = waiting.pop(0)
            log.persisted(written, disk.write(written))
        elif action == "trim":
            log.trim(model.last_index())
        assert log.last_index() == model.last_index()
        if model.last_index():
            low = data.draw(st.integers(1, model.last_index()))
            high = data.draw(st.integers(low + 1, model.last_index() + 1))
            bytes_max = data.draw(st.sampled_from([0, 30, EVERYTHING]))
            assert log.entries(Index(low), Index(high), bytes_max) == model.entries(
                Index(low), Index(high), bytes_max
            )
            assert log.membership_entries(Index(low), Index(high)) == model.membership_entries(
                Index(low), Index(high)
            )
            assert [log.term(Index(i)) for i in range(model.last_index() + 1)] == [
                model.term(Index(i)) for i in range(model.last_index() + 1)
            ]
    for written in waiting:
        log.persisted(written, disk.write(written))
    again = recovered(disk)
    assert contents(again) == contents(log)
    everything = Index(1), Index(log.last_index() + 1)
    assert again.membership_entries(*everything) == log.membership_entries(*everything)
