"""One group's Raft log: recent entries in memory, all of it in the commit log.

It begins after its *bounds*: what is below was compacted (dissertation 5.1), or a snapshot stands
for it. Of the last entry below, index and term are kept.

The core reads through it (`LogStorage`). Entries are visible as soon as the host has taken them,
before they are persisted; until their place on disk is known they stay in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from cluster.ids import Index, Term
from cluster.raft.messages import Entry, EntryKind
from kvstore.commitlog.commit_log import Position
from kvstore.errors import CorruptionError, InvariantViolation
from kvstore.replica.log_records import Bounds, decode_entries, decode_entry_heads
from kvstore.replica.run_index import RunIndex


class RecordReader(Protocol):
    """Reads one record's payload back."""

    def read(self, position: Position) -> bytes:
        """Raises CorruptionError where the bytes are not what was written."""
        ...


class LogStore:
    """See the module."""

    __slots__ = (
        "_bounds",
        "_cache",
        "_first_index",
        "_last_index",
        "_memberships",
        "_reader",
        "_runs",
        "_term_firsts",
        "_terms",
        "cached_bytes",
        "cached_bytes_max",
    )

    def __init__(self, cache_bytes_max: int) -> None:
        self._reader: RecordReader | None = None
        self.cached_bytes_max = cache_bytes_max
        """What `trim` aims at."""
        self._bounds = Bounds()
        self._first_index = Index(1)
        self._last_index = Index(0)
        # Runs of entries of one term: the index where each begins, and its term.
        self._term_firsts: list[int] = []
        self._terms: list[Term] = []
        # Where changes of membership stand: few, and looked for at every start.
        self._memberships: list[Index] = []
        self._runs = RunIndex()
        # The latest entries, without a gap, up to the last.
        self._cache: deque[Entry] = deque()
        self.cached_bytes = 0
        """Payload of the entries in memory."""

    def attach(self, reader: RecordReader) -> None:
        """Says where records that are not in memory are read from."""
        self._reader = reader

    @property
    def bounds(self) -> Bounds:
        """What is before it."""
        return self._bounds

    @property
    def first_segment(self) -> int | None:
        """The first segment that holds an entry of it, as far as it is known where they stand."""
        return self._runs.first_segment

    def holds(self, bounds: Bounds) -> bool:
        """Whether the entry of that index and term is held."""
        held = self._first_index <= bounds.index <= self._last_index
        return held and self.term(bounds.index) == bounds.term

    def last_before(self, segment: int) -> Index:
        """The last entry that stands before `segment`, and all before it do too; at least the one
        in the bounds. All that are held, if none is known to stand there or later."""
        first = self._runs.first_from(segment)
        if first is None:
            return self._last_index
        return Index(max(first - 1, self._bounds.index))

    # Recovery

    def recover(self, payload: bytes, position: Position) -> None:
        """Takes an entries record found in the commit log, in the order of writing.

        The first may stand far above the bounds that are known by then: later ones may have let
        those in between go (`end_recovery`).
        """
        first, terms, kinds = decode_entry_heads(payload)
        last = Index(first + len(terms) - 1)
        first = Index(max(first, self._bounds.index + 1))
        if last < first:
            return
        if self._last_index < self._first_index or first < self._first_index:
            self._begin_at(first)
        if first > self._last_index + 1:
            raise CorruptionError(
                f"the commit log goes from index {self._last_index} to {first} of one group:"
                " records between them are missing"
            )
        self._cut(first)
        kept = last - first + 1  # what is at or below the bounds is passed over
        for index, term, kind in zip(
            range(first, last + 1), terms[-kept:], kinds[-kept:], strict=True
        ):
            self._note_term(index, Term(term))
            if kind == EntryKind.MEMBERSHIP:
                self._memberships.append(Index(index))
        self._last_index = last
        self._runs.add(first, position)

    def recover_bounds(self, bounds: Bounds) -> None:
        """Takes a bounds record found in the commit log, in the order of writing; what was seen
        before may come again."""
        if bounds.index <= self._bounds.index:
            return
        if bounds.index < self._first_index - 1:
            self._bounds = bounds  # not the last, or the log has a gap
        elif bounds.index == self._first_index - 1 or self.holds(bounds):
            self._drop_through(bounds)
        else:
            self.install(bounds)

    def end_recovery(self) -> None:
        """Raises CorruptionError when there is a gap between the bounds and the first entry."""
        if self._first_index != self._bounds.index + 1:
            raise CorruptionError(
                f"the commit log's entries begin at {self._first_index}, but it was compacted only"
                f" up to {self._bounds.index}: records between them are missing"
            )

    # What the host writes

    def append(self, entries: Sequence[Entry]) -> None:
        """Puts `entries` at their indexes, replacing what stood there and after."""
        first = entries[0].index
        if not self._first_index <= first <= self._last_index + 1:
            raise InvariantViolation(
                f"entries appended at {first} to a log of [{self._first_index}, {self._last_index}]"
            )
        self._cut(first)
        for entry in entries:
            self._note_term(entry.index, entry.term)
            self.cached_bytes += len(entry.data)
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
        if self._first_index <= first <= self._last_index and self.term(first) == entries[0].term:
            self._runs.add(first, position)

    def trim(self, applied: Index) -> None:
        """Forgets the oldest entries in memory beyond the bound that are applied and on disk."""
        cache = self._cache
        if self.cached_bytes <= self.cached_bytes_max:
            return
        # Only the entries below the last known record's start are certainly on disk.
        keep_from = min(applied + 1, self._runs.last_first)
        while cache and self.cached_bytes > self.cached_bytes_max and cache[0].index < keep_from:
            self.cached_bytes -= len(cache.popleft().data)

    def compact(self, through: Index) -> None:
        """Drops the entries up to `through`, which is held, applied and on disk."""
        if not self._first_index <= through <= self._last_index:
            raise InvariantViolation(
                f"a log of [{self._first_index}, {self._last_index}] compacted through {through}"
            )
        self._drop_through(Bounds(through, self.term(through)))

    def install(self, bounds: Bounds) -> None:
        """Begins anew after `bounds`, the last entry that a snapshot covers (5.3)."""
        self._begin_at(Index(bounds.index + 1))
        self._bounds = bounds

    # LogStorage

    def first_index(self) -> Index:
        """See LogStorage."""
        return self._first_index

    def last_index(self) -> Index:
        """See LogStorage."""
        return self._last_index

    def glance(self) -> tuple[Index, Term]:
        """The last index and the term there, for who looks often."""
        last, bounds = self._last_index, self._bounds
        return last, bounds.term if last == bounds.index else self._terms[-1]

    def term(self, index: Index) -> Term:
        """See LogStorage."""
        if index == self._bounds.index:
            return self._bounds.term
        if not self._first_index <= index <= self._last_index:
            raise IndexError(f"index {index} is not in [{self._first_index}, {self._last_index}]")
        firsts = self._term_firsts
        if index >= firsts[-1]:  # as a rule
            return self._terms[-1]
        return self._terms[bisect_right(firsts, index) - 1]

    def entries(self, low: Index, high: Index, bytes_max: int) -> Sequence[Entry]:
        """See LogStorage."""
        if not self._first_index <= low < high <= self._last_index + 1:
            raise IndexError(f"[{low}, {high}) is not in [{self._first_index}, {self._last_index}]")
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
            self.cached_bytes -= len(self._cache.pop().data)
        self._last_index = Index(first - 1)

    def _begin_at(self, first: Index) -> None:
        """Forgets everything; what comes next is `first`."""
        self._cut(self._first_index)
        self._runs.clear()
        self._first_index = first
        self._last_index = Index(first - 1)

    def _drop_through(self, bounds: Bounds) -> None:
        """Forgets everything up to `bounds`; all that is held, at the most."""
        through = bounds.index
        if through == self._last_index:
            self.install(bounds)
            return
        self._bounds = bounds
        self._first_index = Index(through + 1)
        runs = bisect_right(self._term_firsts, through + 1) - 1
        del self._term_firsts[:runs], self._terms[:runs]
        del self._memberships[: bisect_right(self._memberships, through)]
        self._runs.drop(through)
        while self._cache and self._cache[0].index <= through:
            self.cached_bytes -= len(self._cache.popleft().data)

    def _note_term(self, index: int, term: Term) -> None:
        if not self._terms or self._terms[-1] != term:
            self._term_firsts.append(index)
            self._terms.append(term)
