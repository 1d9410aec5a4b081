"""Records: what is stored under a key, and, byte for byte, what a read answers.

```
u8 format = 1 | u64 version | u64 create revision | u64 mod revision | u64 expiry ms | value
```

Nodes answer reads with the stored bytes; the client takes them apart. `expiry` is on the clock of
the partition (storage/expiry.py); 0: the key does not expire.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from kvstore.codec.byteslist import CodecError

RECORD_FORMAT: Final = 1
HEADER: Final = Struct("<BQQQQ")
HEADER_BYTES: Final = HEADER.size


@dataclass(frozen=True, slots=True)
class Record:
    """A value with its history; revisions count the writes of one partition."""

    value: bytes
    version: int
    """Writes to the key since it was created; 1 for the first."""
    create_revision: int
    mod_revision: int
    expiry_ms: int = 0
    """On the clock of the partition; 0: it does not expire."""


def encode_record(
    value: bytes, version: int, create_revision: int, mod_revision: int, expiry_ms: int = 0
) -> bytes:
    """A record as bytes."""
    return HEADER.pack(RECORD_FORMAT, version, create_revision, mod_revision, expiry_ms) + value


def decode_record(data: bytes) -> Record:
    """The record in `data`."""
    if len(data) < HEADER_BYTES or data[0] != RECORD_FORMAT:
        raise CodecError(f"{len(data)} bytes are not a record of format {RECORD_FORMAT}")
    _format, version, create_revision, mod_revision, expiry_ms = HEADER.unpack_from(data)
    return Record(data[HEADER_BYTES:], version, create_revision, mod_revision, expiry_ms)


def record_expiry_ms(data: bytes) -> int:
    """Only when the record in `data` expires; 0: it does not."""
    if len(data) < HEADER_BYTES or data[0] != RECORD_FORMAT:
        raise CodecError(f"{len(data)} bytes are not a record of format {RECORD_FORMAT}")
    return int(HEADER.unpack_from(data)[4])


def with_time_left(data: bytes, clock_ms: int) -> bytes:
    """The record in `data` with what is left of its lifetime at `clock_ms`, at least 1 ms, in place
    of its expiry; one that does not expire stays as it is."""
    expiry_ms = record_expiry_ms(data)
    if not expiry_ms:
        return data
    record = decode_record(data)
    left_ms = max(1, expiry_ms - clock_ms)
    return encode_record(
        record.value, record.version, record.create_revision, record.mod_revision, left_ms
    )


def record_value(data: bytes) -> bytes:
    """Only the value of the record in `data`: the common case of a get."""
    if len(data) < HEADER_BYTES or data[0] != RECORD_FORMAT:
        raise CodecError(f"{len(data)} bytes are not a record of format {RECORD_FORMAT}")
    return data[HEADER_BYTES:]
