"""Puts rows, many at once: of a file that is imported, or of a backup."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from kvstore.cli.progress import Advance
from kvstore.codec.text import to_cell
from kvstore.errors import KVStoreError, OutcomeUnknown

if TYPE_CHECKING:
    from kvstore.client import AsyncClient

_WORKERS: Final = 512
_UNDER_WAY_BYTES_MAX: Final = 32 << 20
_ATTEMPTS_MAX: Final = 5


class Row(NamedTuple):
    """What is put to a key."""

    key: bytes
    value: bytes
    lifetime_ms: int = 0
    """0: it does not expire."""


class RowSource(Protocol):
    """The rows of a file; raises KVStoreError when it cannot go on."""

    @property
    def position_bytes(self) -> int:
        """How much of the file has been read."""
        ...

    def __iter__(self) -> Iterator[Row]: ...


class Importer:
    """Puts rows with a bounded number of them, and of their bytes, under way.

    Rows of one key are put one after another, in the order of the file: its last value stays.
    """

    def __init__(self, reader: RowSource, advance: Advance) -> None:
        self.done = 0
        self._reader = reader
        self._rows: Iterator[Row] = iter(reader)
        self._advance = advance
        self._bytes = 0
        self._room = asyncio.Event()
        self._last_of_key: dict[bytes, asyncio.Future[None]] = {}
        self._problem: KVStoreError | None = None

    async def run(self, client: AsyncClient) -> None:
        """Puts all rows; raises what went wrong first, after what was under way is settled."""
        await asyncio.gather(*(self._work(client) for _ in range(_WORKERS)))
        if self._problem is not None:
            raise self._problem

    async def _work(self, client: AsyncClient) -> None:
        loop = asyncio.get_running_loop()
        while (row := await self._next()) is not None:
            key = row.key
            settled = loop.create_future()
            before = self._last_of_key.get(key)
            self._last_of_key[key] = settled
            try:
                if before is not None:
                    await before
                await self._put(client, row)
            finally:
                settled.set_result(None)
                if self._last_of_key[key] is settled:
                    del self._last_of_key[key]
                self._bytes -= len(key) + len(row.value)
                self._room.set()

    async def _next(self) -> Row | None:
        while self._bytes > _UNDER_WAY_BYTES_MAX:
            self._room.clear()
            await self._room.wait()
        if self._problem is not None:
            return None
        try:
            row = next(self._rows, None)
        except KVStoreError as problem:
            self._problem = problem
            return None
        if row is not None:
            self._bytes += len(row.key) + len(row.value)
        return row

    async def _put(self, client: AsyncClient, row: Row) -> None:
        """Puts a row, unless another has failed: then nothing more is begun."""
        key, ttl = row.key, row.lifetime_ms / 1000 if row.lifetime_ms else None
        for attempt in range(1, _ATTEMPTS_MAX + 1):
            if self._problem is not None:
                return
            try:
                await client.put(key, row.value, ttl=ttl)
            except OutcomeUnknown as problem:
                if attempt == _ATTEMPTS_MAX:
                    self._problem = OutcomeUnknown(f"key {to_cell(key)}: {problem}")
            except KVStoreError as problem:
                self._problem = type(problem)(f"key {to_cell(key)}: {problem}")
            else:
                self.done += 1
                self._advance(self._reader.position_bytes, self.done)
                return
