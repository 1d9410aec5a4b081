"""Figures of a run, against ones counted by hand."""

from __future__ import annotations

import pytest

from kvstore.chaos_report.chart import Axis, Panel, clock, round_up, short
from kvstore.chaos_report.figures import (
    BUCKETS_MAX,
    errors_by_kind,
    leader_changes,
    percentile,
    reads_by_level,
    recoveries_of,
    series_of,
)
from kvstore.chaos_report.run import Errors, Events, Fault, Leaders, RunInfo
from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from tests.chaos_report.runs import BEGIN, MS, S, at


def run_of(seconds: float) -> RunInfo:
    return RunInfo(
        *((), "0.1.0", 1, "local", (), (), 1, seconds, 500, ("n1",)),
        started_ns=BEGIN,
        ended_ns=at(seconds),
        interrupted=False,
        bank_total=None,
    )


def get(end_s: float, took_ms: float) -> Operation:
    end_ns = at(end_s)
    return Operation(1, Kind.GET, b"k", end_ns - int(took_ms * MS), Ending.OK, end_ns)


def test_each_second_has_its_figures() -> None:
    operations = [
        *(get(0.5, ms) for ms in range(1, 101)),
        Operation(1, Kind.PUT, b"k", at(0.9), Ending.OK, at(1.2), input=b"1"),
        Operation(1, Kind.PUT, b"k", at(1.1), Ending.FAIL, at(1.3), input=b"1"),
        Operation(1, Kind.PUT, b"k", at(1.5), Ending.UNKNOWN, input=b"1"),
    ]
    events = Events(errors=[Errors(at(1), "Unavailable", 4), Errors(at(1), "Fenced", 1)])
    series, latency = series_of(run_of(2), operations, events)
    first, second = series.buckets
    assert (first.reads, first.writes, first.ok_per_s) == (100, 0, 100.0)
    assert (first.p50_ms, first.p99_ms) == (50.0, 99.0)
    assert (second.writes, second.failed, second.unknown, second.errors) == (1, 1, 1, 5)
    assert (latency.p50_ms, latency.p99_ms, latency.max_ms) == (51.0, 100.0, 300.0)


def test_reads_that_were_answered_are_counted_by_level_the_most_frequent_first() -> None:
    asked = [get(1, 1) for _ in range(6)]
    for each, level in zip(asked, ("stale", "session", "session", "linearizable"), strict=False):
        each.receipt = Receipt(1, level=level)
    asked[5].outcome = Ending.FAIL
    assert list(reads_by_level(asked).items()) == [
        ("linearizable", 2),
        ("session", 2),
        ("stale", 1),
    ]
    assert reads_by_level([]) == {}


def test_a_second_without_operations_has_no_latency() -> None:
    series, latency = series_of(run_of(3), [], Events())
    assert [bucket.p99_ms for bucket in series.buckets] == [None] * 3
    assert (latency.p50_ms, latency.max_ms) == (None, None)


def test_the_rate_of_a_short_last_second_is_of_what_there_was_of_it() -> None:
    series, _latency = series_of(run_of(1.5), [get(1.2, 1), get(1.4, 1)], Events())
    assert [bucket.ok_per_s for bucket in series.buckets] == [0.0, 4.0]


@pytest.mark.parametrize("seconds", [0, 1, 899, 900, 901, 1800, 86_400])
def test_there_are_never_more_points_than_a_chart_may_have(seconds: int) -> None:
    series, _latency = series_of(run_of(seconds), [get(seconds, 1), get(-5, 1)], Events())
    assert 1 <= len(series.buckets) <= BUCKETS_MAX
    assert len(series.buckets) * series.width_s >= seconds
    assert sum(bucket.reads for bucket in series.buckets) == 2


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.99, 7.0), ([1.0, 2.0], 0.5, 1.0), ([1.0, 2.0, 3.0], 0.99, 3.0)],
)
def test_percentiles_are_by_nearest_rank(
    values: list[float], share: float, expected: float | None
) -> None:
    assert percentile(values, share) == expected


def fault(kind: str, begin_ms: float | None, end_ms: float | None) -> Fault:
    return Fault(1, kind, (), "", BEGIN, None, begin_ms, end_ms)


def test_recovery_is_told_for_each_kind_and_for_all() -> None:
    faults = [fault("pause", 700.0, 50.0), fault("kill", 900.0, None), fault("kill", None, None)]
    kill, pause, everything = recoveries_of(faults)
    assert (kill.kind, kill.faults, kill.recovered, kill.begin_p50_ms) == ("kill", 2, 1, 900.0)
    assert (kill.end_p99_ms, kill.worst_ms) == (None, 900.0)
    assert (pause.begin_p99_ms, pause.end_p50_ms) == (700.0, 50.0)
    assert (everything.kind, everything.faults, everything.recovered) == ("all", 3, 2)
    assert (everything.begin_p50_ms, everything.begin_p99_ms) == (700.0, 900.0)
    assert [each.kind for each in recoveries_of(faults[1:])] == ["kill"]
    assert recoveries_of([]) == []


def test_errors_are_added_up_by_kind() -> None:
    events = Events(errors=[Errors(1, "A", 2), Errors(2, "B", 9), Errors(3, "A", 3)])
    assert list(errors_by_kind(events).items()) == [("B", 9), ("A", 5)]


def test_changes_of_leaders_are_added_up() -> None:
    assert leader_changes(Events(leaders=[Leaders(1, {}, 2), Leaders(2, {}, 3)])) == 5


def test_scales_have_round_tops_and_values_their_place() -> None:
    assert [round_up(value) for value in (0, 0.3, 1, 1.1, 2.2, 612, 99_000)] == [
        *(1.0, 0.5, 1.0, 2.0, 2.5, 1000.0, 100_000.0)
    ]
    linear = Panel(10.0, 100.0, 50.0)
    assert [linear.y_of(value) for value in (0, 25, 50, 80)] == [110.0, 60.0, 10.0, 10.0]
    powers = Panel(10.0, 100.0, 100.0, low=0)
    assert [powers.y_of(value) for value in (0, 1, 10, 100)] == [110.0, 110.0, 60.0, 10.0]
    assert powers.grid() == [1.0, 10.0, 100.0]


@pytest.mark.parametrize("length_s", [0.5, 1.0, 7.0, 60.0, 1800.0, 86_400.0, 10_000_000.0])
def test_a_time_axis_has_a_handful_of_labels(length_s: float) -> None:
    ticks = Axis(length_s).ticks()
    assert 1 <= len(ticks) <= 18
    assert all(0 <= tick <= length_s for tick in ticks)


def test_numbers_and_times_are_short() -> None:
    assert [short(value) for value in (0.5, 12, 999, 1500, 2.5e6)] == [
        *("0.5", "12", "999", "1.5k", "2.5M")
    ]
    assert [clock(second) for second in (45, 125, 3725)] == ["45 s", "2:05", "1:02:05"]
    assert S == 1000 * MS
