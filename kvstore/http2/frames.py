"""Frames of HTTP/2 (RFC 9113, sections 4 and 6), as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum, unique
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES: Final = 9
HEADER: Final = Struct(">BHBBL")
"""Length, its upper 8 and lower 16 bits; type; flags; stream."""
STREAM_MASK: Final = 0x7FFF_FFFF
STREAM_MAX: Final = 0x7FFF_FFFF
WINDOW_DEFAULT: Final = 65_535
WINDOW_MAX: Final = 0x7FFF_FFFF
FRAME_BYTES_DEFAULT: Final = 16_384
"""What every receiver takes in one frame, unless it says more."""
FRAME_BYTES_MAX: Final = 256 << 10
"""What is taken here."""

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20

_SETTING: Final = Struct(">HL")
_UINT32: Final = Struct(">L")
_GOAWAY: Final = Struct(">LL")


@unique
class FrameType(IntEnum):
    """Those that are known here; others are passed over."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


@unique
class ErrorCode(IntEnum):
    """Why a stream or a connection ends (RFC 9113, section 7), as far as it is said here."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


@unique
class Setting(IntEnum):
    """Parameters of SETTINGS."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    DIRECT = 0xF4B5
    """Ours, and unknown to all others, who pass it over: this end speaks directly."""


class Violation(ValueError):
    """A peer breaks a rule for which there is a code of its own; ValueError is for all others,
    PROTOCOL_ERROR."""

    def __init__(self, code: ErrorCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame."""
    length = len(payload)
    return HEADER.pack(length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def headers(stream: int, block: bytes, *, is_last: bool = False) -> bytes:
    """A HEADERS frame that holds a whole block."""
    return frame(FrameType.HEADERS, END_HEADERS | (END_STREAM if is_last else 0), stream, block)


def settings(values: Iterable[tuple[Setting, int]]) -> bytes:
    """A SETTINGS frame."""
    return frame(FrameType.SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in values))


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """The parameters in the payload of SETTINGS; raises Violation when it has a wrong length."""
    if len(payload) % _SETTING.size:
        raise Violation(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS has {len(payload)} bytes")
    return _SETTING.iter_unpack(payload)


def window_update(stream: int, increment: int) -> bytes:
    """More room for the peer to send."""
    return frame(FrameType.WINDOW_UPDATE, 0, stream, _UINT32.pack(increment))


def reset_stream(stream: int, code: ErrorCode) -> bytes:
    """The end of a stream, at once."""
    return frame(FrameType.RST_STREAM, 0, stream, _UINT32.pack(code))


def goaway(last_stream: int, code: ErrorCode, reason: str = "") -> bytes:
    """No streams above `last_stream` are served any more."""
    return frame(FrameType.GOAWAY, 0, 0, _GOAWAY.pack(last_stream, code) + reason.encode()[:256])


def read_uint32(payload: bytes) -> int:
    """The number in WINDOW_UPDATE and RST_STREAM; raises Violation when the length is wrong."""
    if len(payload) != _UINT32.size:
        raise Violation(
            ErrorCode.FRAME_SIZE_ERROR,
            f"the frame has {len(payload)} bytes; it must have {_UINT32.size}",
        )
    return int(_UINT32.unpack(payload)[0])


def read_goaway(payload: bytes) -> tuple[int, int, str]:
    """Last stream, error code and reason; raises Violation when the frame is too short."""
    if len(payload) < _GOAWAY.size:
        raise Violation(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY has {len(payload)} bytes")
    last, code = _GOAWAY.unpack_from(payload)
    return last & STREAM_MASK, code, payload[_GOAWAY.size :].decode(errors="replace")


def without_padding(flags: int, payload: bytes) -> bytes:
    """What DATA or HEADERS carry beside padding and priority; raises ValueError."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ValueError("a padded frame is empty")
        start, end = 1, end - payload[0]
    if flags & PRIORITY:
        start += 5
    if start > end:
        raise ValueError("a frame is shorter than its padding")
    return payload[start:end]
