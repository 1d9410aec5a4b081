"""When operations are due."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """Operation n is due n/rate after the start, whether or not those before it are done.

    With `first` and `stride` this is one client's share of a schedule: numbers first,
    first + stride, … of it.
    """

    rate_per_s: float
    started_ns: int
    first: int = 0
    stride: int = 1

    def due_ns(self, number: int) -> int:
        """When this client's operation `number` (0, 1, …) is due."""
        return self.started_ns + int((self.first + number * self.stride) * 1e9 / self.rate_per_s)

    def due_before(self, time_ns: int) -> int:
        """How many of this client's operations are due before `time_ns`."""
        if time_ns <= self.due_ns(0):
            return 0
        share = (time_ns - self.started_ns) * self.rate_per_s / 1e9 - self.first
        number = max(0, int(share / self.stride) - 1)
        while self.due_ns(number) < time_ns:
            number += 1
        return number
