"""A workload of one session whose every answer can be checked.

All tasks of a client are one session. Each has a key of its own, to which it writes rising numbers,
and reads any of the keys by session reads. At the moment a read begins it is noted what the session
has seen: of each partition the highest revision, of each key the highest number. The read must not
find less.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from kvstore import AsyncClient, KVStoreError, Outcome
from kvstore.client import Answer, Consistency
from tests.support.registers import Violation


@dataclass
class SessionWorkload:
    """`tasks` callers, until `stop` is set."""

    client: AsyncClient
    tasks: int
    seed: int = 1
    write_share: float = 0.05
    prefix: str = "session/"
    pause_s: float = 0.0
    """Of each task between two operations: with one, nodes have time to start beside the load."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reads: int = 0
    writes: int = 0
    failed: int = 0
    last_error: KVStoreError | None = None
    served_by: Counter[str] = field(default_factory=Counter)
    """Session reads, by the node that served them."""
    revisions: Counter[int] = field(default_factory=Counter)
    """By partition, the highest that was seen."""
    numbers: Counter[str] = field(default_factory=Counter)
    """By key, the highest that was seen."""
    _running: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        self._running = [
            asyncio.create_task(self._run(number, Random(self.seed * 100_003 + number)))
            for number in range(self.tasks)
        ]

    async def reads_more(self, count: int, within_s: float = 60.0) -> None:
        """Returns when so many more reads are served; raises what a task raised."""
        wanted = self.reads + count
        async with asyncio.timeout(within_s):
            while self.reads < wanted:
                for task in self._running:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)

    async def finish(self) -> None:
        self.stop.set()
        await asyncio.gather(*self._running)

    def _key(self, number: int) -> str:
        return f"{self.prefix}{number}"

    async def _run(self, own: int, random: Random) -> None:
        written = 0
        while not self.stop.is_set():
            if random.random() < self.write_share:
                written += 1
                await self._write(self._key(own), written)
            else:
                await self._read(self._key(random.randrange(self.tasks)))
            # With 0, too: who has closed the client, so that all fails at once, gets a turn.
            await asyncio.sleep(self.pause_s)

    async def _write(self, key: str, number: int) -> None:
        try:
            await self.client.put(key, str(number), timeout_s=20.0)
        except KVStoreError as problem:
            self.failed += problem.outcome is Outcome.DEFINITE
            self.last_error = problem
            return
        self.writes += 1
        self.numbers[key] = max(self.numbers[key], number)

    async def _read(self, key: str) -> None:
        # Of all partitions: which one the key is in, the receipt will say.
        number, revisions = self.numbers[key], self.revisions.copy()
        try:
            answer = await self.client.read(key, consistency=Consistency.SESSION, timeout_s=20.0)
        except KVStoreError as problem:
            self.failed += 1
            self.last_error = problem
            return
        self.reads += 1
        self.served_by[answer.receipt.node] += 1
        self._check(key, answer, number, revisions)

    def _check(self, key: str, answer: Answer, number: int, revisions: Counter[int]) -> None:
        receipt = answer.receipt
        if receipt.revision < revisions[receipt.partition]:
            raise Violation(
                f"{receipt.node} served partition {receipt.partition} at revision"
                f" {receipt.revision}; the session had seen {revisions[receipt.partition]}"
            )
        found = int(answer.value or b"0")
        if found < number:
            raise Violation(f"{receipt.node}: {key} held {found}; the session had seen {number}")
        self.numbers[key] = max(self.numbers[key], found)
        self.revisions[receipt.partition] = max(self.revisions[receipt.partition], receipt.revision)
