"""How late the event loop runs what is due: by how much each tick came late.

Whatever holds the loop (a long round, a collection of garbage, the GIL in other hands, a machine
without a free core) holds heartbeats, too. This is where it shows.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_PERCENTILE: Final = 0.99


class LoopLag:
    """The lags of the last ticks, in seconds: a bounded number of them."""

    __slots__ = ("_lags",)

    def __init__(self, ticks: int) -> None:
        self._lags: deque[float] = deque(maxlen=ticks)

    def note(self, lag_s: float) -> None:
        """A tick came so much later than it was due."""
        self._lags.append(max(0.0, lag_s))

    @property
    def max_s(self) -> float:
        """The longest."""
        return max(self._lags, default=0.0)

    @property
    def p99_s(self) -> float:
        """99 of 100 were no longer than this."""
        lags = sorted(self._lags)
        return lags[min(len(lags) - 1, int(len(lags) * _PERCENTILE))] if lags else 0.0
