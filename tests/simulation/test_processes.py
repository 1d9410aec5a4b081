"""Virtual time and the processes in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kvstore.simulation.checkers import Violation
from kvstore.simulation.kernel import NS_PER_S, Kernel
from kvstore.simulation.process_loop import ProcessLoop
from kvstore.simulation.trace import Trace


def kernel() -> Kernel:
    return Kernel(1, Trace())


def process(of: Kernel, name: str = "p", rate: float = 1.0) -> ProcessLoop:
    loop = ProcessLoop(of, name, rate)  # type: ignore[abstract]
    of.processes.append(loop)
    return loop


def run_for(of: Kernel, seconds: float) -> None:
    of.run_until(of.now_ns + int(seconds * NS_PER_S))


def test_time_passes_only_between_callbacks() -> None:
    world = kernel()
    loop = process(world)
    seen: list[float] = []

    async def sleep() -> None:
        for delay_s in (0.0, 1.5, 100.0):
            await asyncio.sleep(delay_s)
            seen.append(loop.time())

    loop.spawn(sleep())
    run_for(world, 1000)
    assert seen == [0.0, 1.5, 101.5]


def test_what_is_due_together_runs_in_the_order_of_asking() -> None:
    world = kernel()
    loops = [process(world, name) for name in "ab"]
    seen: list[str] = []
    for number in range(3):
        for loop in loops:
            loop.call_later(1.0, seen.append, f"{loop.name}{number}")
    run_for(world, 1.0)
    assert seen == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_a_timer_never_finds_that_it_is_early() -> None:
    world = kernel()
    loop = process(world, rate=1.1)
    early: list[float] = []

    def check(when_s: float) -> None:
        if loop.time() < when_s:
            early.append(when_s)

    for number in range(1, 1000):
        loop.call_at(number / 7, check, number / 7)
    run_for(world, 200)
    assert early == []


def test_a_paused_process_does_later_what_fell_due() -> None:
    world = kernel()
    loop = process(world)
    seen: list[tuple[str, float]] = []
    loop.call_later(1.0, lambda: seen.append(("first", loop.time())))
    loop.call_later(2.0, lambda: seen.append(("second", loop.time())))
    loop.pause()
    run_for(world, 5.0)
    assert seen == []
    loop.resume()
    run_for(world, 0.0)
    assert seen == [("first", 5.0), ("second", 5.0)]


def test_a_killed_process_does_nothing_more_and_its_tasks_end_in_silence() -> None:
    world = kernel()
    loop = process(world)
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1.0)
            seen.append("worked")
        finally:
            await asyncio.sleep(1.0)  # what waits on its way out is no obstacle

    loop.spawn(work())
    run_for(world, 0.5)
    loop.kill()
    loop.call_soon(seen.append, "after the end")
    run_for(world, 5.0)
    world.end()
    assert seen == []


def test_a_clock_runs_at_its_rate_and_jumps_ahead() -> None:
    world = kernel()
    fast, slow = process(world, "fast", 1.25), process(world, "slow", 0.8)
    seen: list[tuple[str, int]] = []
    for loop in (fast, slow):
        loop.call_later(10.0, lambda loop=loop: seen.append((loop.name, world.now_ns)))  # type: ignore[misc]
    run_for(world, 1.0)
    assert (fast.time(), slow.time()) == (1.25, 0.8)
    slow.jump(8.0)
    assert slow.time() == 8.8
    run_for(world, 20.0)
    assert seen == [("slow", 2_500_000_000), ("fast", 8_000_000_000)]


def raise_in_callback(loop: ProcessLoop) -> None:
    loop.call_soon(lambda: 1 / 0)


def raise_in_task(loop: ProcessLoop) -> None:
    async def work() -> None:
        await asyncio.sleep(0.1)
        raise ZeroDivisionError

    loop.spawn(work())


def raise_in_thread_that_nobody_awaits(loop: ProcessLoop) -> None:
    async def work() -> None:
        await asyncio.to_thread(lambda: 1 / 0)

    loop.spawn(work())


@pytest.mark.parametrize(
    "plant", [raise_in_callback, raise_in_task, raise_in_thread_that_nobody_awaits]
)
def test_an_error_that_nobody_handles_ends_the_run(plant: Callable[[ProcessLoop], None]) -> None:
    world = kernel()
    plant(process(world))
    with pytest.raises(Violation, match=r"every error is handled.*ZeroDivisionError"):
        run_for(world, 1.0)


def test_a_task_that_fails_and_is_never_looked_at_ends_the_run() -> None:
    world = kernel()
    loop = process(world)

    async def fail() -> None:
        raise ZeroDivisionError

    loop.create_task(fail())
    run_for(world, 1.0)
    world.end()
    assert "every error is handled" in str(world.violation)


def test_work_without_end_in_one_moment_ends_the_run() -> None:
    world = kernel()
    loop = process(world)

    def again() -> None:
        loop.call_soon(again)

    again()
    with pytest.raises(Violation, match="livelock"):
        run_for(world, 1.0)


def test_each_purpose_has_a_source_of_randomness_of_its_own() -> None:
    one, other = kernel(), kernel()
    one.random("network").random()
    assert one.random("faults").random() == other.random("faults").random()
    assert one.random("faults").random() != other.random("network").random()


def test_a_trace_tells_runs_apart_by_their_events_and_not_by_what_is_said_beside() -> None:
    first, second, third = Trace(), Trace(), Trace()
    for trace in (first, second, third):
        trace.note(1, "send", ("n1", 2))
    second.say(2, "log", "a line")
    third.note(2, "send", ("n1", 3))
    assert first.hash == second.hash != third.hash
    assert [event.kind for event in second.recent] == ["send", "log"]
