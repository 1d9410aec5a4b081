"""Latencies in bounded memory: buckets whose width is under one percent of what they hold."""

from __future__ import annotations

from array import array
from typing import Final

# Of a latency in nanoseconds, the 8 highest bits say the bucket: an error of at most 1/128.
_BITS: Final = 7
_SUB: Final = 1 << _BITS
_BUCKETS: Final = _SUB * (64 - _BITS + 1)


class Histogram:
    """Counts latencies in nanoseconds, below 2⁶⁴."""

    __slots__ = ("_counts", "count", "max_ns")

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BUCKETS))
        self.count = 0
        self.max_ns = 0

    def record(self, latency_ns: int) -> None:
        """Counts one latency."""
        shift = latency_ns.bit_length() - _BITS - 1
        bucket = latency_ns if shift < 0 else (shift << _BITS) + (latency_ns >> shift)
        self._counts[bucket] += 1
        self.count += 1
        self.max_ns = max(self.max_ns, latency_ns)

    def quantile_ns(self, fraction: float) -> int:
        """The least latency that at least `fraction` of all do not exceed; 0 when there are none.

        Rounded up to the end of its bucket, never above the largest latency.
        """
        wanted = max(1, -int(-fraction * self.count // 1))
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= wanted and count:
                return min(_end_of(bucket), self.max_ns)
        return 0


def _end_of(bucket: int) -> int:
    """The largest latency that falls into `bucket`."""
    shift = (bucket >> _BITS) - 1
    if shift < 0:
        return bucket
    return ((bucket - (shift << _BITS) + 1) << shift) - 1
