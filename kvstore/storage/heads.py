"""A bounded memory of record heads, so that many writes need no read before them.

A head is what a write has to know of the record it replaces: version, create revision and end of
life, as one number. There are hundreds of thousands of them: a number takes a third of a tuple's
bytes, and is nothing for the garbage collector to follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NewType

Head = NewType("Head", int)
ABSENT: Final = Head(0)
"""No such key: no record has version 0."""

HEADS_BYTES_MAX_DEFAULT: Final = 64 << 20
_ENTRY_BYTES: Final = 144
"""About what an entry takes beside the bytes of its key: objects and their share of the dict."""

# Of most records: create revision | 24 bits of version | 0, a machine word as a rule. Of those that
# end, or were written oftener: expiry ms | 64 bits of create revision | 64 bits of version | 1.
_SHORT_VERSION_MAX: Final = (1 << 24) - 1
_U64_MAX: Final = (1 << 64) - 1


def head_of(version: int, create_revision: int, expiry_ms: int) -> Head:
    """The three of a record; `expiry_ms` is 0 where it does not end."""
    if not expiry_ms and version <= _SHORT_VERSION_MAX:
        return Head(create_revision << 25 | version << 1)
    return Head(((expiry_ms << 64 | create_revision) << 64 | version) << 1 | 1)


def parts_of(head: Head) -> tuple[int, int, int]:
    """Version, create revision and expiry ms: of what is ABSENT, three times 0."""
    if not head & 1:
        return head >> 1 & _SHORT_VERSION_MAX, head >> 25, 0
    return head >> 1 & _U64_MAX, head >> 65 & _U64_MAX, head >> 129


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
