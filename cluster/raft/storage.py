"""What the core reads of the log: a protocol, and its twin in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cluster.ids import Index, Term
from cluster.raft.messages import Entry, EntryKind


class LogStorage(Protocol):
    """The log as the host holds it: every entry of every bundle that was handed out.

    An index outside [first_index - 1, last_index] raises IndexError. Calls do not fail otherwise: a
    host that cannot read its log stops.

    The host may drop entries from the beginning (dissertation 5.1) at any time, up to what it has
    reported by `on_applied`, and knows the term of the last that it dropped.
    """

    def first_index(self) -> Index:
        """The first index held; last_index + 1 when none is."""
        ...

    def last_index(self) -> Index:
        """The last index held; first_index - 1 when none is."""
        ...

    def term(self, index: Index) -> Term:
        """The term of the entry at `index`; also known for first_index - 1."""
        ...

    def entries(self, low: Index, high: Index, bytes_max: int) -> Sequence[Entry]:
        """The entries at low ≤ index < high that fit in `bytes_max` of payload; at least one."""
        ...

    def membership_entries(self, low: Index, high: Index) -> Sequence[Entry]:
        """The MEMBERSHIP entries at low ≤ index < high: asked once, at the start, and to be found
        without reading all others. They are few."""
        ...


class MemoryLogStorage:
    """The log in memory: for tests and simulation, and the reference for any other."""

    __slots__ = ("_entries", "_first_index", "_previous_term")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._first_index = Index(1)
        self._previous_term = Term(0)

    def first_index(self) -> Index:
        """See LogStorage."""
        return self._first_index

    def last_index(self) -> Index:
        """See LogStorage."""
        return Index(self._first_index + len(self._entries) - 1)

    def term(self, index: Index) -> Term:
        """See LogStorage."""
        if index == self._first_index - 1:
            return self._previous_term
        self._check(index, self.last_index())
        return self._entries[index - self._first_index].term

    def entries(self, low: Index, high: Index, bytes_max: int) -> Sequence[Entry]:
        """See LogStorage."""
        self._check(low, self.last_index())
        self._check(Index(high - 1), self.last_index())
        taken: list[Entry] = []
        size = 0
        for entry in self._entries[low - self._first_index : high - self._first_index]:
            size += len(entry.data)
            if taken and size > bytes_max:
                break
            taken.append(entry)
        return taken

    def membership_entries(self, low: Index, high: Index) -> Sequence[Entry]:
        """See LogStorage."""
        return [
            entry
            for entry in self._entries
            if entry.kind is EntryKind.MEMBERSHIP and low <= entry.index < high
        ]

    def append(self, entries: Sequence[Entry]) -> None:
        """Puts `entries` at their indexes and drops whatever stood there or after."""
        if not entries:
            return
        first = entries[0].index
        self._check(first, Index(self.last_index() + 1))
        del self._entries[first - self._first_index :]
        self._entries.extend(entries)

    def compact(self, through: Index) -> None:
        """Drops the entries up to `through`, which is held."""
        self._check(through, self.last_index())
        self._previous_term = self.term(through)
        del self._entries[: through - self._first_index + 1]
        self._first_index = Index(through + 1)

    def install(self, index: Index, term: Term) -> None:
        """Begins anew behind a snapshot whose last entry is `index`, of `term`."""
        self._entries.clear()
        self._first_index = Index(index + 1)
        self._previous_term = term

    def _check(self, index: Index, last: int) -> None:
        if not self._first_index <= index <= last:
            raise IndexError(f"index {index} is not in [{self._first_index}, {last}]")
