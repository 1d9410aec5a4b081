"""Cursors: text that says where a scan stands, or says that it does not."""

from __future__ import annotations

import base64

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError
from kvstore.codec.cursor import CURSOR_CHARACTERS_MAX, Cursor, decode_cursor, encode_cursor
from tests.codec.robustness import byte_strings

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
nothing: tuple[int, dict[int, int]] = (0, {})
pins = st.just(nothing) | st.tuples(
    st.integers(1, (1 << 64) - 1),
    st.dictionaries(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1), max_size=4),
)
cursors = st.builds(
    lambda pin, *fields: Cursor(*fields, *pin),
    pins,
    names,
    byte_strings,
    st.none() | byte_strings,
    st.booleans(),
    st.none() | byte_strings,
)


def test_the_text_of_a_cursor_is_as_documented() -> None:
    cursor = Cursor("c1", b"a", None, reverse=True, last=b"k\xff")
    body = bytes.fromhex("01 01 04000000 02000000 01000000 ffffffff 02000000 6331 61 6bff")
    text = base64.urlsafe_b64encode(body + bytes.fromhex("95d59e46")).rstrip(b"=").decode()
    assert encode_cursor(cursor) == text


def test_the_text_of_a_pinned_cursor_is_as_documented() -> None:
    cursor = Cursor("c1", b"a", None, reverse=False, last=b"k", view=3, revisions={2: 9, 0: 5})
    body = bytes.fromhex(
        "02 00 04000000 02000000 01000000 ffffffff 01000000 6331 61 6b"
        "0300000000000000 02000000 00000000 0500000000000000 02000000 0900000000000000"
    )
    checksum = int(google_crc32c.value(body)).to_bytes(4, "little")
    text = base64.urlsafe_b64encode(body + checksum).rstrip(b"=").decode()
    assert encode_cursor(cursor) == text


@pytest.mark.parametrize(
    "pin", ["", "0000000000000000 00000000", "0300000000000000 01000000", "03"]
)
def test_a_pinned_cursor_names_a_view_and_as_many_revisions_as_it_says(pin: str) -> None:
    body = bytes.fromhex("02 00 04000000 02000000 01000000 ffffffff 01000000 6331 61 6b" + pin)
    checksum = int(google_crc32c.value(body)).to_bytes(4, "little")
    text = base64.urlsafe_b64encode(body + checksum).rstrip(b"=").decode()
    with pytest.raises(CodecError, match="does not follow its format"):
        decode_cursor(text)


@given(cursors)
def test_a_cursor_comes_back(cursor: Cursor) -> None:
    assert decode_cursor(encode_cursor(cursor)) == cursor


def test_a_scan_that_has_not_begun_has_a_cursor_without_a_cluster() -> None:
    cursor = Cursor("", b"a", b"b", reverse=False, last=None)
    assert decode_cursor(encode_cursor(cursor)) == cursor
    with pytest.raises(CodecError):
        decode_cursor(encode_cursor(Cursor("", b"a", b"b", reverse=False, last=b"a")))


@settings(deadline=None)
@given(cursors, st.data())
def test_text_that_was_cut_lengthened_or_changed_is_refused(
    cursor: Cursor, data: st.DataObject
) -> None:
    text = encode_cursor(cursor)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda c: c != text[place]))
    for wrong in (text[:place], text + other, text[:place] + other + text[place + 1 :]):
        with pytest.raises(CodecError):
            decode_cursor(wrong)


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_that_encodes_to_it_or_is_refused(text: str) -> None:
    try:
        cursor = decode_cursor(text)
    except CodecError:
        return
    assert encode_cursor(cursor) == text


def test_a_newer_format_is_named() -> None:
    body = b"\3\0more"
    checksum = int(google_crc32c.value(body)).to_bytes(4, "little")
    text = base64.urlsafe_b64encode(body + checksum).rstrip(b"=").decode()
    with pytest.raises(CodecError, match="format 3, which this version does not know"):
        decode_cursor(text)


def test_a_text_beyond_all_bounds_is_refused_before_it_is_read() -> None:
    with pytest.raises(CodecError, match="the limit is"):
        decode_cursor("A" * (CURSOR_CHARACTERS_MAX + 1))
