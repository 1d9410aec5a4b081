"""One group's Raft log: recent entries in memory, all of it in the commit log.

The core reads through it (`LogStorage`). Entries are visible as soon as the host has taken them,
before they are persisted; until their place on disk is known they stay in memory.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from cluster.ids import Index, Term
from cluster.raft.messages import Entry, EntryKind
from kvstore.commitlog.commit_log import Position
from kvstore.errors import CorruptionError, InvariantViolation
from kvstore.replica.log_records import decode_entries, decode_entry_heads


class RecordReader(Protocol):
    """Reads one record's payload back."""

    def read(self, position: Position) -> bytes:
        """Raises CorruptionError where the bytes are not what was written."""
        ...


class RunIndex:
    """Where runs of entries stand on disk: 32 bytes a record, however many entries it holds."""

    __slots__ = ("_firsts", "_lengths", "_offsets", "_segments")

    def __init__(self) -> None:
        self._firsts = array("Q")
        self._segments = array("Q")
        self._offsets = array("Q")
        self._lengths = array("Q")

    @property
    def last_first(self) -> int:
        """The first index of the last run; 0 when there is none."""
        return self._firsts[-1] if self._firsts else 0

    def add(self, first: Index, position: Position) -> None:
        """Adds the run that begins at `first`; it replaces all runs from there on."""
        self.cut(first)
        self._firsts.append(first)
        self._segments.append(position.segment)
        self._offsets.append(position.offset)
        self._lengths.append(position.length)

    def cut(self, first: int) -> None:
        """Forgets the runs that begin at or after `first`."""
        while self._firsts and self._firsts[-1] >= first:
            for column in (self._firsts, self._segments, self._offsets, self._lengths):
                column.pop()

    def find(self, index: int) -> tuple[Position, int | None] | None:
        """The run that holds `index`, and where the next one begins; None where there is none."""
        run = bisect_right(self._firsts, index) - 1
        if run < 0:
            return None
        position = Position(self._segments[run], self._offsets[run], self._lengths[run])
        return position, self._firsts[run + 1] if run + 1 < len(self._firsts) else None


