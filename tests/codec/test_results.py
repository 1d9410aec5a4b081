"""Write results."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError
from kvstore.codec.results import (
    CommandOutcome,
    Refusal,
    Results,
    decode_results,
    encode_refusal,
    encode_results,
)
from tests.codec.robustness import (
    assert_every_truncation_is_refused,
    assert_more_bytes_are_refused,
    assert_refused_without_memory,
    byte_strings,
    decodes,
)

u64s = st.integers(0, 2**64 - 1)
with_extras = st.lists(st.tuples(u64s, st.none() | byte_strings))
refusals = st.sampled_from([each for each in CommandOutcome if each is not CommandOutcome.DONE])


@pytest.mark.parametrize(
    ("revisions", "extras", "golden"),
    [
        ([], None, "02 00 00 00000000"),
        ([1], None, "02 00 00 01000000 0100000000000000"),
        ([2**64 - 1, 0], None, "02 00 00 02000000 ffffffffffffffff 0000000000000000"),
        ([], [], "02 00 01 00000000 00000000"),
        (
            [7, 0],
            [None, b"x"],
            "02 00 01 02000000 0700000000000000 000000000000000002000000 ffffffff 01000000 78",
        ),
    ],
)
def test_the_bytes_of_results_are_as_documented(
    revisions: list[int], extras: list[bytes | None] | None, golden: str
) -> None:
    assert encode_results(revisions, extras) == bytes.fromhex(golden)
    assert decode_results(bytes.fromhex(golden)) == Results(tuple(revisions), extras)


def test_the_bytes_of_a_refusal_are_as_documented() -> None:
    golden = bytes.fromhex("02 01 0900000000000000")
    assert encode_refusal(CommandOutcome.SESSION_UNKNOWN, 9) == golden
    assert decode_results(golden) == Refusal(CommandOutcome.SESSION_UNKNOWN, 9)


def test_the_numbers_of_outcomes_are_forever() -> None:
    assert {each.name: each.value for each in CommandOutcome} == {
        "DONE": 0,
        "SESSION_UNKNOWN": 1,
        "FORGOTTEN": 2,
        "WINDOW_FULL": 3,
    }


@given(st.lists(u64s))
def test_results_come_back(revisions: list[int]) -> None:
    assert decode_results(encode_results(revisions)) == Results(tuple(revisions))


@given(with_extras)
def test_results_with_extras_come_back(pairs: list[tuple[int, bytes | None]]) -> None:
    revisions, extras = [each for each, _ in pairs], [each for _, each in pairs]
    decoded = decode_results(encode_results(revisions, extras))
    assert decoded == Results(tuple(revisions), extras)


@given(refusals, u64s)
def test_a_refusal_comes_back(outcome: CommandOutcome, index: int) -> None:
    assert decode_results(encode_refusal(outcome, index)) == Refusal(outcome, index)


@given(with_extras, st.booleans())
def test_every_truncation_and_any_more_byte_is_refused(
    pairs: list[tuple[int, bytes | None]], has_extras: bool
) -> None:
    data = encode_results(
        [each for each, _ in pairs], [e for _, e in pairs] if has_extras else None
    )
    assert_every_truncation_is_refused(decode_results, data)
    assert_more_bytes_are_refused(decode_results, data)


@given(refusals, u64s)
def test_every_truncation_of_a_refusal_is_refused(outcome: CommandOutcome, index: int) -> None:
    assert_every_truncation_is_refused(decode_results, encode_refusal(outcome, index))
    assert_more_bytes_are_refused(decode_results, encode_refusal(outcome, index))


@given(st.binary(max_size=30), st.sampled_from([b"", b"\2\0", b"\2\0\1", b"\2\1"]))
def test_any_bytes_decode_to_what_encodes_to_them_or_are_refused(data: bytes, head: bytes) -> None:
    data = head + data
    if decodes(decode_results, data):
        match decode_results(data):
            case Results(revisions, extras):
                assert encode_results(revisions, extras) == data
            case Refusal(outcome, index):
                assert encode_refusal(outcome, index) == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing at all"),
        pytest.param(b"\1\0\0\0\0\0\0", id="another format"),
        pytest.param(b"\2\4" + bytes(8), id="an unknown outcome"),
        pytest.param(b"\2\0\2\0\0\0\0", id="an unknown flag"),
        pytest.param(b"\2\0\1\0\0\0\0\1\0\0\0\0\0\0\0", id="more extras than results"),
    ],
)
def test_what_is_not_known_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_results(data)


@pytest.mark.parametrize("head", [b"\2\0\0", b"\2\0\1", b"\2\0\1\0\0\0\0"])
def test_a_huge_count_is_refused_without_memory(head: bytes) -> None:
    assert_refused_without_memory(decode_results, head + b"\xff" * 12)
