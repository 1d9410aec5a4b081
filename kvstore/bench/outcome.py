"""What came of a load: latencies by kind of operation, throughput over time, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kvstore.bench.histogram import Histogram
from kvstore.bench.workloads import Kind

SECOND_NS: Final = 1_000_000_000
QUANTILES: Final = (
    ("p50_ms", 0.5),
    ("p90_ms", 0.9),
    ("p99_ms", 0.99),
    ("p99.9_ms", 0.999),
)


class Outcome:
    """Of one client, or of several together (`add`)."""

    __slots__ = ("batch", "by_kind", "elapsed_s", "failures", "overdue", "per_second")

    def __init__(self, kinds: Sequence[Kind], seconds: float, batch: int = 1) -> None:
        self.batch = batch
        """Keys that one call writes."""
        self.by_kind = {kind: Histogram() for kind in kinds}
        self.per_second = [0] * (int(seconds) + 2)
        """Calls that ended in each second since measuring began; what ended later in the last."""
        self.failures: Counter[str] = Counter()
        """By the kind of error."""
        self.overdue = 0
        """Operations that were due before the end and were never sent, as all callers waited."""
        self.elapsed_s = 0.0

    @property
    def calls(self) -> int:
        """Calls that succeeded."""
        return sum(histogram.count for histogram in self.by_kind.values())

    @property
    def operations(self) -> int:
        """Keys read or written, a scan counted as one."""
        return self.calls * self.batch

    @property
    def operations_per_s(self) -> float:
        """While measured."""
        return self.operations / self.elapsed_s if self.elapsed_s else 0.0

    def latencies(self) -> Histogram:
        """Of all kinds together."""
        together = Histogram()
        for histogram in self.by_kind.values():
            together.add(histogram)
        return together

    def timeline(self) -> list[int]:
        """Operations in each whole second that was measured."""
        whole = max(1, int(self.elapsed_s))
        return [calls * self.batch for calls in self.per_second[:whole]]

    def add(self, other: Outcome) -> None:
        """Counts what another client did at the same time."""
        for kind, histogram in other.by_kind.items():
            self.by_kind[kind].add(histogram)
        for second, calls in enumerate(other.per_second):
            self.per_second[second] += calls
        self.failures.update(other.failures)
        self.overdue += other.overdue
        self.elapsed_s = max(self.elapsed_s, other.elapsed_s)

    def summary(self) -> dict[str, object]:
        """For people and programs; times are of all kinds together."""
        found: dict[str, object] = {
            "seconds": round(self.elapsed_s, 3),
            "operations": self.operations,
            "operations_per_second": round(self.operations_per_s),
            "failures": self.failures.total(),
            "overdue": self.overdue,
        }
        return found | times(self.latencies())

    def to_wire(self) -> dict[str, Any]:
        """For `from_wire` in another process, as JSON."""
        return {
            "kinds": {
                kind.value: {"buckets": histogram.buckets(), "max_ns": histogram.max_ns}
                for kind, histogram in self.by_kind.items()
            },
            "per_second": self.per_second,
            "failures": dict(self.failures),
            "overdue": self.overdue,
            "elapsed_s": self.elapsed_s,
            "batch": self.batch,
        }

    @classmethod
    def from_wire(cls, said: Mapping[str, Any]) -> Outcome:
        """What another process said; raises KeyError or ValueError where it said something else."""
        outcome = cls((), 0.0, said["batch"])
        outcome.by_kind = {
            Kind(kind): Histogram.of_buckets(
                {int(bucket): times for bucket, times in each["buckets"].items()}, each["max_ns"]
            )
            for kind, each in said["kinds"].items()
        }
        outcome.per_second = list(said["per_second"])
        outcome.failures.update(said["failures"])
        outcome.overdue = said["overdue"]
        outcome.elapsed_s = said["elapsed_s"]
        return outcome


def times(latencies: Histogram) -> dict[str, float]:
    """Quantiles, in milliseconds."""
    found = {name: round(latencies.quantile_ns(part) / 1e6, 3) for name, part in QUANTILES}
    return found | {"max_ms": round(latencies.max_ns / 1e6, 3)}
