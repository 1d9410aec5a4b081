"""Scans over all partitions: pages of each, merged in byte order.

Keys are spread over partitions by hash, so every partition has its share of any range. One page of
each is asked for at first and one more as soon as a page begins to be used: what is held is bounded
by two pages for each partition, and pages are smaller where there are many.

A consistent scan has each partition's leader open a view, and reads all pages from it. Where a view
is gone the scan ends with ScanExpired: it never goes on with what there is now.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from asyncio import Future
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from heapq import heapify, heappop, heapreplace
from random import Random
from typing import Any, Final

from cluster.ids import PartitionId
from kvstore.client.dispatch import Dispatcher
from kvstore.client.level_sections import Bound
from kvstore.client.operations import PAGE_BYTES_MAX, OperationClass
from kvstore.client.ranges import Range
from kvstore.client.receipts import Receipt
from kvstore.client.scan_part import Part, PartView, let_go
from kvstore.codec.scan import Page, Scan, ViewAction, encode_scan
from kvstore.errors import InvalidArgument, ResourceExhausted

HELD_BYTES_AIM: Final = 8 << 20
"""By one scan: two pages for each partition, together."""
PAGE_BYTES_MIN: Final = 32 << 10
KEEP_AFTER_S: Final = 5.0
"""A view of which nothing was asked for so long is kept alive by a word, as long as the scan goes
on: keys need not come from all partitions in turn."""
_CLOSE_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Asking:
    """How the pages of a scan are asked for."""

    timeout_s: float
    """Of each page."""
    kind: OperationClass = OperationClass.SCAN
    bound: Bound = 0
    """What the class asks for at least."""
    receipts: list[Receipt] | None = None
    """Takes one of each page."""


@dataclass(frozen=True, slots=True)
class View:
    """What a consistent scan reads from, in all partitions."""

    number: int
    revisions: Mapping[int, int] = field(default_factory=dict)
    """Of the partitions in which it is open already."""


class _Last:
    """A key that comes first where it is greater: for scans in reverse."""

    __slots__ = ("key",)

    def __init__(self, key: bytes) -> None:
        self.key = key

    def __lt__(self, other: _Last) -> bool:
        return self.key > other.key


class Merge:
    """The parts of all partitions, as one."""

    def __init__(
        self, dispatcher: Dispatcher, wanted: Range, asking: Asking, view: View | None
    ) -> None:
        """`view` is that of a consistent scan."""
        self._dispatcher = dispatcher
        self._wanted = wanted
        self._asking = asking
        self.is_pinned = False
        """Another scan will go on in the view: it stays open when this one ends."""
        self.is_over = False
        if view is not None and len(view.revisions) not in (0, dispatcher.board.partitions):
            raise InvalidArgument(
                f"the cursor pins {len(view.revisions)} partitions; there are "
                f"{dispatcher.board.partitions}"
            )
        question = self._question()
        self.revisions: dict[int, int] = {}
        """As of which the views are, by partition; known from the first entry on."""
        self._keep_alive_s = math.inf if view is None else dispatcher.loop.time()
        self._parts: list[Part] = []
        if not wanted.is_empty:
            now_s = dispatcher.loop.time
            for number in range(dispatcher.board.partitions):
                ask = partial(self._ask, PartitionId(number))
                revision = None if view is None else view.revisions.get(number)
                seen = None if view is None else PartView(view.number, now_s, revision)
                self._parts.append(Part(ask, wanted, question, seen))

    async def records(self) -> AsyncGenerator[tuple[bytes, bytes], None]:
        """Keys and stored records, in order."""
        parts, limit = self._parts, self._wanted.limit
        order: Callable[[bytes], Any] = _Last if self._wanted.reverse else bytes
        given = 0
        try:
            # Keys of different partitions differ: the numbers in the heap are never compared.
            heap = [
                (order(each.key), number) for number, each in enumerate(parts) if await each.load()
            ]
            heapify(heap)
            self.revisions = {
                number: part.view.revision
                for number, part in enumerate(parts)
                if part.view is not None and part.view.revision is not None
            }
            while heap and given != limit:
                number = heap[0][1]
                part = parts[number]
                yield part.key, part.record
                given += 1
                if self._keep_alive_s <= self._dispatcher.loop.time():
                    self._keep_alive()
                if part.step() or (given != limit and await part.load()):
                    heapreplace(heap, (order(part.key), number))
                else:
                    heappop(heap)
        except asyncio.CancelledError:
            self._close()
            raise
        finally:
            await self._closed()

    def _keep_alive(self) -> None:
        self._keep_alive_s = self._dispatcher.loop.time() + KEEP_AFTER_S
        for number, part in enumerate(self._parts):
            view = part.view
            if view is not None and view.is_open and view.idle_s >= KEEP_AFTER_S:
                self._say(number, view.about(ViewAction.KEEP))

    async def _closed(self) -> None:
        """Returns when the nodes have let go of views; where that takes long, they do it alone."""
        closing = self._close()
        if closing:
            await asyncio.wait(closing, timeout=_CLOSE_TIMEOUT_S)

    def _close(self) -> list[Future[Page]]:
        self.is_over = True
        parts, self._parts = self._parts, []
        said: list[Future[Page]] = []
        for number, part in enumerate(parts):
            part.close()
            if part.view is not None and not self.is_pinned and not self._dispatcher.closed:
                with contextlib.suppress(ResourceExhausted):  # this is no time to complain
                    said.append(self._say(number, part.view.about(ViewAction.CLOSE)))
        return said

    def _say(self, partition: int, question: Scan) -> Future[Page]:
        """Asks without need of an answer. Where it does not arrive, the node lets go of the view by
        itself, and a scan that goes on learns of it."""
        body = encode_scan(question)
        deadline_s = self._dispatcher.loop.time() + _CLOSE_TIMEOUT_S
        asked = self._dispatcher.scan(PartitionId(partition), body, deadline_s)
        asked.add_done_callback(let_go)
        return asked

    def _ask(self, partition: PartitionId, question: Scan) -> Future[Page]:
        asking = self._asking
        return self._dispatcher.scan(
            partition,
            encode_scan(question),
            self._dispatcher.loop.time() + asking.timeout_s,
            kind=asking.kind,
            bound=asking.bound,
            receipts=asking.receipts,
        )

    def _question(self) -> Scan:
        """For each partition, but for its bounds."""
        wanted, partitions = self._wanted, self._dispatcher.board.partitions
        bytes_max = min(PAGE_BYTES_MAX, max(PAGE_BYTES_MIN, HELD_BYTES_AIM // (2 * partitions)))
        limit = 0
        if wanted.limit is not None:
            # Twice the fair share: enough for nearly every partition, without asking for all.
            limit = min(wanted.limit, 2 * -(-wanted.limit // partitions) + 16)
        return Scan(b"", None, limit, bytes_max, wanted.keys_only, wanted.reverse)


async def close_views(dispatcher: Dispatcher, number: int) -> None:
    """Has the nodes let go of the views of that number; where that takes long, they do it alone."""
    body = encode_scan(PartView(number, dispatcher.loop.time).about(ViewAction.CLOSE))
    deadline_s = dispatcher.loop.time() + _CLOSE_TIMEOUT_S
    partitions = range(dispatcher.board.partitions)
    asked = [dispatcher.scan(PartitionId(each), body, deadline_s) for each in partitions]
    await asyncio.gather(*asked, return_exceptions=True)


def view_number(random: Random) -> int:
    """Of a consistent scan; no other scan has it."""
    return random.getrandbits(63) + 1
