"""Frames of HTTP/2, byte by byte."""

from __future__ import annotations

import pytest

from kvstore.http2 import frames
from kvstore.http2.frames import ErrorCode, FrameType, Setting, Violation


def test_a_frame_is_length_type_flags_stream_and_payload() -> None:
    assert frames.frame(FrameType.DATA, 1, 5, b"ab") == bytes.fromhex("000002 00 01 00000005") + (
        b"ab"
    )


def test_the_length_has_three_bytes() -> None:
    assert frames.frame(FrameType.DATA, 0, 1, bytes(0x010203))[:3] == b"\x01\x02\x03"


def test_settings_are_pairs_of_a_name_and_a_value() -> None:
    written = frames.settings([(Setting.DIRECT, 1), (Setting.INITIAL_WINDOW_SIZE, 1 << 20)])
    assert written == bytes.fromhex("00000c 04 00 00000000  f4b5 00000001  0004 00100000")
    read = list(frames.read_settings(written[frames.HEADER_BYTES :]))
    assert read == [(0xF4B5, 1), (4, 1 << 20)]


@pytest.mark.parametrize("length", [1, 5, 7, 13])
def test_settings_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(Violation, match="SETTINGS has") as caught:
        frames.read_settings(bytes(length))
    assert caught.value.code is ErrorCode.FRAME_SIZE_ERROR


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (frames.window_update(0, 7), "000004 08 00 00000000 00000007"),
        (frames.window_update(9, 0x7FFFFFFF), "000004 08 00 00000009 7fffffff"),
        (frames.reset_stream(3, ErrorCode.CANCEL), "000004 03 00 00000003 00000008"),
        (frames.goaway(5, ErrorCode.NO_ERROR), "000008 07 00 00000000 00000005 00000000"),
        (
            frames.goaway(1, ErrorCode.ENHANCE_YOUR_CALM, "no"),
            "00000a 07 00 00000000 00000001 0000000b 6e6f",
        ),
    ],
)
def test_frames_of_fixed_form(written: bytes, expected: str) -> None:
    assert written == bytes.fromhex(expected)


def test_a_goaway_is_read_and_its_reserved_bit_passed_over() -> None:
    payload = bytes.fromhex("80000005 00000002") + b"why \xff"
    assert frames.read_goaway(payload) == (5, 2, "why \N{REPLACEMENT CHARACTER}")


def test_the_reason_in_a_goaway_is_bounded() -> None:
    written = frames.goaway(0, ErrorCode.NO_ERROR, "x" * 10_000)
    assert len(written) == frames.HEADER_BYTES + 8 + 256


@pytest.mark.parametrize("length", [0, 3, 5, 8])
def test_numbers_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(Violation) as caught:
        frames.read_uint32(bytes(length))
    assert caught.value.code is ErrorCode.FRAME_SIZE_ERROR


def test_a_goaway_that_is_too_short_is_refused() -> None:
    with pytest.raises(Violation, match="GOAWAY has 7 bytes"):
        frames.read_goaway(bytes(7))


@pytest.mark.parametrize(
    ("flags", "payload", "rest"),
    [
        (0, b"abc", b"abc"),
        (frames.PADDED, b"\x00abc", b"abc"),
        (frames.PADDED, b"\x02abc\0\0", b"abc"),
        (frames.PADDED, b"\x03\0\0\0", b""),
        (frames.PRIORITY, b"\0\0\0\0\x10abc", b"abc"),
        (frames.PADDED | frames.PRIORITY, b"\x01\0\0\0\0\x10abc\0", b"abc"),
        (frames.END_STREAM, b"", b""),
    ],
)
def test_padding_and_priority_are_taken_off(flags: int, payload: bytes, rest: bytes) -> None:
    assert frames.without_padding(flags, payload) == rest


@pytest.mark.parametrize(
    ("flags", "payload"),
    [
        (frames.PADDED, b""),
        (frames.PADDED, b"\x01"),
        (frames.PADDED, b"\x04abc"),
        (frames.PRIORITY, b"\0\0\0\0"),
        (frames.PADDED | frames.PRIORITY, b"\x01\0\0\0\0\x10"),
    ],
)
def test_padding_that_leaves_less_than_nothing_is_refused(flags: int, payload: bytes) -> None:
    with pytest.raises(ValueError, match="fram"):
        frames.without_padding(flags, payload)
