"""When the writes of every partition go through again, after something was done to the cluster.

One key of each partition is written again and again, whatever happens: what lies between a moment
and the first write of each partition that began after it, and was acknowledged, is the recovery.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from cluster.partition.ranges import partition_of_hash
from kvstore.client import AsyncClient
from kvstore.codec.routing import key_hash
from kvstore.errors import KVStoreError

_EVERY_S: Final = 0.1
_RETRY_S: Final = 0.01
_TIMEOUT_S: Final = 0.25
_WATCHES_MAX: Final = 3


class Watch:
    """A wait for the writes of all partitions."""

    __slots__ = ("_waiting", "done", "since_ns")

    def __init__(self, partitions: int, since_ns: int) -> None:
        self.since_ns: Final = since_ns
        self._waiting = set(range(partitions))
        self.done: Final[asyncio.Future[float]] = asyncio.get_running_loop().create_future()
        """After how many milliseconds."""

    def on_written(self, partition: int, invoked_ns: int) -> None:
        """A write was acknowledged."""
        if invoked_ns >= self.since_ns:
            self._waiting.discard(partition)
            if not self._waiting and not self.done.done():
                self.done.set_result((time.monotonic_ns() - self.since_ns) / 1e6)


class Prober:
    """See the module. `keys` is one for each partition."""

    def __init__(self, client: AsyncClient, keys: list[bytes]) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._keys = keys
        self._stopping = False
        self._watches: list[Watch] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to write."""
        self._tasks = [
            asyncio.create_task(self._write(partition, key))
            for partition, key in enumerate(self._keys)
        ]

    def watch(self) -> Watch:
        """Begins to wait, from now on."""
        watch = Watch(len(self._keys), time.monotonic_ns())
        self._watches = [each for each in self._watches if not each.done.done()][-_WATCHES_MAX:]
        self._watches.append(watch)
        return watch

    async def close(self) -> None:
        """Writes no more; returns when nothing is under way."""
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _write(self, partition: int, key: bytes) -> None:
        while not self._stopping:
            invoked_ns = time.monotonic_ns()
            try:
                await self._client.put(key, b"", timeout_s=_TIMEOUT_S)
            except KVStoreError:
                await asyncio.sleep(_RETRY_S)
                continue
            for watch in self._watches:
                watch.on_written(partition, invoked_ns)
            # All at the same moment: together they travel in few calls, and weigh little.
            await asyncio.sleep(_EVERY_S - self._loop.time() % _EVERY_S)


def probe_keys(prefix: bytes, partitions: int) -> list[bytes]:
    """A key for each partition."""
    found: dict[int, bytes] = {}
    number = 0
    while len(found) < partitions:
        key = prefix + b"probe/%d" % number
        found.setdefault(partition_of_hash(key_hash(key), partitions), key)
        number += 1
    return [found[partition] for partition in range(partitions)]
