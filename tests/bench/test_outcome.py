"""What several processes did is what one would have done, and can be drawn."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import chain
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.bench.histogram import Histogram
from kvstore.bench.load import LoadPlan
from kvstore.bench.outcome import Outcome
from kvstore.bench.plot import percentiles, plot
from kvstore.bench.processes import plan_of, together
from kvstore.bench.workloads import YCSB, Kind, Workload, batches

latencies = st.lists(st.integers(0, 10**11), max_size=50)
SVG = "{http://www.w3.org/2000/svg}"


def outcome_of(latencies_ns: list[int], kind: Kind = Kind.READ) -> Outcome:
    outcome = Outcome((Kind.READ, Kind.UPDATE), 3.0)
    for place, latency_ns in enumerate(latencies_ns):
        outcome.by_kind[kind].record(latency_ns)
        outcome.per_second[place % 3] += 1
    outcome.elapsed_s = 3.0
    return outcome


@given(latencies, latencies)
def test_outcomes_add_up_over_processes(one: list[int], other: list[int]) -> None:
    said = [json.loads(json.dumps(outcome_of(each).to_wire())) for each in (one, other)]
    both = together([Outcome.from_wire(each) for each in said])
    alone = outcome_of(one + other)
    assert both.summary() == alone.summary()
    assert sum(both.timeline()) == both.calls == len(one + other)
    assert both.by_kind[Kind.READ].buckets() == alone.by_kind[Kind.READ].buckets()


def test_failures_add_up_too() -> None:
    each = [outcome_of([]), outcome_of([])]
    each[0].failures.update({"Unavailable": 2})
    each[1].failures.update({"Unavailable": 1, "OutcomeUnknown": 1})
    each[1].overdue = 5
    both = together(each)
    assert (both.failures, both.overdue) == ({"Unavailable": 3, "OutcomeUnknown": 1}, 5)


def test_a_histogram_takes_no_buckets_that_cannot_be() -> None:
    for buckets in ({-1: 1}, {10**6: 1}, {5: -1}):
        with pytest.raises(ValueError, match="bucket"):
            Histogram.of_buckets(buckets, 0)


@pytest.mark.parametrize("workload", [YCSB["ycsb-e"], batches(7)])
def test_a_plan_goes_to_another_process_as_it_is(workload: Workload) -> None:
    plan = LoadPlan(workload, 3, 50, 8, 1.5, 0.5, 20.0, 7, 4, 2)
    assert plan_of(json.loads(json.dumps(asdict(plan)))) == plan


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=50))
def test_the_curve_ends_with_the_largest_and_never_falls(values: list[int]) -> None:
    points = percentiles(outcome_of(values).by_kind[Kind.READ])
    assert points[-1] == (float(len(values)), max(values))
    assert points == sorted(points)


@given(latencies, st.lists(st.integers(0, 10**7), min_size=1, max_size=5))
def test_a_picture_is_svg_with_all_points_inside(values: list[int], timeline: list[int]) -> None:
    outcome = outcome_of(values, Kind.UPDATE)
    outcome.per_second = timeline
    outcome.elapsed_s = float(len(timeline))
    root = ElementTree.fromstring(plot("<&> title", "a note", outcome))
    assert root.tag == f"{SVG}svg"
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    lines = [line.attrib["points"].split() for line in root.iter(f"{SVG}polyline")]
    assert len(lines) == (2 if values else 1)
    for point in chain.from_iterable(lines):
        x, y = map(float, point.split(","))
        assert 0 <= x <= width
        assert 0 <= y <= height
    assert "<&> title" in [text.text for text in root.iter(f"{SVG}text")]


def test_a_picture_names_each_kind_that_was_measured() -> None:
    outcome = outcome_of([1_000_000], Kind.READ)
    outcome.by_kind[Kind.UPDATE].record(2_000_000)
    root = ElementTree.fromstring(plot("t", "n", outcome))
    assert {"read", "update"} <= {text.text for text in root.iter(f"{SVG}text")}
