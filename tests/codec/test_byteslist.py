"""Lists of byte strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import (
    CodecError,
    decode_list,
    decode_optional_list,
    encode_list,
    encode_optional_list,
)
from tests.codec.robustness import (
    assert_every_truncation_is_refused,
    assert_refused_without_memory,
    byte_strings,
    decodes,
)

HUGE_COUNT = b"\xfe\xff\xff\xff"


@pytest.mark.parametrize(
    ("strings", "golden"),
    [
        ([], "00000000"),
        ([b""], "01000000 00000000"),
        ([b"a", b"", b"bcd"], "03000000 01000000 00000000 03000000 61 626364"),
        ([bytes(256)], "01000000 00010000" + "00" * 256),
    ],
)
def test_the_bytes_of_a_list_are_as_documented(strings: list[bytes], golden: str) -> None:
    assert encode_list(strings) == bytes.fromhex(golden)
    assert encode_optional_list(strings) == bytes.fromhex(golden)


def test_the_bytes_of_a_list_with_an_absent_string_are_as_documented() -> None:
    golden = bytes.fromhex("03000000 ffffffff 00000000 02000000 6869")
    assert encode_optional_list([None, b"", b"hi"]) == golden


@given(st.lists(byte_strings), st.binary(max_size=5), st.binary(max_size=5))
def test_a_list_comes_back_from_any_offset(
    strings: list[bytes], before: bytes, after: bytes
) -> None:
    data = before + encode_list(strings)
    assert decode_list(data + after, len(before)) == (strings, len(data))


@given(st.lists(st.none() | byte_strings))
def test_an_optional_list_tells_absent_from_empty(strings: list[bytes | None]) -> None:
    data = encode_optional_list(strings)
    assert decode_optional_list(data) == (strings, len(data))


@given(st.lists(byte_strings, max_size=6))
def test_every_truncation_is_refused(strings: list[bytes]) -> None:
    assert_every_truncation_is_refused(decode_list, encode_list(strings))
    assert_every_truncation_is_refused(decode_optional_list, encode_list(strings))


@given(st.binary(max_size=40))
def test_any_bytes_decode_to_what_encodes_to_them_or_are_refused(data: bytes) -> None:
    if decodes(decode_list, data):
        strings, end = decode_list(data)
        assert encode_list(strings) == data[:end]
    if decodes(decode_optional_list, data):
        optional, end = decode_optional_list(data)
        assert encode_optional_list(optional) == data[:end]


def test_an_absent_string_is_refused_where_none_may_be_absent() -> None:
    with pytest.raises(CodecError):
        decode_list(encode_optional_list([None]))


@pytest.mark.parametrize(
    "data",
    [
        HUGE_COUNT,
        HUGE_COUNT + bytes(64),
        b"\x01\0\0\0\xfe\xff\xff\xff",
        b"\x02\0\0\0" + b"\xff" * 8,
    ],
)
def test_a_huge_count_or_length_is_refused_without_memory(data: bytes) -> None:
    assert_refused_without_memory(decode_list, data)
    if data[4:] != b"\xff" * 8:  # two absent strings
        assert_refused_without_memory(decode_optional_list, data)


def test_an_offset_beyond_the_end_is_refused() -> None:
    with pytest.raises(CodecError):
        decode_list(b"\0\0\0\0", 5)
