"""Where one group's entries stand in the commit log."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from cluster.ids import Index
from kvstore.commitlog.commit_log import Position


class RunIndex:
    """Where runs of entries stand on disk: 32 bytes a record, however many entries it holds."""

    __slots__ = ("_firsts", "_lengths", "_offsets", "_segments", "last_first")

    def __init__(self) -> None:
        self._firsts = array("Q")
        self._segments = array("Q")
        self._offsets = array("Q")
        self._lengths = array("Q")
        self.last_first = 0
        """The first index of the last run; 0 when there is none."""

    @property
    def first_segment(self) -> int | None:
        """Where the first run stands, and so none before it; None when there is none."""
        return self._segments[0] if self._segments else None

    def add(self, first: Index, position: Position) -> None:
        """Adds the run that begins at `first`; it replaces all runs from there on."""
        if first <= self.last_first:
            self.cut(first)
        self.last_first = first
        self._firsts.append(first)
        self._segments.append(position.segment)
        self._offsets.append(position.offset)
        self._lengths.append(position.length)

    def cut(self, first: int) -> None:
        """Forgets the runs that begin at or after `first`."""
        while self._firsts and self._firsts[-1] >= first:
            for column in (self._firsts, self._segments, self._offsets, self._lengths):
                column.pop()
        self._note_last()

    def drop(self, through: int) -> None:
        """Forgets the runs that end at or before `through`, as far as later ones tell."""
        count = max(0, bisect_right(self._firsts, through + 1) - 1)
        for column in (self._firsts, self._segments, self._offsets, self._lengths):
            del column[:count]
        self._note_last()

    def clear(self) -> None:
        """Forgets all."""
        for column in (self._firsts, self._segments, self._offsets, self._lengths):
            del column[:]
        self._note_last()

    def _note_last(self) -> None:
        self.last_first = self._firsts[-1] if self._firsts else 0

    def first_from(self, segment: int) -> int | None:
        """The first index of the first run that stands in `segment` or a later one."""
        run = bisect_left(self._segments, segment)  # what follows in the log was written later
        return self._firsts[run] if run < len(self._firsts) else None

    def find(self, index: int) -> tuple[Position, int | None] | None:
        """The run that holds `index`, and where the next one begins; None where there is none."""
        run = bisect_right(self._firsts, index) - 1
        if run < 0:
            return None
        position = Position(self._segments[run], self._offsets[run], self._lengths[run])
        return position, self._firsts[run + 1] if run + 1 < len(self._firsts) else None
