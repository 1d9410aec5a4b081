"""Clocks that follow a file: how far they are moved, that they never go back; timers by them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from kvstore import process
from kvstore.clock_file import BYTES, MILLION, ClockReader, ClockState, ClockWriter
from kvstore.errors import ConfigurationError
from kvstore.moved_clock import MovedClock, MovedLoop
from kvstore.system import SystemClock

S = 1_000_000_000


@pytest.fixture
def writer(tmp_path: Path) -> ClockWriter:
    return ClockWriter(tmp_path / "clock")


def test_a_file_that_was_just_made_moves_nothing(writer: ClockWriter) -> None:
    assert ClockReader(writer.path).state() == ClockState()
    clock = MovedClock(writer.path)
    before_s = time.monotonic()
    assert before_s <= clock.monotonic_s() <= time.monotonic()
    assert abs(clock.wall_ms() - time.time_ns() // 1_000_000) < 10_000


def test_a_jump_is_there_at_once_and_stays_when_the_next_move_makes_none(
    writer: ClockWriter,
) -> None:
    clock = MovedClock(writer.path)
    writer.move(ahead_ns=300 * S)
    assert 300 <= clock.monotonic_s() - time.monotonic() + 1 < 302
    writer.move()
    assert 300 <= clock.monotonic_s() - time.monotonic() + 1 < 302


@pytest.mark.parametrize(("rate_ppm", "expected_ns"), [(MILLION // 2, 2 * S), (2 * MILLION, 8 * S)])
def test_at_another_rate_it_goes_on_from_where_it_was(rate_ppm: int, expected_ns: int) -> None:
    state = ClockState().moved(100 * S, ahead_ns=5 * S, rate_ppm=rate_ppm, wall_offset_ns=0)
    assert state.monotonic_ns(100 * S) == 105 * S
    assert state.monotonic_ns(104 * S) - 105 * S == expected_ns
    back = state.moved(104 * S, ahead_ns=0, rate_ppm=MILLION, wall_offset_ns=0)
    assert back.monotonic_ns(104 * S) == 105 * S + expected_ns
    assert back.monotonic_ns(105 * S) == 106 * S + expected_ns


@pytest.mark.parametrize("wall_s", [-3600, 3600])
def test_the_wall_clock_jumps_both_ways_and_comes_back(writer: ClockWriter, wall_s: int) -> None:
    clock = MovedClock(writer.path)
    writer.move(wall_offset_ns=wall_s * S)
    assert abs(clock.wall_ms() - time.time_ns() // 1_000_000 - wall_s * 1000) < 10_000
    writer.move()
    assert abs(clock.wall_ms() - time.time_ns() // 1_000_000) < 10_000


def test_the_monotonic_clock_never_goes_back_however_it_is_moved(writer: ClockWriter) -> None:
    clock = MovedClock(writer.path)
    shown = []
    for move in range(300):
        writer.move(ahead_ns=move % 3 * 1000, rate_ppm=(MILLION // 2, 3 * MILLION)[move % 2])
        shown += [clock.monotonic_s() for _ in range(10)]
    assert sorted(shown) == shown
    assert shown[-1] > shown[0]


def test_a_slower_clock_does_not_show_less_than_it_did_before_it_was_read(
    writer: ClockWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader may have used the state before a little longer than it was valid."""
    clock = MovedClock(writer.path)
    now_ns = time.monotonic_ns()
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns)
    writer.move(rate_ppm=2 * MILLION)
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns + S)
    shown_s = clock.monotonic_s()
    assert shown_s == pytest.approx(now_ns / 1e9 + 2)
    writer._state = writer._state.moved(now_ns, ahead_ns=0, rate_ppm=MILLION // 2, wall_offset_ns=0)
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns + 2)
    writer.move()
    assert clock.monotonic_s() == shown_s


