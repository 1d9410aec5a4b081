"""The thread that flushes the engine, in simulation: each flush takes a while, or never ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final, TypeVar

from kvstore.simulation.process_loop import ProcessLoop

T = TypeVar("T")

_FLUSH_S_MEAN: Final = 0.05


class FlushWorker:
    """See the module; a Worker for one life of a process, with which it ends."""

    def __init__(self, loop: ProcessLoop, random: Random) -> None:
        self._loop = loop
        self._random = random
        self._free_at_s = 0.0
        self._is_closed = False

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """See Worker."""
        begins_s = max(self._free_at_s, self._loop.time())
        self._free_at_s = begins_s + self._random.expovariate(1 / _FLUSH_S_MEAN)
        self._loop.call_at(self._free_at_s, partial(self._run, job, done))

    def close(self) -> None:
        """See Worker. What it has not begun is not done: a node that ends flushes by itself."""
        self._is_closed = True

    def _run(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        if self._is_closed:
            return
        outcome: T | BaseException
        try:
            outcome = job()
        except Exception as problem:
            outcome = problem
        done(outcome)
