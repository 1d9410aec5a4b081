"""Quantiles from buckets against quantiles from all values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.bench.histogram import Histogram


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1),
    st.sampled_from([0.001, 0.5, 0.9, 0.99, 0.999, 1.0]),
)
def test_a_quantile_is_right_within_a_hundredth(values: list[int], fraction: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    exact = sorted(values)[math.ceil(fraction * len(values)) - 1]
    found = histogram.quantile_ns(fraction)
    assert exact <= found <= min(exact + exact // 100, max(values))


@pytest.mark.parametrize("fraction", [0.5, 0.999])
def test_nothing_measured_has_quantile_zero(fraction: float) -> None:
    assert Histogram().quantile_ns(fraction) == 0


def test_count_and_maximum_are_exact() -> None:
    histogram = Histogram()
    for value in (5, 1_000_003, 7):
        histogram.record(value)
    assert (histogram.count, histogram.max_ns) == (3, 1_000_003)


@given(st.lists(st.integers(0, 2**64 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_two_histograms_together_are_one_of_all(one: list[int], other: list[int]) -> None:
    each = [Histogram(), Histogram(), Histogram()]
    for values, into in ((one, each[0]), (other, each[1]), (one + other, each[2])):
        for value in values:
            into.record(value)
    each[0].add(each[1])
    assert list(each[0].curve()) == list(each[2].curve())
    copied = Histogram.of_buckets(each[2].buckets(), each[2].max_ns)
    assert list(copied.curve()) == list(each[2].curve())
    assert copied.count == len(one + other)
