"""Scans and their pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError, encode_list, encode_optional_list
from kvstore.codec.scan import (
    Page,
    Scan,
    ViewAction,
    decode_page,
    decode_scan,
    encode_page,
    encode_scan,
)
from tests.codec.robustness import (
    assert_every_truncation_is_refused,
    assert_more_bytes_are_refused,
    assert_refused_without_memory,
    byte_strings,
    decodes,
)

u32s = st.integers(0, 2**32 - 1)
u64s = st.integers(0, 2**64 - 1)
flags = st.booleans()
scans = st.builds(
    Scan,
    byte_strings,
    st.none() | byte_strings,
    u32s,
    u32s,
    flags,
    flags,
    flags,
    st.sampled_from(ViewAction),
    st.just(0) | u64s,
)


@st.composite
def pages(draw: st.DrawFn) -> Page:
    keys = draw(st.lists(byte_strings, max_size=6))
    records = draw(st.just([]) | st.lists(byte_strings, min_size=len(keys), max_size=len(keys)))
    told = st.just(0) | u64s
    return Page(keys, records, draw(st.booleans()), draw(told), draw(told))


@pytest.mark.parametrize(
    ("scan", "golden"),
    [
        (
            Scan(b"a", b"b", limit=10, bytes_max=4096),
            "01 00 0a000000 00100000 02000000 01000000 01000000 61 62",
        ),
        (
            Scan(b"", None, limit=0, bytes_max=1, keys_only=True),
            "01 01 00000000 01000000 02000000 00000000 ffffffff",
        ),
        (
            Scan(b"a", None, limit=0, bytes_max=1, reverse=True, count=True),
            "02 06 00000000 01000000 00 0000000000000000 02000000 01000000 ffffffff 61",
        ),
        (
            Scan(b"", None, 0, 1, True, view_action=ViewAction.READ, view=0x1122),
            "02 01 00000000 01000000 02 2211000000000000 02000000 00000000 ffffffff",
        ),
    ],
)
def test_the_bytes_of_a_scan_are_as_documented(scan: Scan, golden: str) -> None:
    assert encode_scan(scan) == bytes.fromhex(golden)


@pytest.mark.parametrize(
    ("page", "golden"),
    [
        (
            Page([b"k"], [b"rec"], more=True),
            "01 01 01000000 01000000 6b 01000000 03000000 726563",
        ),
        (Page([b"k"], [], more=False), "01 00 01000000 01000000 6b 00000000"),
        (Page([], [], more=False), "01 00 00000000 00000000"),
        (
            Page([b"k"], [], more=True, count=3),
            "02 01 0000000000000000 0300000000000000 01000000 01000000 6b 00000000",
        ),
        (
            Page([], [], more=False, revision=9),
            "02 00 0900000000000000 0000000000000000 00000000 00000000",
        ),
    ],
)
def test_the_bytes_of_a_page_are_as_documented(page: Page, golden: str) -> None:
    assert encode_page(page) == bytes.fromhex(golden)


@given(scans)
def test_a_scan_comes_back(scan: Scan) -> None:
    assert decode_scan(encode_scan(scan)) == scan


@given(pages())
def test_a_page_comes_back(page: Page) -> None:
    assert decode_page(encode_page(page)) == page


@given(scans, pages())
def test_every_truncation_and_any_more_byte_is_refused(scan: Scan, page: Page) -> None:
    assert_every_truncation_is_refused(decode_scan, encode_scan(scan))
    assert_more_bytes_are_refused(decode_scan, encode_scan(scan))
    assert_every_truncation_is_refused(decode_page, encode_page(page))
    assert_more_bytes_are_refused(decode_page, encode_page(page))


@given(st.binary(max_size=40))
def test_any_bytes_decode_to_what_encodes_to_them_or_are_refused(data: bytes) -> None:
    for attempt in (data, b"\1\0" + data, b"\1\1" + data, b"\2\0" + data, b"\2\1" + data):
        if decodes(decode_scan, attempt):
            assert encode_scan(decode_scan(attempt)) == attempt
        if decodes(decode_page, attempt):
            assert encode_page(decode_page(attempt)) == attempt


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\3\0" + bytes(8) + encode_list([b"", b""]), id="a newer format"),
        pytest.param(b"\2\x08" + bytes(17) + encode_list([b"", b""]), id="an unknown flag of 2"),
        pytest.param(b"\2\2" + b"\5" * 17 + encode_list([b"", b""]), id="an unknown action"),
        pytest.param(b"\2\1" + bytes(17) + encode_list([b"", b""]), id="format 2 for nothing"),
        pytest.param(b"\1\2" + bytes(8) + encode_list([b"", b""]), id="an unknown flag"),
        pytest.param(b"\1\0" + bytes(8) + encode_list([b""]), id="one bound"),
        pytest.param(b"\1\0" + bytes(8) + encode_list([b"", b"", b""]), id="three bounds"),
        pytest.param(b"\1\0" + bytes(8) + encode_optional_list([None, b""]), id="no start"),
    ],
)
def test_a_scan_that_is_not_known_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_scan(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\3\0" + bytes(8), id="a newer format"),
        pytest.param(b"\2\0" + bytes(24), id="format 2 for nothing"),
        pytest.param(b"\1\2" + bytes(8), id="neither more nor not"),
        pytest.param(b"\1\0" + encode_list([b"k"]) + encode_list([b"r", b"s"]), id="too many"),
        pytest.param(b"\1\0" + encode_list([b"k", b"l"]) + encode_list([b"r"]), id="too few"),
    ],
)
def test_a_page_that_is_not_known_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_page(data)


def test_a_huge_count_is_refused_without_memory() -> None:
    assert_refused_without_memory(decode_scan, b"\1\0" + bytes(8) + b"\xff" * 12)
    assert_refused_without_memory(decode_page, b"\1\0" + b"\xff" * 12)
    assert_refused_without_memory(decode_page, b"\2\0" + b"\xff" * 28)
