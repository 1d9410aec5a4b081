"""The commit log with a watch beside it: how long its writes take, for reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kvstore.commitlog.commit_log import Position, Record
from kvstore.replica.log_pipeline import AppendLog

_WINDOW_S: Final = 30.0


class TimedLog:
    """See AppendLog. Written by the log thread, asked by any: each value is replaced as a whole."""

    __slots__ = ("_before_s", "_began_s", "_log", "_monotonic_s", "_since_s", "_slowest_s")

    def __init__(self, log: AppendLog, monotonic_s: Callable[[], float]) -> None:
        self._log = log
        self._monotonic_s = monotonic_s
        self._began_s: float | None = None
        # The slowest of this window and of the one before it.
        self._since_s = monotonic_s()
        self._slowest_s = 0.0
        self._before_s = 0.0

    def append(self, records: Sequence[Record]) -> list[Position]:
        """See AppendLog."""
        began_s = self._began_s = self._monotonic_s()
        try:
            return self._log.append(records)
        finally:
            now_s = self._monotonic_s()
            self._began_s = None
            if now_s - self._since_s >= _WINDOW_S:
                self._since_s, self._before_s, self._slowest_s = now_s, self._slowest_s, 0.0
            self._slowest_s = max(self._slowest_s, now_s - began_s)

    @property
    def slowest_s(self) -> float:
        """The longest write of late, in seconds, or the one under way if that has lasted longer.
        Of the last half minute to minute of those in which something was written."""
        began_s = self._began_s
        under_way_s = 0.0 if began_s is None else self._monotonic_s() - began_s
        return max(self._before_s, self._slowest_s, under_way_s)
