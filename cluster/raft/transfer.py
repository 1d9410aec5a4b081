"""Handing leadership over (dissertation 3.10): to whom, for how long, and whether it was told.

```
          begin                match = last index: TimeoutNow
   NONE ─────────▶ CATCHING UP ───────────────────────────────▶ TOLD
    ▲                   │                                         │
    └───────────────────┴─────────── given up ────────────────────┘
```
"""

from __future__ import annotations

from cluster.errors import TransferInProgress
from cluster.ids import ReplicaId


class Transfer:
    """The transfers of one leader in one term: one at a time."""

    __slots__ = ("_elapsed", "_is_told", "to", "was_told")

    def __init__(self) -> None:
        self.to: ReplicaId | None = None
        self._elapsed = 0
        self._is_told = False
        self.was_told = False
        """A TimeoutNow was sent in this term. It may still be under way, long after the transfer
        was given up."""

    def require_none(self) -> None:
        """Raises TransferInProgress while there is one."""
        if self.to is not None:
            raise TransferInProgress(f"leadership is being handed to replica {self.to}")

    def begin(self, to: ReplicaId) -> None:
        """Hands over to `to`."""
        self.to = to
        self._elapsed = 0
        self._is_told = False

    def tick(self, ticks_max: int) -> bool:
        """One tick passed. Whether the transfer was given up with it."""
        if self.to is None:
            return False
        self._elapsed += 1
        if self._elapsed < ticks_max:
            return False
        self.to = None
        return True

    def tell(self, match: int, last_index: int) -> bool:
        """Whether the target, which has all up to `match`, is to be told now: only once."""
        if self._is_told or match != last_index:
            return False
        self._is_told = self.was_told = True
        return True
