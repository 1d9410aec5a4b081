"""Latencies in bounded memory: buckets whose width is under one percent of what they hold.

That is the scheme of HdrHistogram (Tene): the highest bits of a value name its bucket, so that the
relative error is bounded over the whole range and recording takes the same few steps always. The
package of that name records through several Python calls, which a load generator pays per
operation; here it is one.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from itertools import compress, count
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

    def add(self, other: Histogram) -> None:
        """Counts all that `other` has counted, too."""
        for bucket, times in other.buckets().items():
            self._counts[bucket] += times
        self.count += other.count
        self.max_ns = max(self.max_ns, other.max_ns)

    def quantile_ns(self, fraction: float) -> int:
        """The least latency that at least `fraction` of all do not exceed; 0 when there are none.

        Rounded up to the end of its bucket, never above the largest latency.
        """
        wanted = max(1, -int(-fraction * self.count // 1))
        for latency_ns, seen in self.curve():
            if seen >= wanted:
                return latency_ns
        return 0

    def curve(self) -> Iterator[tuple[int, int]]:
        """Each latency that stands for a bucket, and how many of all do not exceed it."""
        seen = 0
        for bucket, times in self.buckets().items():
            seen += times
            yield min(_end_of(bucket), self.max_ns), seen

    def buckets(self) -> dict[int, int]:
        """By bucket, in order: how many fell into it; those that are empty are left out."""
        counts = self._counts
        return {bucket: counts[bucket] for bucket in compress(count(), counts)}

    @classmethod
    def of_buckets(cls, buckets: Mapping[int, int], max_ns: int) -> Histogram:
        """What `buckets` of another one said; raises ValueError where that cannot be."""
        histogram = cls()
        for bucket, times in buckets.items():
            if not 0 <= bucket < _BUCKETS or times < 0:
                raise ValueError(f"bucket {bucket} with {times}: there are {_BUCKETS} buckets")
            histogram._counts[bucket] = times
            histogram.count += times
        histogram.max_ns = max_ns
        return histogram


def _end_of(bucket: int) -> int:
    """The largest latency that falls into `bucket`."""
    shift = (bucket >> _BITS) - 1
    if shift < 0:
        return bucket
    return ((bucket - (shift << _BITS) + 1) << shift) - 1
