"""What every format is held to, whatever the bytes: only CodecError, and no memory beyond them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError

Decoder = Callable[[bytes], object]

byte_strings = st.binary(max_size=12)
"""Short, so that empty ones, equal ones and separators are common."""


def assert_every_truncation_is_refused(decode: Decoder, data: bytes) -> None:
    decode(data)
    for length in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:length])


def assert_more_bytes_are_refused(decode: Decoder, data: bytes) -> None:
    with pytest.raises(CodecError):
        decode(data + b"\0")


def decodes(decode: Decoder, data: bytes) -> bool:
    """Whether `data` decodes; any exception but CodecError passes through and fails the test."""
    try:
        decode(data)
    except CodecError:
        return False
    return True


def assert_refused_without_memory(decode: Decoder, data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            decode(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
