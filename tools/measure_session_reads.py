"""Session reads on real nodes: what they cost, and that they never go back as leaders are killed.

`PYTHONPATH=. python tools/measure_session_reads.py [--reads 1000000]`

First a cluster of three nodes serves that many session reads, with some writes among them, while
the node that leads most partitions is killed again and again. Every read is checked: it must be
from no state that is older than what its session had written or read when it began. Then a cluster
with one partition serves linearizable, session and stale reads in turn, and the processor time that
its nodes took for them is printed, the leader's and everybody's.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from random import Random
from typing import Final

from kvstore import AsyncClient, LocalCluster
from kvstore.client import Consistency, Stale
from kvstore.client.levels import Level
from tests.support.leading import leading_node
from tests.support.registers import Violation
from tests.support.sessions import SessionWorkload

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_KILLS: Final = 20
"""Spread over the reads."""
_LEVELS: Final[Sequence[tuple[str, Level]]] = (
    ("linearizable", Consistency.LINEARIZABLE),
    ("session", Consistency.SESSION),
    ("stale, 5 s", Stale(5.0)),
)
_LINE: Final = "{:<14}{:>10}{:>12}{:>14}{:>14}{:>14}"


def main() -> int:
    """Prints the figures; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument("--callers", type=int, default=256)
    parser.add_argument("--cost-reads", type=int, default=100_000, help="of each level and turn")
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    good = asyncio.run(_under_kills(arguments.reads, arguments.callers))
    asyncio.run(_costs(arguments.cost_reads, arguments.callers, arguments.turns))
    return 0 if good else 1


async def _under_kills(reads: int, callers: int) -> bool:
    with LocalCluster(nodes=3) as cluster:
        async with AsyncClient(cluster.endpoints, random=Random(1)) as client:
            load = SessionWorkload(client, callers, write_share=0.02)
            started_s = time.monotonic()
            load.start()
            step = max(1, reads // (2 * _KILLS))
            kills = 0
            try:
                while load.reads < reads:
                    await load.reads_more(step, within_s=600)
                    victim = await leading_node(client)
                    cluster.kill(victim)
                    kills += 1
                    await load.reads_more(step, within_s=600)
                    await asyncio.to_thread(cluster.up)
                await load.finish()
            except Violation as problem:
                print(f"VIOLATION: {problem}")
                return False
            took_s = time.monotonic() - started_s
            shares = [f"{node} {count:,}" for node, count in sorted(load.served_by.items())]
            print(
                f"{load.reads:,} session reads and {load.writes:,} writes in {took_s:.0f} s,"
                f" leaders killed {kills} times: 0 violations; {load.failed} operations failed;"
                f" served by {', '.join(shares)}"
            )
            return True


async def _costs(reads: int, callers: int, turns: int) -> None:
    print(_LINE.format("level", "reads", "reads/s", "leader, µs", "all nodes, µs", "client, µs"))
    with LocalCluster(nodes=3, partitions=1) as cluster:
        async with AsyncClient(cluster.endpoints, random=Random(1)) as client:
            costs = _Costs(cluster, client, callers)
            await asyncio.gather(*(client.put(key, "x" * 256) for key in costs.keys))
            for _ in range(turns):
                for name, level in _LEVELS:
                    await costs.measure(name, level, reads)


class _Costs:
    """Processor time for reads, by who spends it."""

    def __init__(self, cluster: LocalCluster, client: AsyncClient, callers: int) -> None:
        self.keys = [f"cost/{number}" for number in range(1000)]
        self._client = client
        self._callers = callers
        self._left = 0
        self._pids = {
            report.node_id: report.pid for report in cluster.status() if report.pid is not None
        }

    async def measure(self, name: str, level: Level, reads: int) -> None:
        leader = await leading_node(self._client)
        await self._read_all(level, self._callers * 4)  # lanes and points are there now
        before = self._used_s()
        client_before_s, started_s = time.process_time(), time.monotonic()
        await self._read_all(level, reads)
        took_s, client_s = time.monotonic() - started_s, time.process_time() - client_before_s
        used = {node: after_s - before[node] for node, after_s in self._used_s().items()}
        if await leading_node(self._client) != leader:
            name += "*"  # leadership moved meanwhile
        costs = [f"{s / reads * 1e6:.1f}" for s in (used[leader], sum(used.values()), client_s)]
        print(_LINE.format(name, f"{reads:,}", f"{reads / took_s:,.0f}", *costs))

    def _used_s(self) -> dict[str, float]:
        return {node: _cpu_s(pid) for node, pid in self._pids.items()}

    async def _read_all(self, level: Level, reads: int) -> None:
        self._left = reads
        callers = [self._call(level, Random(number)) for number in range(self._callers)]
        await asyncio.gather(*callers)

    async def _call(self, level: Level, random: Random) -> None:
        while self._left > 0:
            self._left -= 1
            if await self._client.get(random.choice(self.keys), consistency=level) is None:
                raise Violation("a key that was written is not there")


def _cpu_s(pid: int) -> float:
    """User and system time of a process, in seconds."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


if __name__ == "__main__":
    sys.exit(main())
