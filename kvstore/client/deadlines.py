"""Deadlines without a timer for each operation.

There is one timer, set to the earliest deadline that was noted since it last ran. When it runs,
everything that waits is looked through once, and the timer is set to the earliest deadline that is
left. While operations are answered in time this happens once per timeout, whatever their number. It
never happens twice within RESOLUTION_S, so a deadline is kept to about that.
"""

from __future__ import annotations

import math
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import Final

RESOLUTION_S: Final = 0.01


class Deadlines:
    """Calls `sweep(now_s)`, which ends what is overdue and gives the earliest deadline left."""

    __slots__ = ("_loop", "_not_before_s", "_sweep", "_timer", "next_s")

    def __init__(self, loop: AbstractEventLoop, sweep: Callable[[float], float]) -> None:
        self._loop = loop
        self._sweep = sweep
        self._timer: TimerHandle | None = None
        self._not_before_s = -math.inf
        self.next_s = math.inf
        """When the timer runs, on the loop's clock. Only earlier deadlines need be noted."""

    def note(self, deadline_s: float) -> None:
        """Sees to it that a sweep happens once `deadline_s` is past."""
        when_s = max(deadline_s, self._not_before_s)
        if when_s >= self.next_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self.next_s = when_s
        self._timer = self._loop.call_at(when_s, self._run)

    def close(self) -> None:
        """Sweeps no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        # A loop may run a timer a moment early; what it was set for is overdue all the same.
        now_s = max(self._loop.time(), self.next_s)
        self._timer = None
        self.next_s = math.inf
        self._not_before_s = now_s + RESOLUTION_S
        earliest_s = self._sweep(now_s)
        if earliest_s < math.inf:
            self.note(earliest_s)
