"""Counts keys: the nodes count, page by page, and send numbers only."""

from __future__ import annotations

import asyncio
from typing import Final

from cluster.ids import PartitionId
from kvstore.client.dispatch import Dispatcher
from kvstore.client.ranges import Range
from kvstore.client.scan import Asking
from kvstore.codec.scan import Scan, encode_scan

PAGE_KEYS_MAX: Final = 4096
"""A node counts them in one go, some milliseconds, while all else waits."""
PAGE_BYTES_MAX: Final = 1 << 20
AT_ONCE_MAX: Final = 8
"""Partitions that are being counted at the same time."""


async def count_keys(dispatcher: Dispatcher, wanted: Range, asking: Asking) -> int:
    """How many keys are in `wanted`."""
    if wanted.is_empty:
        return 0
    left = iter(range(dispatcher.board.partitions))
    total = 0

    async def work() -> None:
        nonlocal total
        for partition in left:
            # In two steps: others add to the total while this one waits.
            found = await _count_of(dispatcher, PartitionId(partition), wanted, asking)
            total += found

    workers = [
        dispatcher.loop.create_task(work())
        for _ in range(min(AT_ONCE_MAX, dispatcher.board.partitions))
    ]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return total


async def _count_of(
    dispatcher: Dispatcher, partition: PartitionId, wanted: Range, asking: Asking
) -> int:
    total, start = 0, wanted.start
    more = True
    while more:
        question = Scan(start, wanted.end, PAGE_KEYS_MAX, PAGE_BYTES_MAX, count=True)
        deadline_s = dispatcher.loop.time() + asking.timeout_s
        page = await dispatcher.scan(
            partition, encode_scan(question), deadline_s, receipts=asking.receipts
        )
        total += page.count
        more = page.more and bool(page.keys)
        if more:
            start = page.keys[-1] + b"\0"
    return total
