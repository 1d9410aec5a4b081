"""The thread that writes the commit log, in simulation: each write takes a while.

In that while the power may go or the process be killed: then some of what the write would have done
is done, and nobody hears of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

from kvstore.simulation.disk import MemoryFileSystem
from kvstore.simulation.process_loop import ProcessLoop

T = TypeVar("T")

_OPERATIONS_PER_WRITE: Final = 8
"""More than a write with a new segment has."""
LATENCY_S_MAX: Final = 3.0
"""Of one write, however slow its disk is, unless it hangs."""
_HANGS_S: Final = 0.1
"""How often a write on a disk that hangs looks whether it still does."""


@dataclass(slots=True)
class DiskSpeed:
    """How long a write with its sync takes; in seconds."""

    latency_s_mean: float = 0.0005
    slowness: float = 1.0
    hangs: int = 0
    """How many reasons there are for it to hang: no write ends."""


@dataclass(slots=True)
class _Job:
    run: Callable[[], Any]
    done: Callable[[Any], None]
    outcome: Any = None
    has_run: bool = False


class LogWorker:
    """See the module; a Worker for one life of a process."""

    def __init__(
        self,
        loop: ProcessLoop,
        files: MemoryFileSystem,
        speed: DiskSpeed,
        random: Random,
        on_done: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._files = files
        self._speed = speed
        self._random = random
        self._on_done = on_done
        self._jobs: deque[_Job] = deque()

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """See Worker."""
        self._jobs.append(_Job(job, done))
        if len(self._jobs) == 1:
            self._begin()

    def close(self) -> None:
        """See Worker."""
        for job in self._jobs:
            self._run(job, is_last=True)
        self._jobs.clear()

    def break_off(self) -> None:
        """The process ends here, or the power: the write under way gets as far as it gets."""
        if self._jobs and not self._jobs[0].has_run:
            self._files.fail_all_after(self._random.randrange(_OPERATIONS_PER_WRITE))
            self._run(self._jobs[0], is_last=True)
        self._jobs.clear()

    def _begin(self) -> None:
        speed = self._speed
        latency_s = self._random.expovariate(1.0) * speed.latency_s_mean * speed.slowness
        latency_s = min(LATENCY_S_MAX, latency_s)
        until_written = self._random.random()
        job = self._jobs[0]
        self._loop.call_later(latency_s * until_written, self._run, job)
        self._loop.call_later(latency_s, self._end, job)

    def _run(self, job: _Job, *, is_last: bool = False) -> None:
        if job.has_run:
            return
        if self._speed.hangs and not is_last:
            self._loop.call_later(_HANGS_S, self._run, job)
            return
        job.has_run = True
        try:
            job.outcome = job.run()
        except Exception as problem:
            job.outcome = problem

    def _end(self, job: _Job) -> None:
        if not self._jobs or self._jobs[0] is not job:
            return  # The worker was closed under it.
        if not job.has_run or self._speed.hangs:
            self._loop.call_later(_HANGS_S, self._end, job)
            return
        job.done(job.outcome)
        self._on_done()
        # Only now: what `done` has handed in comes after it.
        self._jobs.popleft()
        if self._jobs:
            self._begin()
