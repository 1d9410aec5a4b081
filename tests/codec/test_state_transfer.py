"""The stream of a state: records, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError
from kvstore.codec.state_transfer import (
    RECORD_BYTES_MAX,
    checksum,
    encode_records,
    take_records,
)

RECORDS = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=8)


def test_the_bytes_of_a_record_are_as_documented() -> None:
    assert encode_records(0, [b"ab"], [b"c"]).hex() == "0200000001000000616263"
    assert encode_records(1, [b"xab"], [b"c"]).hex() == "0200000001000000616263"


def test_a_checksum_is_crc32c() -> None:
    assert checksum(b"123456789") == 0xE3069283


@given(RECORDS, st.data())
def test_records_come_back_however_the_stream_is_cut(
    records: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    stream = encode_records(0, *zip(*records, strict=True)) if records else b""
    found: list[tuple[bytes, bytes]] = []
    buffer = bytearray()
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        buffer += stream[:cut]
        stream = stream[cut:]
        found += take_records(buffer)
    assert found == records
    assert not buffer


def test_a_record_larger_than_any_is_refused_before_it_has_arrived() -> None:
    too_large = RECORD_BYTES_MAX.to_bytes(4, "little") * 2
    buffer = bytearray(encode_records(0, [b"k"], [b"v"]) + too_large)
    records = take_records(buffer)
    assert next(records) == (b"k", b"v")
    with pytest.raises(CodecError, match="is none"):
        next(records)
