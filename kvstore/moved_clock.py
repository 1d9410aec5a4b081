"""Clocks of a node that follow a file: they jump, and run faster or slower than the machine's.

For faults that `kvstore chaos` makes in nodes of its own (`clock_file`). A node that is not told of
such a file has the machine's clocks, and nothing of this. The event loop has to go by the same
clock: a node's ticks, and with them its elections and heartbeats, are timers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextvars import Context
from pathlib import Path
from typing import Final, TypeVarTuple

import uvloop

from kvstore.clock_file import MILLION, ClockReader, ClockState

Ts = TypeVarTuple("Ts")

_LOOK_EVERY_S: Final = 0.02
"""By the machine's clock: how late a timer may learn that the clock was moved."""
_EARLY_S_MAX: Final = 0.001
"""uvloop rounds its timers to milliseconds."""


class MovedClock:
    """See Clock. Raises ConfigurationError where `path` is no clock file."""

    __slots__ = ("_last_ns", "_reader")

    def __init__(self, path: Path) -> None:
        self._reader = ClockReader(path)
        self._last_ns = 0

    @property
    def state(self) -> ClockState:
        """How it is moved now."""
        return self._reader.state()

    def monotonic_s(self) -> float:
        """See Clock."""
        # A state is of a moment before it could be read: by then the one before may have shown a
        # little more.
        now_ns = self._reader.state().monotonic_ns(time.monotonic_ns())
        self._last_ns = now_ns = max(now_ns, self._last_ns)
        return now_ns / 1e9

    def wall_ms(self) -> int:
        """See Clock."""
        return (time.time_ns() + self._reader.state().wall_offset_ns) // 1_000_000


class MovedLoop(uvloop.Loop):
    """uvloop's loop, with time and timers by a MovedClock.

    A timer is due when that clock has come so far: at once where it has jumped past it.
    """

    def __init__(self, clock: MovedClock) -> None:
        super().__init__()
        self._clock = clock
        self._armed_by = clock.state
        self._pending: dict[int, tuple[asyncio.TimerHandle, asyncio.Handle]] = {}
        """Timers with what runs them, by identity: two may be equal."""
        super().call_later(_LOOK_EVERY_S, self._look)

    def time(self) -> float:
        """See AbstractEventLoop: the moved clock's."""
        return self._clock.monotonic_s()

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See AbstractEventLoop."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """See AbstractEventLoop."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._arm(timer)
        return timer

    def _timer_handle_cancelled(self, timer: asyncio.TimerHandle) -> None:
        """Called by a timer that is cancelled."""
        _, armed = self._pending.pop(id(timer), (timer, None))
        if armed is not None:
            armed.cancel()

    def _arm(self, timer: asyncio.TimerHandle) -> None:
        left_s = max(0.0, timer.when() - self.time()) * MILLION / self._clock.state.rate_ppm
        self._pending[id(timer)] = timer, super().call_later(left_s, self._fire, timer)

    def _fire(self, timer: asyncio.TimerHandle) -> None:
        self._pending.pop(id(timer), None)
        if timer.when() - self.time() > _EARLY_S_MAX:
            # The clock has been slowed down since.
            self._arm(timer)
        else:
            timer._run()

    def _look(self) -> None:
        """Has all timers follow where the clock was moved."""
        state = self._clock.state
        if state != self._armed_by:
            self._armed_by = state
            for timer, armed in list(self._pending.values()):
                armed.cancel()
                self._arm(timer)
        super().call_later(_LOOK_EVERY_S, self._look)
