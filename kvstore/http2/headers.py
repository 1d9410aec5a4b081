"""Header blocks (HPACK, RFC 7541), and what gRPC writes in them.

Written are literals only, none of which changes the dynamic table, and the peer is told to keep
that table empty: so equal bytes always mean equal headers, and a block is decoded once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from hpack import Decoder
from hpack.exceptions import HPACKError

from kvstore.http2.frames import ErrorCode, Violation

Headers = tuple[tuple[str, str], ...]

BLOCK_BYTES_MAX: Final = 16 << 10
_TIMEOUT_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TIMEOUT_DIGITS_MAX: Final = 8
_DETAILS_BYTES_MAX: Final = 2048
"""Three times as many at most when they are written: far below what a receiver takes."""
_MESSAGE_SAFE: Final = " !#$&'()*+,/:;=?@[]"
_STATUS_200: Final = b"\x88"
"""":status: 200", by its place in the static table."""


def encode(headers: Iterable[tuple[str, str]]) -> bytes:
    """A block."""
    parts: list[bytes] = []
    for name, value in headers:
        parts += (b"\0", _string(name.encode("ascii")), _string(value.encode()))
    return b"".join(parts)


def _string(data: bytes) -> bytes:
    """Its length, as a number with a prefix of 7 bits, and the bytes as they are."""
    length = len(data)
    if length < 0x7F:
        return bytes((length,)) + data
    prefix = bytearray((0x7F,))
    length -= 0x7F
    while length >= 0x80:
        prefix.append(0x80 | length & 0x7F)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + data


@lru_cache(maxsize=1024)
def decode(block: bytes) -> Mapping[str, str]:
    """The headers in a block, the last one where a name stands twice; raises Violation."""
    decoder = Decoder(max_header_list_size=4 * BLOCK_BYTES_MAX)
    decoder.max_allowed_table_size = 0
    decoder.header_table_size = 0
    try:
        return {str(name): str(value) for name, value in decoder.decode(block)}
    except (HPACKError, UnicodeError) as problem:
        raise Violation(
            ErrorCode.COMPRESSION_ERROR, f"headers cannot be read: {problem}"
        ) from problem


@lru_cache(maxsize=1024)
def request_block(method: str, authority: str, timeout_ms: int | None) -> bytes:
    """What opens a call of `method`, "/package.Service/Method"."""
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "kvstore"),
    ]
    if timeout_ms is not None:
        headers.append(("grpc-timeout", _timeout(timeout_ms)))
    return encode(headers)


def _timeout(timeout_ms: int) -> str:
    if timeout_ms < 10**_TIMEOUT_DIGITS_MAX:
        return f"{timeout_ms}m"
    return f"{min(timeout_ms // 1000, 10**_TIMEOUT_DIGITS_MAX - 1)}S"


def timeout_s(headers: Mapping[str, str]) -> float | None:
    """How long the caller of a request waits; raises ValueError for what is no timeout."""
    said = headers.get("grpc-timeout")
    if said is None:
        return None
    digits, unit = said[:-1], _TIMEOUT_UNITS.get(said[-1:])
    if unit is None or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"grpc-timeout is {said!r}")
    if len(digits) > _TIMEOUT_DIGITS_MAX:
        raise ValueError(f"grpc-timeout is {said!r}")
    return int(digits) * unit


RESPONSE_BLOCK: Final = _STATUS_200 + encode([("content-type", "application/grpc")])
OK_TRAILERS: Final = encode([("grpc-status", "0")])


def error_response(code: int, details: str, metadata: Iterable[tuple[str, str]] = ()) -> bytes:
    """What ends a call that failed: the only block of its response."""
    said = quote(details.encode(errors="replace")[:_DETAILS_BYTES_MAX], safe=_MESSAGE_SAFE)
    error = encode([("grpc-status", str(code)), ("grpc-message", said), *metadata])
    return RESPONSE_BLOCK + error


def details_of(headers: Mapping[str, str]) -> str:
    """The sentence in trailers."""
    return unquote(headers.get("grpc-message", ""), errors="replace")
