"""Changes and their answers. Changes stand in logs: these bytes are forever."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError
from kvstore.codec.change import (
    INTEGER_MAX,
    INTEGER_MIN,
    LIFETIME_MS_MAX,
    Action,
    Change,
    ChangeAnswer,
    ChangeStatus,
    Fence,
    append_of,
    append_operand,
    decode_answer,
    decode_change,
    encode_answer,
    encode_change,
    increment_of,
    increment_operand,
    needs_clock,
)
from tests.codec.robustness import (
    assert_every_truncation_is_refused,
    assert_more_bytes_are_refused,
    assert_refused_without_memory,
    byte_strings,
    decodes,
)

u64s = st.integers(0, 2**64 - 1)
i64s = st.integers(INTEGER_MIN, INTEGER_MAX)
lifetimes = st.none() | st.integers(1, LIFETIME_MS_MAX)
increments = st.builds(increment_operand, i64s, i64s)
appends = st.builds(append_operand, st.integers(0, 2**32 - 1), byte_strings)


def changes_of(actions: st.SearchStrategy[Action]) -> st.SearchStrategy[Change]:
    @st.composite
    def some(draw: st.DrawFn) -> Change:
        action = draw(actions)
        operand = {
            Action.PUT: byte_strings,
            Action.INCREMENT: increments,
            Action.APPEND: appends,
        }.get(action, st.just(b""))
        return Change(
            action,
            draw(operand),
            draw(st.booleans()),
            draw(st.none() | u64s),
            draw(st.none() | byte_strings),
            draw(lifetimes) if action is not Action.DELETE else None,
            draw(st.booleans()),
            draw(st.none() | st.builds(Fence, byte_strings, u64s)),
        )

    return some()


changes = changes_of(st.sampled_from(Action))
of_fixed_length = changes_of(st.sampled_from([Action.DELETE, Action.INCREMENT, Action.TOUCH]))
answers = st.builds(
    ChangeAnswer, st.sampled_from(ChangeStatus), i64s, st.none() | st.binary(max_size=40)
)

EVERYTHING = Change(Action.PUT, b"new", True, 7, b"old", 1500, True, Fence(b"lk", 9))
GOLDEN = {
    "01 00 6e6577": Change(Action.PUT, b"new"),
    "02 00": Change(Action.DELETE),
    "02 02 0700000000000000": Change(Action.DELETE, if_revision=7),
    "03 00 ffffffffffffffff 0a00000000000000": Change(Action.INCREMENT, increment_operand(-1, 10)),
    "04 00 00001000 6d6f7265": Change(Action.APPEND, append_operand(1 << 20, b"more")),
    "05 08 e803000000000000": Change(Action.TOUCH, lifetime_ms=1000),
    "01 3f 0700000000000000 03000000 6f6c64 dc05000000000000 0200 6c6b 0900000000000000"
    "6e6577": EVERYTHING,
}


@pytest.mark.parametrize(("golden", "change"), GOLDEN.items())
def test_the_bytes_of_a_change_are_as_documented(golden: str, change: Change) -> None:
    assert encode_change(change) == bytes.fromhex(golden)
    assert decode_change(bytes.fromhex(golden)) == change


@pytest.mark.parametrize(
    ("golden", "answer"),
    [
        ("00 0500000000000000 00", ChangeAnswer(ChangeStatus.DONE, 5)),
        ("03 ffffffffffffffff 00", ChangeAnswer(ChangeStatus.OVERFLOW, -1)),
        ("01 0900000000000000 01 7265", ChangeAnswer(ChangeStatus.CONDITION_FAILED, 9, b"re")),
        ("00 0000000000000000 01", ChangeAnswer(ChangeStatus.DONE, 0, b"")),
    ],
)
def test_the_bytes_of_an_answer_are_as_documented(golden: str, answer: ChangeAnswer) -> None:
    assert encode_answer(answer) == bytes.fromhex(golden)
    assert decode_answer(bytes.fromhex(golden)) == answer


def test_the_numbers_of_actions_and_statuses_are_forever() -> None:
    assert [each.name for each in Action] == ["PUT", "DELETE", "INCREMENT", "APPEND", "TOUCH"]
    assert [each.value for each in Action] == [1, 2, 3, 4, 5]
    names = "DONE CONDITION_FAILED NOT_A_NUMBER OVERFLOW FENCED TOO_LARGE ABSENT BUSY"
    assert [each.name for each in ChangeStatus] == names.split()
    assert [each.value for each in ChangeStatus] == list(range(8))


@given(changes)
def test_a_change_comes_back(change: Change) -> None:
    data = encode_change(change)
    assert decode_change(data) == change
    assert needs_clock(data) is (change.lifetime_ms is not None)


@given(i64s, i64s)
def test_the_operand_of_an_increment_comes_back(by: int, initial: int) -> None:
    assert increment_of(increment_operand(by, initial)) == (by, initial)


@given(st.integers(0, 2**32 - 1), byte_strings)
def test_the_operand_of_an_append_comes_back(bytes_max: int, suffix: bytes) -> None:
    assert append_of(append_operand(bytes_max, suffix)) == (bytes_max, suffix)


@given(answers)
def test_an_answer_comes_back(answer: ChangeAnswer) -> None:
    assert decode_answer(encode_answer(answer)) == answer


@given(of_fixed_length)
def test_every_truncation_and_any_more_byte_of_what_has_a_length_is_refused(
    change: Change,
) -> None:
    assert_every_truncation_is_refused(decode_change, encode_change(change))
    assert_more_bytes_are_refused(decode_change, encode_change(change))


@given(changes)
def test_only_the_bytes_that_are_put_or_appended_may_be_cut(change: Change) -> None:
    data = encode_change(change)
    head = len(data) - len(change.operand)
    if change.action is Action.APPEND:
        head += 4
    for length in range(len(data)):
        if decodes(decode_change, data[:length]):
            assert length >= head
            assert change.action in (Action.PUT, Action.APPEND)


@given(answers)
def test_a_truncated_answer_is_refused_but_for_its_record(answer: ChangeAnswer) -> None:
    bare = replace(answer, record=None)
    assert_every_truncation_is_refused(decode_answer, encode_answer(bare))
    assert_more_bytes_are_refused(decode_answer, encode_answer(bare))


@given(st.binary(max_size=60), st.sampled_from(Action), st.integers(0, 63))
def test_any_bytes_are_refused_by_codec_error_alone(
    data: bytes, action: Action, options: int
) -> None:
    decodes(decode_change, data)
    decodes(decode_answer, data)
    data = bytes((action, options)) + data
    if decodes(decode_change, data):
        assert encode_change(decode_change(data)) == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("00 00", id="action zero"),
        pytest.param("06 00", id="an unknown action"),
        pytest.param("01 40", id="an unknown option"),
        pytest.param("02 00 00", id="a delete with an operand"),
        pytest.param("05 00 00", id="a touch with an operand"),
        pytest.param("02 08 0100000000000000", id="a delete that begins a lifetime"),
        pytest.param("05 08 0000000000000000", id="no lifetime at all"),
        pytest.param("05 08 ffffffffffffffff", id="a lifetime of ages"),
        pytest.param("03 00 0100000000000000", id="an increment without what it starts from"),
        pytest.param("04 00 000010", id="an append without its limit"),
    ],
)
def test_what_makes_no_sense_is_refused(data: str) -> None:
    with pytest.raises(CodecError):
        decode_change(bytes.fromhex(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("08 0000000000000000 00", id="an unknown status"),
        pytest.param("00 0000000000000000 02", id="neither a record nor none"),
        pytest.param("00 0000000000000000 00 00", id="a record that is not there"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(data: str) -> None:
    with pytest.raises(CodecError):
        decode_answer(bytes.fromhex(data))


def test_the_longest_lifetime_is_taken_and_one_more_is_not() -> None:
    longest = Change(Action.TOUCH, lifetime_ms=LIFETIME_MS_MAX)
    assert decode_change(encode_change(longest)) == longest
    with pytest.raises(CodecError, match=f"the limit is {LIFETIME_MS_MAX}"):
        decode_change(encode_change(replace(longest, lifetime_ms=LIFETIME_MS_MAX + 1)))


def test_a_huge_length_is_refused_without_memory() -> None:
    assert_refused_without_memory(decode_change, b"\1\4\xff\xff\xff\xff" + bytes(8))
    assert_refused_without_memory(decode_change, b"\1\x20\xff\xff" + bytes(8))
