"""Write results."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError
from kvstore.codec.results import decode_results, encode_results
from tests.codec.robustness import (
    assert_every_truncation_is_refused,
    assert_more_bytes_are_refused,
    assert_refused_without_memory,
    decodes,
)

revisions = st.lists(st.integers(0, 2**64 - 1))


@pytest.mark.parametrize(
    ("values", "golden"),
    [
        ([], "00000000"),
        ([1], "01000000 0100000000000000"),
        ([2**64 - 1, 0], "02000000 ffffffffffffffff 0000000000000000"),
    ],
)
def test_the_bytes_of_results_are_as_documented(values: list[int], golden: str) -> None:
    assert encode_results(values) == bytes.fromhex(golden)


@given(revisions)
def test_results_come_back(values: list[int]) -> None:
    assert decode_results(encode_results(values)) == tuple(values)


@given(revisions)
def test_every_truncation_and_any_more_byte_is_refused(values: list[int]) -> None:
    assert_every_truncation_is_refused(decode_results, encode_results(values))
    assert_more_bytes_are_refused(decode_results, encode_results(values))


@given(st.binary(max_size=30))
def test_any_bytes_decode_to_what_encodes_to_them_or_are_refused(data: bytes) -> None:
    if decodes(decode_results, data):
        assert encode_results(decode_results(data)) == data


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(CodecError):
        decode_results(b"")


def test_a_huge_count_is_refused_without_memory() -> None:
    assert_refused_without_memory(decode_results, b"\xff" * 12)
