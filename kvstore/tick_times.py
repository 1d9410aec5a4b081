"""Times that are noted once a tick: by how much it came late, and how long rounds took.

Whatever holds the loop (a long round, a collection of garbage, the GIL in other hands, a machine
without a free core) holds heartbeats, too. This is where it shows, and what of it rounds are.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_PERCENTILE: Final = 0.99


class TickTimes:
    """The times of the last ticks, in seconds: a bounded number of them."""

    __slots__ = ("_times",)

    def __init__(self, ticks: int) -> None:
        self._times: deque[float] = deque(maxlen=ticks)

    def note(self, time_s: float) -> None:
        """A tick came so much later than it was due, or the longest of its rounds took so long;
        less than nothing counts as nothing."""
        self._times.append(max(0.0, time_s))

    @property
    def max_s(self) -> float:
        """The longest."""
        return max(self._times, default=0.0)

    @property
    def p99_s(self) -> float:
        """99 of 100 were no longer than this."""
        times = sorted(self._times)
        return times[min(len(times) - 1, int(len(times) * _PERCENTILE))] if times else 0.0
