"""Changes that are not made yet: reads through them see them, and they can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_FETCH_MAX: Final = 64
"""Keys in one read: it holds the node's loop, and values may be large."""


class Trial(Generic[T]):
    """A map over another one that is only read. `begin` opens a part that may be rolled back."""

    __slots__ = ("_before", "_now", "_part", "_read")

    def __init__(self, read: Callable[[Sequence[bytes]], Sequence[T | None]]) -> None:
        """`read` gives the values of keys below, parallel to them."""
        self._read = read
        self._before: dict[bytes, T | None] = {}
        self._now: dict[bytes, T | None] = {}
        self._part: dict[bytes, T | None] | None = None

    def fetch(self, keys: Sequence[bytes]) -> None:
        """Reads what is not known of `keys` yet: to be called before `get` of them."""
        before = self._before
        unknown = list(dict.fromkeys(key for key in keys if key not in before))
        for start in range(0, len(unknown), _FETCH_MAX):
            some = unknown[start : start + _FETCH_MAX]
            before.update(zip(some, self._read(some), strict=True))

    def get(self, key: bytes) -> T | None:
        """The value of `key`, which was fetched, as it is by now."""
        part = self._part
        if part is not None and key in part:
            return part[key]
        return self._now[key] if key in self._now else self._before[key]

    def set(self, key: bytes, value: T | None) -> None:
        """Changes it; None removes it."""
        (self._now if self._part is None else self._part)[key] = value

    def begin(self) -> None:
        """What is set from now on is a part of its own."""
        self._part = {}

    def commit(self) -> None:
        """Keeps the part."""
        self._now.update(self._part or {})
        self._part = None

    def rollback(self) -> None:
        """Forgets it."""
        self._part = None

    def changes(self) -> Iterator[tuple[bytes, T | None, T | None]]:
        """Key, value before, value now, of all that differ."""
        for key, now in self._now.items():
            before = self._before[key]
            if now != before:
                yield key, before, now
