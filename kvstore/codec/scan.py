"""Scans of one partition: the question and the page that answers it.

```
question   u8 format = 1 | u8 flags (1: keys only) | u32 limit (0: none) | u32 bytes max
           list [start, end]
page       u8 format = 1 | u8 more | list of keys | list of records (empty when keys only)
```

An absent `end` means: to the last key. `more` says that the page ended before the range did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

from kvstore.codec.byteslist import (
    CodecError,
    decode_list,
    decode_optional_list,
    encode_list,
    encode_optional_list,
)

SCAN_FORMAT: Final = 1
_KEYS_ONLY: Final = 1
_QUESTION: Final = Struct("<BBII")
_PAGE: Final = Struct("<BB")


@dataclass(frozen=True, slots=True)
class Scan:
    """The keys start ≤ key < end of one partition, in byte order."""

    start: bytes
    end: bytes | None
    """None: to the last key."""
    limit: int
    """0: no limit but the page's bytes."""
    bytes_max: int
    """Keys and records of a page together, though never less than one of them."""
    keys_only: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a scan's answer. `records` holds stored records, or nothing when keys only."""

    keys: Sequence[bytes]
    records: Sequence[bytes]
    more: bool
    """There may be more keys after the last one."""


def encode_scan(scan: Scan) -> bytes:
    """`scan` as bytes."""
    flags = _KEYS_ONLY if scan.keys_only else 0
    header = _QUESTION.pack(SCAN_FORMAT, flags, scan.limit, scan.bytes_max)
    return header + encode_optional_list((scan.start, scan.end))


def decode_scan(data: bytes) -> Scan:
    """The scan in `data`; raises CodecError where it does not follow the format."""
    if len(data) < _QUESTION.size or data[0] != SCAN_FORMAT:
        raise CodecError(f"{len(data)} bytes are not a scan of format {SCAN_FORMAT}")
    _format, flags, limit, bytes_max = _QUESTION.unpack_from(data)
    bounds, position = decode_optional_list(data, _QUESTION.size)
    if len(bounds) != 2 or bounds[0] is None or position != len(data) or flags & ~_KEYS_ONLY:
        raise CodecError("a scan has a start, an end and known flags")
    return Scan(bounds[0], bounds[1], limit, bytes_max, bool(flags & _KEYS_ONLY))


def encode_page(page: Page) -> bytes:
    """`page` as bytes."""
    return b"".join(
        (_PAGE.pack(SCAN_FORMAT, page.more), encode_list(page.keys), encode_list(page.records))
    )


def decode_page(data: bytes) -> Page:
    """The page in `data`."""
    if len(data) < _PAGE.size or data[0] != SCAN_FORMAT or data[1] > 1:
        raise CodecError(f"{len(data)} bytes are not a page of format {SCAN_FORMAT}")
    keys, position = decode_list(data, _PAGE.size)
    records, position = decode_list(data, position)
    if position != len(data) or (records and len(records) != len(keys)):
        raise CodecError("a page's lists differ in length or are followed by more bytes")
    return Page(keys, records, bool(data[1]))
