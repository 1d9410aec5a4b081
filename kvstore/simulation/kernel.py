"""Virtual time: one queue of everything that is going to happen, for all processes of a run.

Nothing waits and nothing runs beside anything else. Time stands still while a callback runs and
then jumps to the next one. What is due at the same time runs in the order in which it was asked
for, so a run follows from its seed alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from random import Random
from typing import Final, Protocol

from kvstore.simulation.checkers.violation import Violation
from kvstore.simulation.trace import Field, Trace

NS_PER_S: Final = 1_000_000_000
_CALLBACKS_PER_INSTANT_MAX: Final = 100_000
"""Of virtual time. More is a livelock: something asks to run again and again."""

Callback = Callable[[], object]


class Process(Protocol):
    """Whose clock may jump, and what is ended with the run."""

    def bury(self) -> None:
        """Ends the process, and what it left behind."""
        ...


class Due(Protocol):
    """What is going to happen."""

    @property
    def process(self) -> Process | None:
        """Which process it is of; None: it is done by the world."""
        ...

    def run(self) -> None:
        """Its time has come: it happens, or not any more, or its process keeps it for later."""
        ...


class Timer:
    """What the world does at some time, by no process; may be called off."""

    __slots__ = ("callback",)
    process: Final = None

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def run(self) -> None:
        """See Due."""
        if self.callback is not None:
            asyncio._set_running_loop(None)
            self.callback()

    def cancel(self) -> None:
        """Lets it not happen."""
        self.callback = None


class Kernel:
    """See the module."""

    def __init__(self, seed: int, trace: Trace) -> None:
        self.now_ns = 0
        self.violation: Exception | None = None
        """The first one; the run ends with it."""
        self.trace: Final = trace
        self.processes: Final[list[Process]] = []
        """All that ever were, for `end`."""
        self._seed = seed
        self._order = 0
        self._ready: deque[Due] = deque()
        # When, and in which order it was asked for.
        self._timers: list[tuple[int, int, Due]] = []
        self.soon: Final[Callable[[Due], None]] = self._ready.append
        """Lets something happen now, after all that was asked for before."""

    def random(self, purpose: str) -> Random:
        """A source of its own for each purpose: one more draw for one changes no other."""
        return Random(f"{self._seed}/{purpose}")

    def note(self, kind: str, *fields: Field) -> None:
        """An event, now."""
        self.trace.note(self.now_ns, kind, fields)

    def fail(self, violation: Exception) -> None:
        """Ends the run, unless another violation has already."""
        if self.violation is None:
            self.violation = violation

    # Asking for something to happen

    def at(self, when_ns: int, due: Due) -> None:
        """Lets something happen at that time."""
        self._order += 1
        when_ns = max(when_ns, self.now_ns)
        heappush(self._timers, (when_ns, self._order, due))

    def after(self, delay_s: float, callback: Callback) -> Timer:
        """The world does something after `delay_s`."""
        self._order += 1
        timer = Timer(callback)
        when_ns = self.now_ns + (int(delay_s * NS_PER_S) if delay_s > 0 else 0)
        heappush(self._timers, (when_ns, self._order, timer))
        return timer

    def hasten(self, process: Process, by_ns: int) -> None:
        """The clock of `process` jumped ahead: its timers are due so much earlier."""
        self._timers = [
            (max(self.now_ns, when_ns - by_ns), order, due)
            if due.process is process
            else (when_ns, order, due)
            for when_ns, order, due in self._timers
        ]
        heapify(self._timers)

    # Running

    def run_until(self, end_ns: int, condition: Callable[[], bool] | None = None) -> bool:
        """Runs everything up to `end_ns`, or until `condition` holds; whether it did.

        Raises the first violation.
        """
        try:
            return self._run_until(end_ns, condition)
        finally:
            asyncio._set_running_loop(None)

    def end(self) -> None:
        """Ends all processes; nothing runs after that. Errors that nobody had looked at are a
        violation then, too."""
        for process in self.processes:
            process.bury()
        self._ready.clear()
        self._timers.clear()

    def _run_until(self, end_ns: int, condition: Callable[[], bool] | None) -> bool:
        ready = self._ready
        while True:
            if ready:
                self._run_ready()
            if self.violation is not None:
                raise self.violation
            if condition is not None and condition():
                return True
            timers = self._timers
            if not timers or timers[0][0] > end_ns:
                self.now_ns = max(self.now_ns, end_ns)
                return False
            self.now_ns, _, due = heappop(timers)
            due.run()

    def _run_ready(self) -> None:
        ready = self._ready
        count = 0
        while ready:
            due = ready.popleft()
            due.run()
            count += 1
            if count > _CALLBACKS_PER_INSTANT_MAX:
                self.fail(Violation("progress", f"livelock: {due!r} runs without end"))
            if self.violation is not None:
                break
