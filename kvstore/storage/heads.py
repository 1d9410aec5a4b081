"""A bounded memory of record heads, so that many writes need no read before them.

A head is what a write has to know of the record it replaces: (version, create revision, expiry ms),
or ABSENT.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

Head = tuple[int, int, int]
ABSENT: Final[Head] = (0, 0, 0)
"""No such key: no record has version 0."""

HEADS_BYTES_MAX_DEFAULT: Final = 64 << 20
_ENTRY_BYTES: Final = 224
"""About what an entry takes beside the bytes of its key: objects and their share of the dict."""


class HeadCache:
    """The heads of keys that were written lately, by whole engine key.

    Correct because only the applier writes data: it tells of every change after the engine took
    it, and empties the cache when a round failed. A new generation of a partition has other keys.

    Two halves instead of an order of use: when the young one is full it becomes the old one, and
    what was old is forgotten. A key that is written in between moves back to the young half.
    """

    __slots__ = ("_half_bytes_max", "_old", "_young", "_young_bytes")

    def __init__(self, bytes_max: int = HEADS_BYTES_MAX_DEFAULT) -> None:
        self._half_bytes_max = bytes_max // 2
        self._young: dict[bytes, Head] = {}
        self._young_bytes = 0
        self._old: dict[bytes, Head] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def look_up(self, keys: Iterable[bytes], known: dict[bytes, Head]) -> list[bytes]:
        """Adds the heads of `keys` to `known`, and returns the keys that are not in the cache.

        Keys that are in `known` already are passed over; those returned are put there as ABSENT,
        for the caller to correct. `remember` of the same `known` has to follow, or `clear`.
        """
        young, old = self._young, self._old
        unknown: list[bytes] = []
        for key in keys:
            if key in known:
                continue
            head = young.get(key)
            if head is None:
                self._young_bytes += _ENTRY_BYTES + len(key)  # `remember` will put it there
                head = old.get(key)
                if head is None:
                    unknown.append(key)
                    head = ABSENT
            known[key] = head
        return unknown

    def remember(self, known: dict[bytes, Head]) -> None:
        """Takes over `known`, of `look_up`, as what the engine holds now.

        The keys that are new there, too: one that is written again soon costs a read of the engine
        otherwise, for which the interpreter lock is given up and has to be waited for.
        """
        self._young.update(known)
        if self._young_bytes > self._half_bytes_max:
            self._old, self._young, self._young_bytes = self._young, {}, 0

    def forget(self, keys: Iterable[bytes]) -> None:
        """Drops `keys`, whose records were changed by somebody else."""
        for key in keys:
            if self._young.pop(key, None) is not None:
                self._young_bytes -= _ENTRY_BYTES + len(key)
            self._old.pop(key, None)

    def clear(self) -> None:
        """Forgets everything."""
        self._young, self._old, self._young_bytes = {}, {}, 0
