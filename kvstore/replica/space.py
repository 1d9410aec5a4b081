"""Whether there is room on the disk for what clients write: only decisions.

```
 free  ├──────────────┼───────────────────┼──────────────────────────▶
       0       reserve / 2             reserve
          NONE              SHORT                 ENOUGH
```

What must be written (votes, bounds, what is under way) needs room, too, and so does the engine to
write down what is in memory. So new writes are refused while there still is some: a node that
leads takes none in (SHORT), and one that follows takes no entries either once it has to fear that
it cannot store them (NONE): what was sent is sent again when there is room. Reads and elections go
on in each of them.
"""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Space(IntEnum):
    """See the module."""

    ENOUGH = 0
    SHORT = 1
    NONE = 2


class SpaceWatch:
    """See the module. Leaves SHORT only when a quarter more than the reserve is free, so that it
    does not go to and fro with what the engine needs for a moment."""

    __slots__ = (
        "_log_has_room",
        "_refused_by",
        "_reserve_bytes",
        "_where",
        "free_bytes",
        "space",
    )

    def __init__(self, reserve_bytes: int, where: str) -> None:
        """`where`: of which node and disk this is, for people."""
        self._where = where
        self._reserve_bytes = reserve_bytes
        self._log_has_room = True
        self._refused_by: str | None = None
        self.free_bytes: int | None = None
        """As measured last; None: not yet."""
        self.space = Space.ENOUGH
        """As of the last call."""

    def measured(self, free_bytes: int, *, log_has_room: bool) -> None:
        """So much of the disk is free; whether the log is sure of room for its next segment."""
        self.free_bytes = free_bytes
        self._log_has_room = log_has_room
        self._judge()

    def refused(self, by: str | None) -> None:
        """Who had no room for what was to be written and waits to write it again; None: nobody."""
        if by != self._refused_by:
            self._refused_by = by
            self._judge()

    @property
    def is_full(self) -> bool:
        """Whether hardly anything is free on the disk, whoever it is that took it."""
        return self.free_bytes is not None and self.free_bytes < self._reserve_bytes // 2

    @property
    def reason(self) -> str:
        """Why there is not enough, where, and what to do; for people."""
        if self._refused_by is not None:
            reason = f"{self._refused_by} has no room"
        elif not self._log_has_room:
            reason = "the commit log has no room for another segment"
        else:
            reason = f"{self.free_bytes} bytes are free, of {self._reserve_bytes} to be kept back"
        return (
            f"{self._where} is short of space: {reason}; make room there, and writes are taken"
            " again; reads go on"
        )

    def _judge(self) -> None:
        free, reserve = self.free_bytes, self._reserve_bytes
        enough = reserve if self.space is Space.ENOUGH else reserve + reserve // 4
        if self._refused_by is not None or self.is_full:
            self.space = Space.NONE
        elif not self._log_has_room or (free is not None and free < enough):
            self.space = Space.SHORT
        else:
            self.space = Space.ENOUGH
