"""Bodies and results of reads that any replica may serve: SectionKind in proto/kvstore/v1/kv.proto.

```
session   u64 least applied index | list of keys          result: list of records
stale     u64 greatest age, ms    | list of keys          result: u64 age, ms | list of records
```

Scans are the same with a scan in place of the keys, and a page in place of the records (scan.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, error
from typing import Final

from kvstore.codec.byteslist import (
    CodecError,
    decode_list,
    decode_optional_list,
    encode_list,
    encode_optional_list,
)

_U64: Final = Struct("<Q")
U64_MAX: Final = (1 << 64) - 1


def encode_level_read(bound: int, keys: Sequence[bytes]) -> bytes:
    """`bound` is the least applied index, or the greatest age in milliseconds."""
    return _U64.pack(bound) + encode_list(keys)


def decode_level_read(body: bytes) -> tuple[int, list[bytes]]:
    """The bound, and one key or more; raises CodecError."""
    keys, end = decode_list(body, _U64.size)
    if end != len(body) or not keys:
        raise CodecError("a read is a bound and a list of one key or more, and nothing else")
    return _U64.unpack_from(body)[0], keys


def encode_level_scan(bound: int, question: bytes) -> bytes:
    """`bound` as in `encode_level_read`, and an encoded scan."""
    return _U64.pack(bound) + question


def split_bound(body: bytes) -> tuple[int, bytes]:
    """The number before an encoded scan or page, and that; raises CodecError."""
    try:
        return _U64.unpack_from(body)[0], body[_U64.size :]
    except error as problem:
        raise CodecError(f"{len(body)} bytes do not begin with a bound or an age") from problem


def with_age(age_ms: int, result: bytes) -> bytes:
    """A stale read's `result`, and how old it may be."""
    return _U64.pack(age_ms) + result


def encode_stale_result(age_ms: int, records: Sequence[bytes | None]) -> bytes:
    """What a stale read found, and how old it may be."""
    return with_age(age_ms, encode_optional_list(records))


def decode_stale_result(result: bytes) -> tuple[int, list[bytes | None]]:
    """The age in milliseconds, and the records; raises CodecError."""
    try:
        (age_ms,) = _U64.unpack_from(result)
    except error as problem:
        raise CodecError(f"a stale read's result has {len(result)} bytes") from problem
    records, end = decode_optional_list(result, _U64.size)
    if end != len(result):
        raise CodecError("a stale read's records are followed by more bytes")
    return age_ms, records
