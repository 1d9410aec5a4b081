"""Records: stored under keys and answered byte for byte. These bytes are forever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError
from kvstore.codec.record import (
    HEADER_BYTES,
    Record,
    decode_record,
    encode_record,
    record_value,
    with_time_left,
)

u64s = st.integers(0, 2**64 - 1)

GOLDEN = bytes.fromhex(
    "01 0200000000000000 0300000000000000 0500000000000000 0000000000000000 68690a"
)


def test_the_bytes_of_a_record_are_as_documented() -> None:
    assert encode_record(b"hi\n", version=2, create_revision=3, mod_revision=5) == GOLDEN
    assert decode_record(GOLDEN) == Record(b"hi\n", 2, 3, 5)


@given(st.binary(max_size=40), u64s, u64s, u64s, u64s)
def test_a_record_comes_back(
    value: bytes, version: int, created: int, modified: int, expiry_ms: int
) -> None:
    data = encode_record(value, version, created, modified, expiry_ms)
    assert decode_record(data) == Record(value, version, created, modified, expiry_ms)
    assert record_value(data) == value


def test_a_key_may_be_written_more_often_than_32_bits_count() -> None:
    assert decode_record(encode_record(b"", 2**32, 1, 2**32)).version == 2**32


def test_a_truncated_head_and_another_format_are_refused() -> None:
    refused = [GOLDEN[:length] for length in range(HEADER_BYTES)]
    refused += [bytes([other]) + GOLDEN[1:] for other in (0, 2, 255)]
    for data in refused:
        with pytest.raises(CodecError):
            decode_record(data)
        with pytest.raises(CodecError):
            record_value(data)


@pytest.mark.parametrize(
    ("expiry_ms", "left_ms"), [(0, 0), (1500, 500), (1001, 1), (1000, 1), (7, 1)]
)
def test_what_is_left_of_a_lifetime_takes_the_place_of_its_expiry(
    expiry_ms: int, left_ms: int
) -> None:
    stored = encode_record(b"value", 3, 2, 9, expiry_ms)
    assert with_time_left(stored, 1000) == encode_record(b"value", 3, 2, 9, left_ms)
