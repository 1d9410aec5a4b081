"""What the judge of changes passes over, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kvstore.simulation.checkers.violation import Violation
from kvstore.simulation.exactly_once import ends_of, judge_changes
from kvstore.simulation.kernel import Kernel
from kvstore.simulation.observers import Observers
from kvstore.simulation.recorder import Op, Outcome, Record, Recorder
from kvstore.simulation.trace import Trace
from kvstore.verify.linearizability import Verdict, judge_registers

S = 1_000_000_000
COUNTER, LIST, MORTAL = b"count", b"list", b"mortal"


def record(
    op: Op,
    key: bytes,
    begins_s: float,
    ends_s: float | None = None,
    *,
    given: bytes | None = None,
    expected: bytes | None = None,
    ttl_s: float | None = None,
    found: bytes | None = None,
    came_to: int | None = None,
    outcome: Outcome | None = None,
) -> Record:
    """An operation between two moments; without an end, nothing is known of it."""
    return Record(
        client=1,
        op=op,
        key=key,
        input=given,
        invoked_ns=int(begins_s * S),
        expected=expected,
        ttl_s=ttl_s,
        output=found,
        number=came_to,
        returned_ns=None if ends_s is None else int(ends_s * S),
        outcome=outcome or ("unknown" if ends_s is None else "ok"),
    )


def judged(records: Sequence[Record]) -> None:
    """Raises what is wrong with the changes."""
    judge_changes(records, recorder_of(records).history())


def recorder_of(records: Sequence[Record]) -> Recorder:
    kernel = Kernel(0, Trace())
    recorder = Recorder(kernel, Observers(kernel, []))
    recorder.records.extend(records)
    return recorder


def increments(*came_to: int | None) -> list[Record]:
    """One after another, each by 1; None: nothing is known of it."""
    return [
        record(
            "increment",
            COUNTER,
            number,
            None if sum_ is None else number + 0.5,
            given=b"1",
            came_to=sum_,
        )
        for number, sum_ in enumerate(came_to)
    ]


def count_of(value: bytes) -> Record:
    return record("get", COUNTER, 90, 91, found=value)


@pytest.mark.parametrize(
    ("came_to", "value"),
    [((1, 2, 3), b"3"), ((1, None, 2), b"2"), ((1, None, 3), b"3"), ((1, None, 2), b"3")],
)
def test_each_acknowledged_increment_once_and_each_unknown_one_at_most_once_is_right(
    came_to: tuple[int | None, ...], value: bytes
) -> None:
    judged([*increments(*came_to), count_of(value)])


@pytest.mark.parametrize(
    ("came_to", "value", "sentence"),
    [
        ((1, 2, 3), b"4", "it held 4; it can have held 3 to 3"),
        ((1, None, 2), b"4", "it held 4; it can have held 2 to 3"),
        ((1, 2, 3), b"2", "it held 2"),
        ((1, 1), b"2", "came to 1, and one before it to 1"),
        ((2, 1), b"2", "less than one that had ended before"),
    ],
)
def test_an_increment_twice_or_lost_or_out_of_order_is_found(
    came_to: tuple[int | None, ...], value: bytes, sentence: str
) -> None:
    with pytest.raises(Violation, match=sentence):
        judged([*increments(*came_to), count_of(value)])


def appends(*came_to: int | None, refused: int | None = None) -> list[Record]:
    """<0>, <1>, … one after another."""
    return [
        record(
            "append",
            LIST,
            number,
            None if length is None and refused != number else number + 0.5,
            given=b"<%d>" % number,
            came_to=length,
            outcome="fail" if refused == number else None,
        )
        for number, length in enumerate(came_to)
    ]


def list_of(value: bytes) -> Record:
    return record("get", LIST, 90, 91, found=value)


@pytest.mark.parametrize("value", [b"<0><2>", b"<0><2><1>"])
def test_each_acknowledged_element_in_its_place_and_each_unknown_one_at_most_once_is_right(
    value: bytes,
) -> None:
    judged([*appends(3, None, 6), list_of(value)])


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (b"<0><2><0>", "'<0>' twice"),
        (b"<0>", "append of list by <2>"),
        (b"<2><0>", "came to 3, and ends at 6"),
        (b"<0><2><7>", "nobody has appended"),
        (b"<0><2><3>", "append of list by <3>"),
        (b"<0><2>x", "nobody has appended"),
    ],
)
def test_an_element_twice_or_lost_or_out_of_place_is_found(value: bytes, sentence: str) -> None:
    with pytest.raises(Violation, match=sentence):
        judged([*appends(3, None, 6, None, refused=3), list_of(value)])


# --- lifetimes


def put(begins_s: float, value: bytes, ttl_s: float = 10) -> Record:
    return record("put", MORTAL, begins_s, begins_s + 1, given=value, ttl_s=ttl_s)


def touch(begins_s: float, value: bytes, ttl_s: float = 10) -> Record:
    return record("touch", MORTAL, begins_s, begins_s + 1, expected=value, ttl_s=ttl_s)


def get(begins_s: float, value: bytes | None) -> Record:
    return record("get", MORTAL, begins_s, begins_s + 1, found=value)


def is_right(
    *records: Record, fastest: float = 1.0, jumps: Sequence[tuple[int, float]] = ()
) -> bool:
    ends = ends_of(records, fastest, jumps)
    return judge_registers(recorder_of(records).history(ends)).verdict is Verdict.LINEARIZABLE


def test_a_key_may_end_once_its_lifetime_is_over_and_not_before() -> None:
    assert is_right(put(0, b"a"), get(5, b"a"), get(11, None))
    assert is_right(put(0, b"a"), get(20, b"a"), get(22, None))
    assert not is_right(put(0, b"a"), get(7, None))


def test_a_key_that_has_ended_comes_back_with_a_new_write_alone() -> None:
    assert is_right(put(0, b"a"), get(11, None), put(13, b"b"), get(15, b"b"))
    assert not is_right(put(0, b"a"), get(11, None), get(13, b"a"))


def test_a_fast_clock_and_one_that_goes_ahead_end_a_key_early_by_as_much() -> None:
    assert is_right(put(0, b"a"), get(8, None), fastest=1.25)
    assert not is_right(put(0, b"a"), get(6, None), fastest=1.25)
    assert is_right(put(0, b"a"), get(7, None), jumps=[(5 * S, 3.0)])
    assert not is_right(put(0, b"a"), get(3, None), jumps=[(5 * S, 30.0)])
    assert not is_right(put(6, b"a"), get(10, None), jumps=[(5 * S, 30.0)])


def test_a_key_lives_as_long_as_its_last_lifetime_says() -> None:
    assert not is_right(put(0, b"a"), touch(5, b"a"), get(12, None))
    assert is_right(put(0, b"a"), touch(5, b"a"), get(15, None))
    assert is_right(put(0, b"a"), touch(5, b"a", 1), get(7, None))


def test_a_touch_that_may_have_been_done_shortens_a_lifetime_and_lengthens_none() -> None:
    unknown = record("touch", MORTAL, 2, expected=b"a", ttl_s=1)
    assert is_right(put(0, b"a"), unknown, get(4, None))
    later = record("touch", MORTAL, 2, expected=b"a", ttl_s=99)
    assert is_right(put(0, b"a"), later, get(11, None))
