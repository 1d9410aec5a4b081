"""The engine in memory: for tests and simulation, and the reference for any other."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from threading import Lock
from typing import Self

from kvstore.errors import CorruptionError, InvariantViolation
from kvstore.storage.engine import EnginePage, WriteBatch

_ENTRY_BYTES = 24


class MemoryBatch:
    """See WriteBatch: changes as (key, value), (key, None) or (start, end, None)."""

    __slots__ = ("changes", "written")

    def __init__(self) -> None:
        self.changes: list[tuple[bytes, bytes | None] | tuple[bytes, bytes, None]] = []
        self.written = False

    def put(self, key: bytes, value: bytes, /) -> None:
        """See WriteBatch."""
        self.changes.append((key, value))

    def delete(self, key: bytes, /) -> None:
        """See WriteBatch."""
        self.changes.append((key, None))

    def delete_range(self, start: bytes, end: bytes, /) -> None:
        """See WriteBatch."""
        if start > end:
            raise ValueError(f"range {start!r} to {end!r} ends before it starts")
        self.changes.append((start, end, None))

    def __len__(self) -> int:
        return len(self.changes)

    def size_in_bytes(self) -> int:
        """See WriteBatch."""
        return sum(_ENTRY_BYTES + len(change[0]) + len(change[1] or b"") for change in self.changes)


class MemoryView:
    """See EngineView: a copy."""

    def __init__(self, engine: MemoryEngine, start: bytes, end: bytes) -> None:
        self._engine = engine
        self._twin: MemoryEngine | None = MemoryEngine()
        page = engine.scan(start, end, limit=1 << 60, bytes_max=1 << 60)
        batch = self._twin.new_batch()
        for key, value in zip(page.keys, page.values, strict=True):
            batch.put(key, value)
        self._twin.write(batch)

    def scan(
        self,
        start: bytes,
        end: bytes | None = None,
        *,
        limit: int,
        bytes_max: int,
        keys_only: bool = False,
        reverse: bool = False,
    ) -> EnginePage:
        """See EngineView."""
        self._engine.check_open()
        if self._twin is None:
            raise InvariantViolation("a view was used after it was closed")
        return self._twin.scan(
            start, end, limit=limit, bytes_max=bytes_max, keys_only=keys_only, reverse=reverse
        )

    def close(self) -> None:
        """See EngineView."""
        self._twin = None


class MemoryEngine:
    """A dict with its keys sorted beside it.

    It forgets what a disk would: `after_crash` gives the engine that a restart would find.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._durable: dict[bytes, bytes] = {}
        self._lock = Lock()  # flush, in its own thread, must not see half a batch
        self._closed = False
        self._rotten: dict[bytes, None] = {}
        self.is_watched = False
        """While it is, nothing reads rotten: somebody looks on who is no part of what goes on."""

    def rot(self, place: int) -> bool:
        """Damages what is stored of one key, which `place` chooses, until it is written anew. False
        where nothing is stored."""
        keys = sorted(self._durable.keys() & self._values.keys())
        if keys:
            self._rotten[keys[place % len(keys)]] = None
        return bool(keys)

    @property
    def is_rotten(self) -> bool:
        """Whether something is damaged that was not written anew."""
        return bool(self._rotten)

    def mend(self) -> None:
        """Nothing is damaged any more."""
        self._rotten.clear()

    def _check_sound(self, keys: Iterable[bytes]) -> None:
        if not self.is_watched:
            for key in keys:
                if key in self._rotten:
                    raise CorruptionError(f"the engine is damaged: block checksum of key {key!r}")

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """See Engine."""
        self.check_open()
        if self._rotten:
            self._check_sound(keys)
        return list(map(self._values.get, keys))

    def scan(
        self,
        start: bytes,
        end: bytes | None,
        *,
        limit: int,
        bytes_max: int,
        keys_only: bool = False,
        reverse: bool = False,
    ) -> EnginePage:
        """See Engine."""
        self.check_open()
        low = bisect_left(self._keys, start)
        high = len(self._keys) if end is None else bisect_left(self._keys, end)
        places = range(high - 1, low - 1, -1) if reverse else range(low, high)
        if self._rotten:
            self._check_sound(self._keys[place] for place in places[:limit])
        keys: list[bytes] = []
        values: list[bytes] = []
        size = 0
        for place in places:
            key = self._keys[place]
            value = b"" if keys_only else self._values[key]
            size += len(key) + len(value)
            if keys and (len(keys) == limit or size > bytes_max):
                return EnginePage(keys, values, more=True)
            keys.append(key)
            if not keys_only:
                values.append(value)
        return EnginePage(keys, values, more=False)

    def view(self, start: bytes, end: bytes) -> MemoryView:
        """See Engine."""
        self.check_open()
        return MemoryView(self, start, end)

    def new_batch(self) -> MemoryBatch:
        """See Engine."""
        return MemoryBatch()

    def write(self, batch: WriteBatch) -> None:
        """See Engine."""
        self.check_open()
        if not isinstance(batch, MemoryBatch):
            raise TypeError("a batch is written by the engine that made it")
        if batch.written:
            raise InvariantViolation("a batch is written once")
        batch.written = True
        with self._lock:
            for change in batch.changes:
                if len(change) == 3:
                    self._remove_range(change[0], change[1])
                elif change[1] is None:
                    self._remove(change[0])
                else:
                    if change[0] not in self._values:
                        insort(self._keys, change[0])
                    self._values[change[0]] = change[1]
                    self._rotten.pop(change[0], None)

    def flush(self) -> None:
        """See Engine."""
        self.check_open()
        with self._lock:
            self._durable = self._values.copy()

    def approximate_bytes(self) -> int:
        """See Engine."""
        self.check_open()
        return sum(_ENTRY_BYTES + len(key) + len(value) for key, value in self._values.items())

    def close(self) -> None:
        """See Engine."""
        self._closed = True

    def after_crash(self) -> Self:
        """Another engine that holds what this one held when `flush` last returned."""
        engine = type(self)()
        engine._values = self._durable.copy()
        engine._durable = self._durable.copy()
        engine._keys = sorted(engine._values)
        engine._rotten = dict.fromkeys(key for key in self._rotten if key in engine._values)
        return engine

    def _remove(self, key: bytes) -> None:
        if self._values.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    def _remove_range(self, start: bytes, end: bytes) -> None:
        low, high = bisect_left(self._keys, start), bisect_left(self._keys, end)
        for key in self._keys[low:high]:
            del self._values[key]
        del self._keys[low:high]

    def check_open(self) -> None:
        """Raises InvariantViolation after `close`."""
        if self._closed:
            raise InvariantViolation("the engine was used after it was closed")
