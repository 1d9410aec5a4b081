"""How late the loop is, and how long log writes take."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kvstore.commitlog.commit_log import Position, Record
from kvstore.replica.timed_log import TimedLog
from kvstore.tick_times import TickTimes


def test_the_longest_lag_and_the_99th_of_a_hundred() -> None:
    lag = TickTimes(200)
    assert (lag.max_s, lag.p99_s) == (0.0, 0.0)
    for hundredth in range(200):
        lag.note(hundredth / 100)
    assert lag.max_s == pytest.approx(1.99)
    assert lag.p99_s == pytest.approx(1.98)


def test_only_the_last_ticks_count_and_an_early_tick_is_not_late() -> None:
    lag = TickTimes(2)
    for lag_s in (5.0, 0.1, -0.2):
        lag.note(lag_s)
    assert lag.max_s == pytest.approx(0.1)
    lag.note(-1.0)
    assert lag.max_s == 0.0


class SlowLog:
    """A log whose writes take a time that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.takes_s = 0.0
        self.seen_s: list[float] = []
        self.timed = TimedLog(self, lambda: self.now_s)

    def append(self, records: Sequence[Record]) -> list[Position]:
        self.now_s += self.takes_s
        self.seen_s.append(self.timed.slowest_s)
        if self.takes_s > 10:
            raise OSError("the disk failed")
        return []


def test_the_slowest_write_is_told_also_while_it_lasts_and_forgotten_after_a_while() -> None:
    log = SlowLog()
    assert log.timed.slowest_s == 0.0
    for log.takes_s in (0.5, 2.0, 0.1):
        log.timed.append(())
    assert log.seen_s == [0.5, 2.0, 2.0]
    assert log.timed.slowest_s == 2.0
    for _ in range(2):
        log.now_s += 40
        log.timed.append(())
    log.now_s += 40
    log.timed.append(())
    assert log.timed.slowest_s == pytest.approx(0.1)
    log.takes_s = 11.0
    with pytest.raises(OSError, match="the disk failed"):
        log.timed.append(())
    assert log.timed.slowest_s == 11.0
