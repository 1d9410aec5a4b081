"""Reads of any replica come back as they went."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError
from kvstore.codec.read_level import (
    decode_level_read,
    decode_stale_result,
    encode_level_read,
    encode_stale_result,
)

U64 = st.integers(0, (1 << 64) - 1)


@given(U64, st.lists(st.binary(max_size=9), min_size=1, max_size=5))
def test_a_read_comes_back_and_no_part_of_it_does(bound: int, keys: list[bytes]) -> None:
    body = encode_level_read(bound, keys)
    assert decode_level_read(body) == (bound, keys)
    for broken in (body[:-1], body[:11], body[:4], b"", body + b"\0"):
        with pytest.raises(CodecError):
            decode_level_read(broken)


@given(U64, st.lists(st.none() | st.binary(max_size=9), max_size=5))
def test_a_stale_result_comes_back_and_no_part_of_it_does(
    age_ms: int, records: list[bytes | None]
) -> None:
    result = encode_stale_result(age_ms, records)
    assert decode_stale_result(result) == (age_ms, records)
    for broken in (result[:-1], result[:7], b"", result + b"\0"):
        with pytest.raises(CodecError):
            decode_stale_result(broken)


def test_a_read_of_no_keys_is_none() -> None:
    with pytest.raises(CodecError, match="one key or more"):
        decode_level_read(encode_level_read(1, []))
