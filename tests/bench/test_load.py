"""Closed and open loops on a virtual clock: what is measured, and from when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.bench.load import Load, LoadPlan, NextOperation
from kvstore.bench.outcome import Outcome
from kvstore.bench.pacing import Schedule
from kvstore.bench.workloads import PUT, Kind, batches
from kvstore.errors import InvalidArgument, Unavailable
from tests.support.virtual_time import clock_ns, run


def plan(
    callers: int,
    seconds: float = 10.0,
    *,
    rate: float | None = None,
    warm_up_s: float = 0.0,
    processes: int = 1,
) -> LoadPlan:
    return LoadPlan(PUT, callers, 100, 8, seconds, warm_up_s, rate, 0, processes)


def measured(load_plan: LoadPlan, begin: Callable[[], Awaitable[object]]) -> Outcome:
    operation: NextOperation = lambda: (Kind.UPDATE, begin)  # noqa: E731
    return run(Load(load_plan, clock_ns).run([operation] * load_plan.callers))


async def take_100_ms() -> None:
    await asyncio.sleep(0.1)


class Stalling:
    """A server that takes 1 ms, and stands still from second 4 to second 6."""

    def __init__(self) -> None:
        self.began_s: float | None = None

    async def __call__(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self.began_s is None:
            self.began_s = now_s
        into_s = now_s - self.began_s
        await asyncio.sleep(6.0 - into_s if 4.0 <= into_s < 6.0 else 0.001)


def test_a_closed_loop_keeps_its_callers_busy_and_no_more() -> None:
    outcome = measured(plan(4), take_100_ms)
    assert outcome.calls == pytest.approx(400, abs=4)
    assert outcome.operations_per_s == pytest.approx(40, rel=0.02)
    assert outcome.timeline() == pytest.approx([40] * 10, abs=4)
    assert outcome.latencies().quantile_ns(0.5) == pytest.approx(100e6, rel=0.01)
    assert outcome.overdue == 0


def test_the_warm_up_is_not_measured() -> None:
    outcome = measured(plan(4, 10.0, warm_up_s=5.0), take_100_ms)
    assert outcome.calls == pytest.approx(400, abs=8)
    assert outcome.elapsed_s == pytest.approx(10.0, abs=0.1)


def test_a_closed_loop_hides_a_stall_and_an_open_one_does_not() -> None:
    closed = measured(plan(1), Stalling())
    assert closed.latencies().quantile_ns(0.99) < 2e6, "one call waited, and nobody else asked"
    opened = measured(plan(1000, rate=100.0), Stalling())
    assert opened.calls == 1000
    # 200 of 1,000 were due while it stood still: they waited for up to two seconds.
    assert opened.latencies().quantile_ns(0.79) < 10e6
    assert opened.latencies().quantile_ns(0.9) == pytest.approx(1.0e9, rel=0.03)
    assert opened.latencies().quantile_ns(0.999) == pytest.approx(2.0e9, rel=0.03)


def test_one_caller_of_an_open_loop_comes_late_and_says_so() -> None:
    outcome = measured(plan(1, rate=100.0), Stalling())
    assert outcome.calls + outcome.overdue == 1000
    assert outcome.latencies().max_ns > 1.9e9


def test_at_ten_times_what_can_be_done_latencies_grow_and_the_rest_is_counted() -> None:
    outcome = measured(plan(4, rate=400.0, warm_up_s=1.0), take_100_ms)
    assert outcome.calls == pytest.approx(400, abs=8)
    assert outcome.overdue == pytest.approx(4400 - 440, abs=8)
    assert outcome.latencies().max_ns == pytest.approx(9.9e9, rel=0.02)


def test_a_share_of_an_open_loop_is_due_between_those_of_others() -> None:
    halves = [measured(plan(10, rate=10.0, processes=2), take_100_ms) for _ in range(2)]
    assert [each.calls for each in halves] == [50, 50]


def test_failures_are_counted_by_kind_and_are_no_latencies() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.1)
        raise Unavailable("as told")

    outcome = measured(plan(1), fail)
    assert (outcome.calls, outcome.failures) == (0, {"Unavailable": 100})
    assert outcome.summary()["p99_ms"] == 0


def test_a_call_of_a_batch_is_as_many_operations() -> None:
    load_plan = LoadPlan(batches(64), 1, 100, 8, 10.0)
    operation: NextOperation = lambda: (Kind.BATCH, take_100_ms)  # noqa: E731
    outcome = run(Load(load_plan, clock_ns).run([operation]))
    assert outcome.operations == 64 * outcome.calls == 64 * sum(outcome.per_second)
    assert outcome.timeline()[3] == 640


def test_a_batch_larger_than_the_key_space_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="batch is 64; there are 10 keys"):
        LoadPlan(batches(64), 1, 10, 8, 1.0)


@given(
    st.floats(0.1, 1e6),
    st.integers(0, 10**12),
    st.integers(1, 8),
    st.data(),
)
def test_as_many_are_due_before_a_time_as_have_a_due_time_before_it(
    rate: float, started_ns: int, stride: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, stride - 1))
    schedule = Schedule(rate, started_ns, first, stride)
    time_ns = started_ns + data.draw(st.integers(-5, 10**9))
    count = schedule.due_before(time_ns)
    assert schedule.due_ns(count) >= time_ns
    assert count == 0 or schedule.due_ns(count - 1) < time_ns