class LogStore:
    """See the module. Indexes begin at 1: nothing is compacted yet."""

    __slots__ = (
        "_cache",
        "_cache_bytes",
        "_cache_bytes_max",
        "_last_index",
        "_memberships",
        "_reader",
        "_runs",
        "_term_firsts",
        "_terms",
    )

    def __init__(self, cache_bytes_max: int) -> None:
        self._reader: RecordReader | None = None
        self._cache_bytes_max = cache_bytes_max
        self._last_index = Index(0)
        # Runs of entries of one term: the index where each begins, and its term.
        self._term_firsts: list[int] = []
        self._terms: list[Term] = []
        # Where changes of membership stand: few, and looked for at every start.
        self._memberships: list[Index] = []
        self._runs = RunIndex()
        # The latest entries, without a gap, up to the last.
        self._cache: deque[Entry] = deque()
        self._cache_bytes = 0

    @property
    def cached_bytes(self) -> int:
        """Payload of the entries in memory."""
        return self._cache_bytes

    @property
    def cached_bytes_max(self) -> int:
        """What `trim` aims at."""
        return self._cache_bytes_max

    def attach(self, reader: RecordReader) -> None:
        """Says where records that are not in memory are read from."""
        self._reader = reader

    # Recovery

    def recover(self, payload: bytes, position: Position) -> None:
        """Takes an entries record found in the commit log, in the order of writing."""
        first, terms, kinds = decode_entry_heads(payload)
        if first > self._last_index + 1:
            raise CorruptionError(
                f"the commit log goes from index {self._last_index} to {first} of one group:"
                " records between them are missing"
            )
        self._cut(first)
        for offset, term in enumerate(terms):
            self._note_term(first + offset, Term(term))
            if kinds[offset] == EntryKind.MEMBERSHIP:
                self._memberships.append(Index(first + offset))
        self._last_index = Index(first + len(terms) - 1)
        self._runs.add(first, position)

    # What the host writes

    def append(self, entries: Sequence[Entry]) -> None:
        """Puts `entries` at their indexes, replacing what stood there and after."""
        first = entries[0].index
        if not 1 <= first <= self._last_index + 1:
            raise InvariantViolation(
                f"entries appended at {first} to a log that ends at {self._last_index}"
            )
        self._cut(first)
        for entry in entries:
            self._note_term(entry.index, entry.term)
            self._cache_bytes += len(entry.data)
            if entry.kind is EntryKind.MEMBERSHIP:
                self._memberships.append(entry.index)
        self._cache.extend(entries)
        self._last_index = entries[-1].index

    def persisted(self, entries: Sequence[Entry], position: Position) -> None:
        """Says where `entries` came to stand, in the order of writing.

        A record whose first entry was replaced meanwhile is passed over: what it holds beyond that
        was replaced too. Where only its end was replaced, the run that replaced it follows.
        """
        first = entries[0].index
        if first <= self._last_index and self.term(first) == entries[0].term:
            self._runs.add(first, position)

    def trim(self, applied: Index) -> None:
        """Forgets the oldest entries in memory beyond the bound that are applied and on disk."""
        cache = self._cache
        if self._cache_bytes <= self._cache_bytes_max:
            return
        # Only the entries below the last known record's start are certainly on disk.
        keep_from = min(applied + 1, self._runs.last_first)
        while cache and self._cache_bytes > self._cache_bytes_max and cache[0].index < keep_from:
            self._cache_bytes -= len(cache.popleft().data)

    # LogStorage

    def first_index(self) -> Index:
        """See LogStorage."""
        return Index(1)

    def last_index(self) -> Index:
        """See LogStorage."""
        return self._last_index

    def term(self, index: Index) -> Term:
        """See LogStorage."""
        if index == 0:
            return Term(0)
        if not 0 < index <= self._last_index:
            raise IndexError(f"index {index} is not in [1, {self._last_index}]")
        return self._terms[bisect_right(self._term_firsts, index) - 1]

    def entries(self, low: Index, high: Index, bytes_max: int) -> Sequence[Entry]:
        """See LogStorage."""
        if not 0 < low < high <= self._last_index + 1:
            raise IndexError(f"[{low}, {high}) is not in [1, {self._last_index}]")
        taken: list[Entry] = []
        size = 0
        index = int(low)
        while index < high:
            for entry in self._from(index, high):
                size += len(entry.data)
                if taken and size > bytes_max:
                    return taken
                taken.append(entry)
            index = taken[-1].index + 1
        return taken

    def membership_entries(self, low: Index, high: Index) -> Sequence[Entry]:
        """See LogStorage."""
        return [
            self.entries(index, Index(index + 1), 0)[0]
            for index in self._memberships
            if low <= index < high
        ]

    def _from(self, index: int, high: int) -> list[Entry]:
        """Entries from `index` on and below `high`: all from memory, or those of one record."""
        cache = self._cache
        if cache and index >= cache[0].index:
            first = cache[0].index
            return [cache[position - first] for position in range(index, high)]
        run = self._runs.find(index)
        if run is None or self._reader is None:
            raise InvariantViolation(f"entry {index} is neither in memory nor on disk")
        position, next_run = run
        end = high if next_run is None else min(high, next_run)
        if cache:
            # What is in memory is the truth: the end of this run may have been replaced since.
            end = min(end, cache[0].index)
        record = decode_entries(self._reader.read(position))
        found = [entry for entry in record if index <= entry.index < end]
        if not found or found[0].index != index or found[0].term != self.term(found[0].index):
            raise CorruptionError(f"the commit log's record for entry {index} holds other entries")
        return found

    def _cut(self, first: int) -> None:
        """Forgets everything from `first` on."""
        if first > self._last_index:
            return
        while self._term_firsts and self._term_firsts[-1] >= first:
            self._term_firsts.pop()
            self._terms.pop()
        while self._memberships and self._memberships[-1] >= first:
            self._memberships.pop()
        self._runs.cut(first)
        while self._cache and self._cache[-1].index >= first:
            self._cache_bytes -= len(self._cache.pop().data)
        self._last_index = Index(first - 1)

    def _note_term(self, index: int, term: Term) -> None:
        if not self._terms or self._terms[-1] != term:
            self._term_firsts.append(index)
            self._terms.append(term)
