"""Stored records, as answers carry them."""

from __future__ import annotations

from kvstore.codec.byteslist import CodecError
from kvstore.codec.record import Record, decode_record, record_value
from kvstore.errors import CorruptionError


def record_of(key: bytes | str, record: bytes) -> Record:
    """The record in `record`; raises CorruptionError."""
    try:
        return decode_record(record)
    except CodecError as problem:
        raise CorruptionError(f"the record of key {key!r}: {problem}") from problem


def value_of(key: bytes | str, record: bytes) -> bytes:
    """The value in `record`; raises CorruptionError."""
    try:
        return record_value(record)
    except CodecError as problem:
        raise CorruptionError(f"the record of key {key!r}: {problem}") from problem
