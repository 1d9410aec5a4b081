"""A load of one kind of operation, and what came of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from kvstore.cli.histogram import Histogram
from kvstore.errors import KVStoreError

if TYPE_CHECKING:
    from kvstore.client import AsyncClient

Operation = Callable[[bytes], Awaitable[object]]


class LoadResult:
    """What came of a load."""

    def __init__(self) -> None:
        self.latencies = Histogram()
        self.failures: Counter[str] = Counter()
        self.elapsed_s = 0.0


async def measure(operation: Operation, callers: int, seconds: float, keys: int) -> LoadResult:
    """Keeps `callers` operations under way for `seconds`; failures are counted by their kind."""
    result = LoadResult()
    clock = time.perf_counter_ns
    started = clock()
    end = started + int(seconds * 1e9)

    async def call(randomness: random.Random) -> None:
        record = result.latencies.record
        while (begun := clock()) < end:
            try:
                await operation(b"bench/%08d" % randomness.randrange(keys))
            except KVStoreError as problem:
                result.failures[type(problem).__name__] += 1
            else:
                record(clock() - begun)

    await asyncio.gather(*(call(random.Random(number)) for number in range(callers)))
    result.elapsed_s = (clock() - started) / 1e9
    return result


async def put_all(client: AsyncClient, value: bytes, keys: int) -> None:
    """Puts `value` to every key of the load."""
    numbers = iter(range(keys))

    async def call() -> None:
        for number in numbers:
            await client.put(b"bench/%08d" % number, value)

    await asyncio.gather(*(call() for _ in range(min(keys, 512))))
