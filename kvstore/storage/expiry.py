"""Keys that expire, in the order in which they do.

```
key      section prefix | u64 expiry ms, big-endian | the user's key          value: empty
```

Time is the partition's own: a clock in milliseconds that stands in the log. The leader lets it run
by its monotonic clock from where the last entry left it, and puts it into entries that begin or end
a lifetime; so it never goes back, and no wall clock is asked. While a partition has no leader, its
clock stands still: keys live longer then, never shorter.

A key ends with an entry that says so. Until that is applied it is there, for reads and for writes,
whatever anybody's clock says; so what was seen to be gone does not come back.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from cluster.ids import GroupId
from kvstore.errors import CorruptionError
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, section_end, section_prefix

NEVER_MS: Final = 1 << 63
_EXPIRY: Final = Struct(">Q")
_PAGE_BYTES: Final = 1 << 20


def expiry_key(prefix: bytes, expiry_ms: int, key: bytes) -> bytes:
    """Of the record that says that `key` expires then; `prefix` is that of the section."""
    return prefix + _EXPIRY.pack(expiry_ms) + key


class ExpiryIndex:
    """Which keys of one partition expire next."""

    __slots__ = ("_end", "_engine", "_next_ms", "prefix")

    def __init__(self, engine: Engine, group: GroupId, generation: int) -> None:
        self._engine = engine
        self.prefix = section_prefix(group, generation, Section.EXPIRY)
        self._end = section_end(group, generation, Section.EXPIRY)
        self._next_ms: int | None = None
        """No key expires before; None: not known."""

    @property
    def is_empty(self) -> bool:
        """Whether no key is to end."""
        if self._next_ms is None:
            self._next_ms = self._first_ms()
        return self._next_ms == NEVER_MS

    def note(self, expiry_ms: int) -> None:
        """A key was given this expiry, and the engine took it."""
        if self._next_ms is not None and expiry_ms < self._next_ms:
            self._next_ms = expiry_ms

    def due(self, clock_ms: int, limit: int) -> list[tuple[bytes, int]]:
        """The first keys, `limit` at most, that end at `clock_ms` or before, each with its expiry.

        Reads the engine only where there may be such keys.
        """
        if self._next_ms is None:
            self._next_ms = self._first_ms()
        if self._next_ms > clock_ms:
            return []
        page = self._engine.scan(
            self.prefix,
            self.prefix + _EXPIRY.pack(clock_ms + 1),
            limit=limit,
            bytes_max=_PAGE_BYTES,
            keys_only=True,
        )
        if not page.keys:
            self._next_ms = self._first_ms()
        return [self._decode(key) for key in page.keys]

    def _first_ms(self) -> int:
        page = self._engine.scan(
            self.prefix, self._end, limit=1, bytes_max=_PAGE_BYTES, keys_only=True
        )
        return self._decode(page.keys[0])[1] if page.keys else NEVER_MS

    def _decode(self, stored: bytes) -> tuple[bytes, int]:
        cut = len(self.prefix)
        if len(stored) <= cut + _EXPIRY.size:
            raise CorruptionError(f"the expiry record under {stored!r} is unreadable")
        return stored[cut + _EXPIRY.size :], _EXPIRY.unpack_from(stored, cut)[0]
