"""Scans over all partitions: pages of each, merged in byte order.

Keys are spread over partitions by hash, so every partition has its share of any range. One page of
each is asked for at first and one more as soon as a page begins to be used: what is held is bounded
by two pages for each partition, and pages are smaller where there are many.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heappop, heapreplace
from typing import Final

from cluster.ids import PartitionId
from kvstore.client.dispatch import Dispatcher
from kvstore.client.operations import PAGE_BYTES_MAX
from kvstore.codec.scan import Page, Scan, encode_scan

HELD_BYTES_AIM: Final = 16 << 20
"""By one scan: two pages for each partition, together."""
PAGE_BYTES_MIN: Final = 32 << 10

Ask = Callable[[bytes], Future[Page]]
"""Asks one partition for the page that begins at a key."""


@dataclass(frozen=True, slots=True)
class Range:
    """The keys start ≤ key < end, in byte order; at most `limit` of them."""

    start: bytes
    end: bytes | None
    """None: to the last key."""
    limit: int | None
    keys_only: bool = False

    @property
    def is_empty(self) -> bool:
        """No key can be in it."""
        return self.limit == 0 or (self.end is not None and self.end <= self.start)


def range_of(
    prefix: bytes | None, start: bytes | None, end: bytes | None, limit: int | None, keys_only: bool
) -> Range:
    """The range of keys that begin with `prefix` and are in start ≤ key < end, where given."""
    lowest = start or b""
    if prefix:
        lowest = max(lowest, prefix)
        after = after_prefix(prefix)
        if after is not None:
            end = after if end is None else min(end, after)
    return Range(lowest, end, limit, keys_only)


def after_prefix(prefix: bytes) -> bytes | None:
    """The first key after all that begin with `prefix`; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


class _Cursor:
    """One partition's part of a scan: the page in use and the one that is fetched ahead."""

    __slots__ = ("_ask", "_end", "_next", "_page", "_position")

    def __init__(self, ask: Ask, start: bytes) -> None:
        self._ask = ask
        self._page = Page((), (), True)
        self._position = 0
        self._next: Future[Page] | None = ask(start)

    @property
    def key(self) -> bytes:
        """The next key."""
        return self._page.keys[self._position]

    @property
    def record(self) -> bytes:
        """What is stored under it; empty when only keys were asked for."""
        return self._page.records[self._position] if self._page.records else b""

    def step(self) -> bool:
        """Goes to the next key; False when that takes `load` first."""
        self._position += 1
        return self._position < len(self._page.keys)

    async def load(self) -> bool:
        """Goes to the first key of the next page; False when there are no more keys."""
        while self._next is not None:
            page = await self._next
            self._next = None
            self._page, self._position = page, 0
            if page.more and page.keys:
                self._next = self._ask(page.keys[-1] + b"\0")
            if page.keys:
                return True
        return False

    def close(self) -> None:
        """Lets go of the page that is fetched ahead."""
        if self._next is not None and not self._next.cancel() and not self._next.cancelled():
            self._next.exception()  # looked at, so that nobody reports it as overlooked


async def scan_records(
    dispatcher: Dispatcher, wanted: Range, timeout_s: float
) -> AsyncGenerator[tuple[bytes, bytes], None]:
    """Keys and stored records in byte order; `timeout_s` is for each page."""
    if wanted.is_empty:
        return
    askers = _askers(dispatcher, wanted, timeout_s)
    cursors = [_Cursor(ask, wanted.start) for ask in askers]
    given = 0
    try:
        # Keys of different partitions differ, so the numbers in the heap are never compared.
        heap = [(each.key, number) for number, each in enumerate(cursors) if await each.load()]
        heapify(heap)
        while heap and given != wanted.limit:
            key, number = heap[0]
            cursor = cursors[number]
            yield key, cursor.record
            given += 1
            if cursor.step() or (given != wanted.limit and await cursor.load()):
                heapreplace(heap, (cursor.key, number))
            else:
                heappop(heap)
    finally:
        for cursor in cursors:
            cursor.close()


def _askers(dispatcher: Dispatcher, wanted: Range, timeout_s: float) -> list[Ask]:
    partitions = len(dispatcher.board.known_routes.map.partitions)
    bytes_max = min(PAGE_BYTES_MAX, max(PAGE_BYTES_MIN, HELD_BYTES_AIM // (2 * partitions)))
    limit = 0
    if wanted.limit is not None:
        # Twice the fair share: enough for nearly every partition, without asking each for all.
        limit = min(wanted.limit, 2 * -(-wanted.limit // partitions) + 16)

    def ask(partition: PartitionId, start: bytes) -> Future[Page]:
        question = Scan(start, wanted.end, limit, bytes_max, wanted.keys_only)
        return dispatcher.scan(partition, encode_scan(question), dispatcher.loop.time() + timeout_s)

    return [partial(ask, PartitionId(partition)) for partition in range(partitions)]
