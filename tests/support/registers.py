"""A workload whose every answer can be checked: registers that only rise.

Each register has one writer, which writes 1, 2, 3, … and waits for each answer, and readers. A read
must find at least what was acknowledged before it began, and at most what was sent before it ended.
A write that failed for certain must not show: its number is written again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random

from kvstore import AsyncClient, KVStoreError, Outcome, OutcomeUnknown


class Violation(AssertionError):
    """The cluster broke a promise."""


@dataclass
class Register:
    """One key and what is known of it."""

    key: bytes
    acknowledged: int = 0
    sent: int = 0

    def check(self, value: bytes | None, floor: int) -> None:
        found = int(value or b"0")
        if not floor <= found <= self.sent:
            raise Violation(
                f"{self.key!r} held {found}; {floor} was acknowledged before, {self.sent} sent"
            )


@dataclass
class Tally:
    """How the operations ended."""

    acknowledged: int = 0
    unknown: int = 0
    refused: int = 0
    reads: int = 0
    last_error: KVStoreError | None = None


@dataclass
class Workload:
    """Writers and readers on `count` registers, until `stop` is set."""

    client: AsyncClient
    count: int
    prefix: bytes = b"register/"
    timeout_s: float = 10.0
    value_bytes: int = 0
    """Numbers are padded with spaces to this size, so that logs and tables fill."""
    pause_s: float = 0.0
    """Of each task between two operations: with one, nodes have time to start beside the load."""
    tally: Tally = field(default_factory=Tally)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._writing = 0
        self.registers = [Register(self.prefix + b"%04d" % i) for i in range(self.count)]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        for register in self.registers:
            self._tasks.append(asyncio.create_task(self._write(register)))
        for number in range(max(1, self.count // 4)):
            self._tasks.append(asyncio.create_task(self._read(Random(number))))

    async def finish(self) -> None:
        """Ends the load and raises what went wrong in it."""
        self.stop.set()
        self.go_on()
        await asyncio.gather(*self._tasks)

    def check_going(self) -> None:
        """Raises the first violation as soon as there is one."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def pause(self) -> None:
        """No more writes; returns when none is under way. Reads go on."""
        self._may_write.clear()
        while self._writing:
            self.check_going()
            await asyncio.sleep(0.01)

    def go_on(self) -> None:
        """Writes again."""
        self._may_write.set()

    async def acknowledges_more(self, count: int, within_s: float = 30.0) -> None:
        """Until so many further writes were acknowledged; a violation ends the wait."""
        target = self.tally.acknowledged + count
        try:
            async with asyncio.timeout(within_s):
                while self.tally.acknowledged < target:
                    self.check_going()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            last = self.tally.last_error
            raise AssertionError(f"no {count} writes more in {within_s} s; {last!r} last") from None

    async def verify(self) -> None:
        """Reads everything back; writes may go on meanwhile."""
        floors = [register.acknowledged for register in self.registers]
        values = await asyncio.gather(
            *(self.client.get(register.key, timeout_s=30.0) for register in self.registers)
        )
        for register, value, floor in zip(self.registers, values, floors, strict=True):
            register.check(value, floor)

    async def _write(self, register: Register) -> None:
        number = 0
        while not self.stop.is_set():
            await asyncio.sleep(self.pause_s)
            await self._may_write.wait()
            number += 1
            register.sent = number
            self._writing += 1
            try:
                value = b"%-*d" % (self.value_bytes, number)
                await self.client.put(register.key, value, timeout_s=self.timeout_s)
            except OutcomeUnknown as error:
                self.tally.unknown += 1
                self.tally.last_error = error
                continue
            except KVStoreError as error:
                if error.outcome is not Outcome.DEFINITE:
                    raise Violation(f"an error of a write leaves it open: {error!r}") from error
                self.tally.refused += 1
                self.tally.last_error = error
                number -= 1
                continue
            finally:
                self._writing -= 1
            register.acknowledged = number
            self.tally.acknowledged += 1

    async def _read(self, random: Random) -> None:
        while not self.stop.is_set():
            await asyncio.sleep(self.pause_s)
            register = random.choice(self.registers)
            floor = register.acknowledged
            try:
                value = await self.client.get(register.key, timeout_s=self.timeout_s)
            except KVStoreError as error:
                self.tally.last_error = error
                continue
            register.check(value, floor)
            self.tally.reads += 1
