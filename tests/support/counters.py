"""A workload that shows what is applied twice, or not: counters, and answers that get lost.

Each caller adds 1 to a counter again and again. In the end a counter holds what was acknowledged,
and of the increments of which nothing is known each once at most.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

import grpc
import grpc.aio

from kvstore import AsyncClient, KVStoreError, Outcome
from kvstore.client.direct_channel import DirectChannel
from kvstore.generated.kvstore.v1 import kv_pb2

_WRITE = kv_pb2.SECTION_KIND_WRITE
_OK = kv_pb2.SECTION_STATUS_OK


@dataclass
class Cuts:
    """Cuts off answers that say that writes were applied: the client has to send them again."""

    share: float
    """Of the calls that were answered so."""
    random: Random
    calls: int = 0
    """Whose answers were cut off."""
    commands: int = 0
    """In them, each applied: so many retries of what is done are forced."""

    def channel(self, address: str) -> CutChannel:
        """For `open_channel`."""
        return CutChannel(address, self)


class CutChannel(DirectChannel):
    """A channel whose connection is lost now and then, once the node has done what it was asked."""

    def __init__(self, address: str, cuts: Cuts) -> None:
        super().__init__(address)
        batch = self.batch

        async def cut(request: kv_pb2.BatchRequest, **options: Any) -> kv_pb2.BatchResponse:
            response: kv_pb2.BatchResponse = await batch(request, **options)
            parts = zip(request.kinds, response.statuses, strict=True)
            applied = sum(kind == _WRITE and status == _OK for kind, status in parts)
            if not applied or cuts.random.random() >= cuts.share:
                return response
            cuts.calls += 1
            cuts.commands += applied
            nothing: Any = grpc.aio.Metadata()
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNAVAILABLE, nothing, nothing, "the answer was cut off", None
            )

        self.batch = cut


@dataclass
class Counter:
    """One key and what is known of it."""

    key: bytes
    acknowledged: int = 0
    unknown: int = 0
    sums: list[int] = field(default_factory=list)
    """That acknowledged increments came to."""


@dataclass
class Counting:
    """Callers on `counters`, `callers` of each, until `finish`."""

    client: AsyncClient
    counters: int = 32
    callers: int = 2
    timeout_s: float = 10.0
    prefix: bytes = b"count/"
    pause_s: float = 0.0
    """Of each caller between two increments: with one, nodes have time to start beside the load."""
    refused: int = 0
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._counters = [Counter(self.prefix + b"%d" % n) for n in range(self.counters)]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def acknowledged(self) -> int:
        """Of all counters."""
        return sum(counter.acknowledged for counter in self._counters)

    @property
    def unknown(self) -> int:
        """Of all counters."""
        return sum(counter.unknown for counter in self._counters)

    def start(self) -> None:
        """Begins to count."""
        for counter in self._counters * self.callers:
            self._tasks.append(asyncio.create_task(self._count(counter)))

    async def acknowledges_more(self, count: int, within_s: float = 60.0) -> None:
        """Until so many further increments were acknowledged."""
        target = self.acknowledged + count
        async with asyncio.timeout(within_s):
            while self.acknowledged < target:
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)

    async def finish(self) -> None:
        """Ends the load and raises what went wrong in it."""
        self.stop.set()
        await asyncio.gather(*self._tasks)

    async def verify(self, reader: AsyncClient) -> int:
        """Compares all counters with what is known of them; how many unknown ones were applied."""
        applied = 0
        for counter in self._counters:
            value = int(await reader.get(counter.key, timeout_s=30.0) or b"0")
            assert counter.acknowledged <= value <= counter.acknowledged + counter.unknown, counter
            assert len(set(counter.sums)) == len(counter.sums), counter
            applied += value - counter.acknowledged
        return applied

    async def _count(self, counter: Counter) -> None:
        while not self.stop.is_set():
            await asyncio.sleep(self.pause_s)
            try:
                came_to = await self.client.increment(counter.key, timeout_s=self.timeout_s)
            except KVStoreError as problem:
                if problem.outcome is Outcome.UNKNOWN:
                    counter.unknown += 1
                else:
                    self.refused += 1
                    await asyncio.sleep(0.05)
                continue
            counter.acknowledged += 1
            counter.sums.append(came_to)
