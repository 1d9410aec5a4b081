"""Does a load, in one process: callers that each await what they asked for, as users' tasks do.

Closed loop: a caller asks for the next operation when the last one is done, and latency is measured
from when it asked. When the cluster stalls, callers wait and ask for less: what others would have
waited meanwhile is seen by nobody (*coordinated omission*).

Open loop (`rate_per_s`): operations are due at fixed times, and a latency is measured from when the
operation was *due*, however late a caller came to it. So waiting is not hidden.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from kvstore.bench.generators import KeyCounter
from kvstore.bench.outcome import SECOND_NS, Outcome
from kvstore.bench.pacing import Schedule
from kvstore.bench.workloads import Kind, Operations, Workload, key_of
from kvstore.errors import InvalidArgument, KVStoreError

if TYPE_CHECKING:
    from kvstore.client import AsyncClient

LOADERS_MAX: Final = 512
TIMER_S: Final = 0.001
_VALUES: Final = 0x5EED

ClockNs = Callable[[], int]
Begin = Callable[[], Awaitable[object]]
NextOperation = Callable[[], tuple[Kind, Begin]]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is to be done, for how long, and how."""

    workload: Workload
    callers: int
    """In each process."""
    keys: int
    value_bytes: int
    seconds: float
    warm_up_s: float = 0.0
    """Before that: the same load, not measured."""
    rate_per_s: float | None = None
    """Of all processes together; None: closed loop."""
    seed: int = 0
    processes: int = 1
    process: int = 0
    """Which of them this is."""

    def __post_init__(self) -> None:
        if self.workload.batch > self.keys:
            raise InvalidArgument(
                f"batch is {self.workload.batch}; there are {self.keys} keys to choose from"
            )

    def value(self) -> bytes:
        """What is put: random bytes, the same for the same seed."""
        return Random(self.seed ^ _VALUES).randbytes(self.value_bytes)

    def next_operations(self, client: AsyncClient) -> list[NextOperation]:
        """Where each caller has its operations from."""
        counter = KeyCounter(self.keys, self.process, self.processes)
        value = self.value()
        base = (self.seed * self.processes + self.process) * self.callers
        return [
            Operations(client, self.workload, counter, value, Random(base + caller)).next
            for caller in range(self.callers)
        ]


class Load:
    """One run of a plan. `calls` may be watched while it runs."""

    def __init__(self, plan: LoadPlan, clock_ns: ClockNs = time.perf_counter_ns) -> None:
        """`clock_ns` has to run as the event loop's clock does."""
        self._plan = plan
        self._clock_ns = clock_ns
        workload = plan.workload
        self.outcome = Outcome(tuple(workload.mix), plan.seconds, workload.batch)
        self.calls = 0
        """That succeeded so far, warm-up included."""
        self._begun = 0

    async def run(self, operations: list[NextOperation]) -> Outcome:
        """Runs it: each of `operations` is a caller's."""
        plan, outcome = self._plan, self.outcome
        started_ns = self._clock_ns()
        from_ns = started_ns + int(plan.warm_up_s * 1e9)
        end_ns = from_ns + int(plan.seconds * 1e9)
        if plan.rate_per_s is None:
            callers = [self._call(each, from_ns, end_ns) for each in operations]
        else:
            schedule = Schedule(plan.rate_per_s, started_ns, plan.process, plan.processes)
            callers = [self._call_when_due(each, schedule, from_ns, end_ns) for each in operations]
        await asyncio.gather(*callers)
        if plan.rate_per_s is not None:
            outcome.overdue = schedule.due_before(end_ns) - self._begun
        outcome.elapsed_s = max(0.0, (self._clock_ns() - from_ns) / 1e9)
        return outcome

    async def _call(self, next_operation: NextOperation, from_ns: int, end_ns: int) -> None:
        clock_ns = self._clock_ns
        while (asked_ns := clock_ns()) < end_ns:
            kind, begin = next_operation()
            try:
                await begin()
            except KVStoreError as problem:
                self._failed(problem, from_ns)
            else:
                self._succeeded(kind, asked_ns, from_ns)

    async def _call_when_due(
        self, next_operation: NextOperation, schedule: Schedule, from_ns: int, end_ns: int
    ) -> None:
        clock_ns = self._clock_ns
        while (due_ns := schedule.due_ns(self._begun)) < end_ns:
            now_ns = clock_ns()
            if now_ns >= end_ns:
                return
            self._begun += 1
            while now_ns < due_ns:
                # Event loops count in milliseconds and may wake early: rather a little late.
                await asyncio.sleep(max(TIMER_S, (due_ns - now_ns) / 1e9))
                now_ns = clock_ns()
            kind, begin = next_operation()
            try:
                await begin()
            except KVStoreError as problem:
                self._failed(problem, from_ns)
            else:
                self._succeeded(kind, due_ns, from_ns)

    # What ends while it is measured counts, whenever it began: under overload whatever ends was due
    # long before.

    def _succeeded(self, kind: Kind, since_ns: int, from_ns: int) -> None:
        outcome = self.outcome
        done_ns = self._clock_ns()
        self.calls += 1
        if done_ns >= from_ns:
            outcome.by_kind[kind].record(done_ns - since_ns)
            seconds = outcome.per_second
            seconds[min((done_ns - from_ns) // SECOND_NS, len(seconds) - 1)] += 1

    def _failed(self, problem: KVStoreError, from_ns: int) -> None:
        if self._clock_ns() >= from_ns:
            self.outcome.failures[type(problem).__name__] += 1


async def put_all(client: AsyncClient, plan: LoadPlan) -> None:
    """Puts every key of the load; raises what a put raises."""
    value = plan.value()
    numbers = iter(range(plan.keys))

    async def call() -> None:
        for number in numbers:
            await client.put(key_of(number), value)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(plan.keys, LOADERS_MAX)):
            group.create_task(call())
