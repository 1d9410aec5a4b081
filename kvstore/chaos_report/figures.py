"""What a run comes to in figures: by second, by fault, by error."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kvstore.chaos_report.run import NS_PER_S, Events, Fault, RunInfo
from kvstore.verify.operation import READS, Ending, Operation

BUCKETS_MAX: Final = 900
"""Points that a chart has at most: longer runs get wider buckets of whole seconds."""

_SECONDS_MIN: Final = 0.1
"""Less than that is no rate."""


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """By nearest rank, of values in order; None of none."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(slots=True)
class Bucket:
    """What ended in some seconds."""

    seconds: float
    """How many; the last one may be short."""
    reads: int = 0
    writes: int = 0
    """Of both those that succeeded."""
    failed: int = 0
    unknown: int = 0
    """By their beginning: they have no end."""
    p50_ms: float | None = None
    """From invocation to return, of those that succeeded."""
    p99_ms: float | None = None
    errors: int = 0

    @property
    def ok_per_s(self) -> float:
        """What succeeded in a second."""
        return (self.reads + self.writes) / self.seconds


@dataclass(slots=True)
class Series:
    """Buckets of `width_s` seconds from the start of the run on."""

    width_s: int
    buckets: list[Bucket] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Latency:
    """Of all that succeeded, in milliseconds."""

    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


def series_of(
    run: RunInfo, operations: Iterable[Operation], events: Events
) -> tuple[Series, Latency]:
    """The run by time. What lies outside of it counts in the first or the last bucket."""
    seconds = max(1, math.ceil(run.length_s))
    width_s = math.ceil(seconds / BUCKETS_MAX)
    count = math.ceil(seconds / width_s)
    series = Series(width_s, [Bucket(float(width_s)) for _ in range(count)])
    rest_s = run.length_s - (count - 1) * width_s
    series.buckets[-1].seconds = min(float(width_s), max(rest_s, _SECONDS_MIN))
    latencies_ms: list[list[float]] = [[] for _ in range(count)]

    def place(at_ns: int) -> int:
        return min(count - 1, max(0, (at_ns - run.started_ns) // (NS_PER_S * width_s)))

    for each in operations:
        if each.returned_ns is None:
            series.buckets[place(each.invoked_ns)].unknown += 1
            continue
        at = place(each.returned_ns)
        bucket = series.buckets[at]
        if each.outcome is Ending.FAIL:
            bucket.failed += 1
            continue
        if each.op in READS:
            bucket.reads += 1
        else:
            bucket.writes += 1
        latencies_ms[at].append((each.returned_ns - each.invoked_ns) / 1e6)
    for bucket, of_bucket in zip(series.buckets, latencies_ms, strict=True):
        of_bucket.sort()
        bucket.p50_ms = percentile(of_bucket, 0.50)
        bucket.p99_ms = percentile(of_bucket, 0.99)
    for error in events.errors:
        series.buckets[place(error.at_ns)].errors += error.count
    everything = sorted([ms for of_bucket in latencies_ms for ms in of_bucket])
    latency = Latency(
        percentile(everything, 0.50), percentile(everything, 0.99), percentile(everything, 1.0)
    )
    return series, latency


@dataclass(frozen=True, slots=True)
class Recovery:
    """How soon writes of all partitions went on, over some faults; times in milliseconds."""

    kind: str
    faults: int
    recovered: int
    """After their end, or, where that was not measured, after their beginning."""
    begin_p50_ms: float | None
    begin_p99_ms: float | None
    end_p50_ms: float | None
    end_p99_ms: float | None
    worst_ms: float | None


def recoveries_of(faults: Sequence[Fault]) -> list[Recovery]:
    """Of each kind of fault, in order of their names; then of all together where that is more."""
    kinds = sorted({fault.kind for fault in faults})
    found = [_recovery(kind, [each for each in faults if each.kind == kind]) for kind in kinds]
    return [*found, _recovery("all", faults)] if len(kinds) > 1 else found


def _recovery(kind: str, faults: Sequence[Fault]) -> Recovery:
    begin = sorted([f.after_begin_ms for f in faults if f.after_begin_ms is not None])
    end = sorted([f.after_end_ms for f in faults if f.after_end_ms is not None])
    recovered = [f for f in faults if f.after_begin_ms is not None or f.after_end_ms is not None]
    return Recovery(
        kind=kind,
        faults=len(faults),
        recovered=len(recovered),
        begin_p50_ms=percentile(begin, 0.50),
        begin_p99_ms=percentile(begin, 0.99),
        end_p50_ms=percentile(end, 0.50),
        end_p99_ms=percentile(end, 0.99),
        worst_ms=max([*begin, *end], default=None),
    )


def errors_by_kind(events: Events) -> dict[str, int]:
    """How often clients met each error; the most frequent first."""
    totals: dict[str, int] = {}
    for error in events.errors:
        totals[error.kind] = totals.get(error.kind, 0) + error.count
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def reads_by_level(operations: Iterable[Operation]) -> dict[str, int]:
    """How many reads of each level of consistency were answered; the most frequent first."""
    levels = Counter([each.level for each in operations if each.op in READS and each.is_ok])
    return dict(sorted(levels.items(), key=lambda item: (-item[1], item[0])))


def leader_changes(events: Events) -> int:
    """Partitions that changed their leader, added up over the run."""
    return sum([each.changes for each in events.leaders])
