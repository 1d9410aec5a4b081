"""Measures what writes notice of many keys whose lifetimes end at once.

    PYTHONPATH=. python tools/measure_expiry.py --keys 100000

Three local nodes. The keys are put so that all of them end at one moment; callers put other keys
all the while. Printed is one JSON object: puts a second and their latencies before, while and after
the keys end, and how long it took until none was left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Final

from kvstore import AsyncClient, LocalCluster
from kvstore.bench.histogram import Histogram

_CALLERS: Final = 64
_LOADERS: Final = 512
_VALUE: Final = b"v" * 256
_BEFORE_S: Final = 6.0
_AFTER_S: Final = 4.0
_POLL_S: Final = 1.0
_WAIT_S_MAX: Final = 120.0


class Load:
    """Puts that go on, measured in phases."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._is_over = False
        self._latencies = Histogram()
        self._began_s = time.perf_counter()

    async def run(self) -> None:
        """Until `stop`."""
        await asyncio.gather(*(self._call(number) for number in range(_CALLERS)))

    def stop(self) -> None:
        """Lets the callers end."""
        self._is_over = True

    def phase(self) -> dict[str, float]:
        """What there was since the phase before."""
        latencies, self._latencies = self._latencies, Histogram()
        began_s, self._began_s = self._began_s, time.perf_counter()
        return {
            "seconds": round(self._began_s - began_s, 1),
            "puts_per_second": round(latencies.count / (self._began_s - began_s)),
            "p50_ms": round(latencies.quantile_ns(0.5) / 1e6, 1),
            "p99_ms": round(latencies.quantile_ns(0.99) / 1e6, 1),
            "max_ms": round(latencies.max_ns / 1e6, 1),
        }

    async def _call(self, number: int) -> None:
        turn = 0
        while not self._is_over:
            turn += 1
            begun_ns = time.perf_counter_ns()
            await self._client.put(f"other/{number}/{turn % 100}", _VALUE)
            self._latencies.record(time.perf_counter_ns() - begun_ns)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--keys", type=int, default=100_000)
    keys = parser.parse_args().keys
    with LocalCluster() as cluster:
        print(json.dumps(asyncio.run(measure(cluster.endpoints, keys)), indent=2))


async def measure(endpoints: str, keys: int) -> dict[str, object]:
    """See the module."""
    async with AsyncClient(endpoints, timeout_s=30) as client:
        seconds = 20 + keys / 2_000
        end_s = time.monotonic() + seconds
        await load(client, keys, end_s)
        there = await client.count(prefix="short/")
        puts = Load(client)
        running = asyncio.create_task(puts.run())
        await asyncio.sleep(max(0.0, end_s - _BEFORE_S - time.monotonic()))
        puts.phase()
        await asyncio.sleep(max(0.0, end_s - time.monotonic()))
        before, ended_s = puts.phase(), time.monotonic()
        while left := await client.count(prefix="short/"):
            if time.monotonic() - ended_s > _WAIT_S_MAX:
                raise SystemExit(f"{left} keys are left after {_WAIT_S_MAX:.0f} s")
            await asyncio.sleep(_POLL_S)
        took_s, during = time.monotonic() - ended_s, puts.phase()
        await asyncio.sleep(_AFTER_S)
        after = puts.phase()
        puts.stop()
        await running
        return {
            "keys": there,
            "before": before,
            "while_they_end": during,
            "after": after,
            "none_left_after_s": round(took_s, 1),
        }


async def load(client: AsyncClient, keys: int, end_s: float) -> None:
    """Puts the keys, each with the lifetime that is left until `end_s`."""
    numbers = iter(range(keys))

    async def put() -> None:
        for number in numbers:
            left_s = end_s - time.monotonic()
            if left_s < _BEFORE_S:
                raise SystemExit("the keys could not be put in time: ask for fewer")
            await client.put(f"short/{number}", _VALUE, ttl=left_s)

    await asyncio.gather(*(put() for _ in range(_LOADERS)))


if __name__ == "__main__":
    main()