@pytest.mark.parametrize(
    ("move", "sentence"),
    [
        ({"ahead_ns": -1}, "ahead_ns is -1; a monotonic clock never goes back"),
        ({"rate_ppm": 0}, "rate_ppm is 0; the limit is 10000 to 100000000"),
        ({"rate_ppm": 100_000_001}, "rate_ppm is 100000001; the limit is"),
    ],
)
def test_a_move_that_no_clock_makes_is_refused(
    writer: ClockWriter, move: dict[str, int], sentence: str
) -> None:
    before = writer.path.read_bytes()
    with pytest.raises(ConfigurationError, match=sentence):
        writer.move(**move)
    assert writer.path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "clock-file is .*, which cannot be read: No such file"),
        (b"", "of 0 bytes; a clock file has 44"),
        (b"KVCLOCK1" + bytes(20), "of 28 bytes; a clock file has 44"),
        (b"SOMETHIN" + bytes(36), "which is no clock file: it begins with b'SOMETHIN'"),
        (b"KVCLOCK1" + b"\x01" * 36, "whose checksum does not fit: it is damaged"),
    ],
    ids=["none", "empty", "short", "foreign", "damaged"],
)
def test_a_file_that_is_none_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "clock"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=sentence):
        MovedClock(path)


def test_what_is_half_written_is_passed_over(writer: ClockWriter) -> None:
    reader = ClockReader(writer.path)
    moved = writer.move(ahead_ns=S)
    assert reader.state() == moved
    whole = writer.path.read_bytes()
    assert len(whole) == BYTES
    other = ClockState(1, 2, 3 * MILLION, 4).encode()
    with writer.path.open("r+b") as file:
        file.seek(8)
        file.write(other[:20])
    assert reader.state() == moved
    with writer.path.open("r+b") as file:
        file.seek(8)
        file.write(other)
    assert reader.state() == ClockState(1, 2, 3 * MILLION, 4)


def test_without_a_file_a_node_has_the_clock_of_the_machine_and_a_plain_loop() -> None:
    clock, make_loop = process._time_of(None)
    loop = make_loop()
    loop.close()
    assert type(clock) is SystemClock
    assert not isinstance(loop, MovedLoop)


def test_with_a_file_clock_and_loop_go_by_it(writer: ClockWriter) -> None:
    clock, make_loop = process._time_of(writer.path)
    loop = make_loop()
    writer.move(ahead_ns=100 * S)
    assert loop.time() - time.monotonic() > 99
    assert clock.monotonic_s() - time.monotonic() > 99
    loop.close()


# The loop


@pytest.fixture
def runner(writer: ClockWriter) -> Iterator[asyncio.Runner]:
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = partial(
        MovedLoop, MovedClock(writer.path)
    )
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        yield runner


def test_a_timer_is_due_at_once_when_the_clock_jumps_past_it(
    runner: asyncio.Runner, writer: ClockWriter
) -> None:
    async def slept() -> float:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        loop.call_soon(lambda: writer.move(ahead_ns=60 * S))
        await asyncio.sleep(50)
        return loop.time() - began_s

    began_s = time.monotonic()
    assert 60 <= runner.run(slept()) < 80
    assert time.monotonic() - began_s < 20


def test_a_timer_follows_the_rate_that_is_set_while_it_waits(
    runner: asyncio.Runner, writer: ClockWriter
) -> None:
    async def slept(length_s: float, rate_ppm: int) -> float:
        began_s = time.monotonic()
        asyncio.get_running_loop().call_soon(lambda: writer.move(rate_ppm=rate_ppm))
        await asyncio.sleep(length_s)
        return time.monotonic() - began_s

    assert runner.run(slept(50, 100 * MILLION)) < 20
    assert runner.run(slept(0.05, MILLION // 10)) > 0.3


def test_a_deadline_in_progress_ends_early_by_a_jump_and_a_later_one_does_not(
    runner: asyncio.Runner, writer: ClockWriter
) -> None:
    async def waits() -> None:
        loop = asyncio.get_running_loop()
        later = loop.call_later(3600, lambda: None)
        loop.call_soon(lambda: writer.move(ahead_ns=100 * S))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 60)
        assert loop.time() < later.when()
        later.cancel()
        assert later.cancelled()

    runner.run(waits())


def test_timers_that_are_equal_run_both_and_one_that_is_cancelled_does_not(
    runner: asyncio.Runner, writer: ClockWriter
) -> None:
    ran: list[str] = []

    async def waits() -> None:
        loop = asyncio.get_running_loop()
        when_s = loop.time() + 30
        for _ in range(2):
            loop.call_at(when_s, ran.append, "equal")
        cancelled = loop.call_at(when_s, ran.append, "cancelled")
        cancelled.cancel()
        cancelled.cancel()
        after = asyncio.Event()
        loop.call_at(when_s + 1, after.set)
        writer.move(ahead_ns=31 * S)
        await after.wait()

    runner.run(waits())
    assert ran == ["equal", "equal"]
