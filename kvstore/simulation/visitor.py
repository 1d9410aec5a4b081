"""A simulated client that comes and goes: each life has sessions of its own, and changes things of
which it matters how often they were changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final, Literal

from kvstore.client import AsyncClient
from kvstore.errors import ConditionFailed, InvalidArgument, KVStoreError, Outcome
from kvstore.simulation.machine import Machine
from kvstore.simulation.process_loop import ProcessLoop
from kvstore.simulation.recorder import Recorder

if TYPE_CHECKING:
    from kvstore.simulation.cluster import Cluster

COUNTERS: Final = (b"count/0", b"count/1")
LISTS: Final = (b"list/0",)
REGISTERS: Final = (b"cas/0", b"cas/1")
MORTALS: Final = (b"life/0", b"life/1")
"""Keys with a lifetime."""
TTL_S: Final = (0.5, 3.0)
"""The longest ends within what a run has when its faults are over, by the slowest clock too."""

_FIRST_CLIENT: Final = 100
"""Visitors are clients of the record from here on."""
_OPERATIONS_MAX: Final = 8
"""Of one worker in one life."""
_GIVE_UP: Final = 0.05
"""Share of operations whose caller is cancelled in the middle."""
_VANISHES: Final = 0.3
"""Share of lives that end without warning."""


@dataclass(frozen=True, slots=True)
class Visits:
    """What visitors do; times in seconds."""

    visitors: int
    workers: int
    """Of each: operations that it may have under way at once."""
    think_s_mean: float
    away_s_mean: float
    """Between two lives."""


def draw_visits(random: Random) -> Visits:
    """Those of a seed."""
    visitors, workers = random.randint(1, 3), random.randint(1, 3)
    return Visits(
        visitors,
        workers,
        think_s_mean=visitors * workers / random.choice((1, 2, 4)),
        away_s_mean=random.choice((0.1, 1.0, 4.0)),
    )


class Visitor(Machine):
    """See the module."""

    def __init__(self, cluster: Cluster, number: int, recorder: Recorder, visits: Visits) -> None:
        super().__init__(cluster.kernel, f"v{number}")
        self.number: Final = _FIRST_CLIENT + number
        self._cluster = cluster
        self._recorder = recorder
        self._visits = visits
        self._random: Random = cluster.kernel.random(f"visitor {number}")
        self._written = 0
        self._seen: dict[bytes, bytes | None] = {}
        """What the registers and mortals held, as far as it knows."""
        self._open: dict[int, None] = {}
        self._library: AsyncClient | None = None
        self.is_stopping = False
        """It begins no more operations."""

    def start(self) -> None:
        """Begins a life, in a new process."""
        if self.is_stopping or self.loop is not None:
            return
        random, loop = self._random, self.new_process()
        endpoints = self._cluster.endpoints
        self._library = AsyncClient(
            random.sample(endpoints, random.randint(1, len(endpoints))),
            timeout_s=self._cluster.shape.load.timeout_s,
            random=Random(random.getrandbits(64)),
            open_channel=partial(self.open_channel, self._cluster),
        )
        loop.spawn(self._live(loop, self._library))
        if random.random() < _VANISHES:
            self.kernel.after(random.uniform(0.0, 5.0), partial(self._leave, loop))

    async def _live(self, loop: ProcessLoop, library: AsyncClient) -> None:
        async with library:
            await asyncio.gather(*(self._work(library) for _ in range(self._visits.workers)))
        self._leave(loop)

    def _leave(self, loop: ProcessLoop) -> None:
        """The process ends, in the middle of whatever it does; another one comes later."""
        if self.loop is not loop:
            return
        self.note("leave")
        self.end_process()
        for number in self._open:
            self._recorder.end(number, "unknown")
        self._open.clear()
        self.kernel.after(self._random.expovariate(1 / self._visits.away_s_mean), self.start)

    # What its workers do

    async def _work(self, library: AsyncClient) -> None:
        random = self._random
        kinds: tuple[Callable[[AsyncClient], Awaitable[None]], ...] = (
            self._increment,
            self._append,
            self._compare_and_set,
            self._put_mortal,
            self._touch,
            self._get,
        )
        for _ in range(random.randint(1, _OPERATIONS_MAX)):
            await asyncio.sleep(random.expovariate(1 / self._visits.think_s_mean))
            if self.is_stopping:
                return
            (kind,) = random.choices(kinds, (6, 4, 4, 3, 1, 3))
            patience_s = random.expovariate(1 / 0.005) if random.random() < _GIVE_UP else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await kind(library)

    async def _increment(self, library: AsyncClient) -> None:
        key, by = self._random.choice(COUNTERS), self._random.randint(1, 3)
        number = self._recorder.invoke(self.number, "increment", key, b"%d" % by)
        with self._watching(number):
            self._end(number, came_to=await library.increment(key, by))

    async def _append(self, library: AsyncClient) -> None:
        key = self._random.choice(LISTS)
        element = b"<" + self._new_value() + b">"
        number = self._recorder.invoke(self.number, "append", key, element)
        with self._watching(number):
            self._end(number, came_to=await library.append(key, element))

    async def _compare_and_set(self, library: AsyncClient) -> None:
        key = self._random.choice(REGISTERS)
        expected = self._seen.get(key)
        value = None if expected is not None and self._random.random() < 0.2 else self._new_value()
        number = self._recorder.invoke(self.number, "cas", key, value, expected=expected)
        with self._watching(number):
            try:
                if expected is None and value is not None:
                    await library.put(key, value, if_absent=True)
                elif value is not None:
                    await library.put(key, value, if_value=expected)
                else:
                    await library.delete(key, if_value=expected)
            except ConditionFailed:
                self._end(number, applied=False)
            else:
                self._seen[key] = value
                self._end(number, applied=True)
                return
        await self._get_one(library, key)

    async def _put_mortal(self, library: AsyncClient) -> None:
        key, ttl_s = self._random.choice(MORTALS), self._random.uniform(*TTL_S)
        value = self._new_value()
        number = self._recorder.invoke(self.number, "put", key, value, ttl_s=ttl_s)
        with self._watching(number):
            await library.put(key, value, ttl=ttl_s)
            self._seen[key] = value
            self._end(number)

    async def _touch(self, library: AsyncClient) -> None:
        key, ttl_s = self._random.choice(MORTALS), self._random.uniform(*TTL_S)
        value = self._seen.get(key)
        if value is None:
            await self._get_one(library, key)
            return
        number = self._recorder.invoke(self.number, "touch", key, expected=value, ttl_s=ttl_s)
        with self._watching(number):
            await library.touch(key, ttl_s, if_value=value)
            self._end(number)

    async def _get(self, library: AsyncClient) -> None:
        await self._get_one(library, self._random.choice((*COUNTERS, *LISTS, *REGISTERS, *MORTALS)))

    async def _get_one(self, library: AsyncClient, key: bytes) -> None:
        number = self._recorder.invoke(self.number, "get", key)
        with self._watching(number):
            found = await library.get(key)
            self._seen[key] = found
            self._end(number, output=found)

    @contextlib.contextmanager
    def _watching(self, number: int) -> Iterator[None]:
        """Records how an operation ended that was not done."""
        self._open[number] = None
        outcome: Literal["fail", "unknown"] = "unknown"
        try:
            yield
        except InvalidArgument:
            raise  # The workload breaks no rule.
        except KVStoreError as problem:
            outcome = "fail" if problem.outcome is Outcome.DEFINITE else "unknown"
        finally:
            if self._open.pop(number, number) is None:
                self._recorder.end(number, outcome)

    def _end(
        self,
        number: int,
        *,
        output: bytes | None = None,
        applied: bool | None = None,
        came_to: int | None = None,
    ) -> None:
        """It was done."""
        del self._open[number]
        self._recorder.end(number, "ok", output=output, applied=applied, came_to=came_to)

    def _new_value(self) -> bytes:
        """A value that nobody else writes, and this client not again."""
        self._written += 1
        return b"%d.%d" % (self.number, self._written)
