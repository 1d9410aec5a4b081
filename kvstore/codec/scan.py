"""Scans of one partition: the question and the page that answers it.

```
question   u8 format = 1 | u8 flags (1: keys only) | u32 limit (0: none) | u32 bytes max
           list [start, end]
           u8 format = 2 | u8 flags (1: keys only, 2: reverse, 4: count) | u32 limit | u32 bytes max
           u8 view action | u64 view | list [start, end]
page       u8 format = 1 | u8 more | list of keys | list of records (empty when keys only)
           u8 format = 2 | u8 more | u64 revision | u64 count | list of keys | list of records
```

An absent `end` means: to the last key. `more` says that the page ended before the range did. What
format 1 can say is written in it, so that older nodes and clients understand it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
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
WIDE_SCAN_FORMAT: Final = 2
_KEYS_ONLY: Final = 1
_REVERSE: Final = 2
_COUNT: Final = 4
_QUESTION: Final = Struct("<BBII")
_WIDE_QUESTION: Final = Struct("<BBIIBQ")
_PAGE: Final = Struct("<BB")
_WIDE_PAGE: Final = Struct("<BBQQ")


@unique
class ViewAction(IntEnum):
    """What a scan does with a view; the numbers are on the wire."""

    NONE = 0
    """It reads what there is now; linearizable."""
    OPEN = 1
    """Opens a view of its range, linearizable as of that moment, and reads from it; one that is
    open under that number already is read from as it is."""
    READ = 2
    """Reads from a view that is open."""
    KEEP = 3
    """Reads nothing: the view is still needed."""
    CLOSE = 4
    """Reads nothing: the view is not needed any more."""


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
    reverse: bool = False
    """From the last key of the range down to the first."""
    count: bool = False
    """Only how many keys there are; they are not sent."""
    view_action: ViewAction = ViewAction.NONE
    view: int = 0
    """A number of the caller's choice, at random, for one scan in all its partitions."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a scan's answer. `records` holds stored records, or nothing when keys only."""

    keys: Sequence[bytes]
    """When counting only the last one, from which the next page goes on."""
    records: Sequence[bytes]
    more: bool
    """There may be more keys beyond the last one."""
    revision: int = 0
    """Of the partition, as of which a view is; 0 without one, or before the first write."""
    count: int = 0
    """How many keys were counted, when counting."""


def encode_scan(scan: Scan) -> bytes:
    """`scan` as bytes."""
    flags = (
        (_KEYS_ONLY if scan.keys_only else 0)
        | (_REVERSE if scan.reverse else 0)
        | (_COUNT if scan.count else 0)
    )
    if flags & ~_KEYS_ONLY or scan.view_action or scan.view:
        action, view = scan.view_action, scan.view
        header = _WIDE_QUESTION.pack(
            WIDE_SCAN_FORMAT, flags, scan.limit, scan.bytes_max, action, view
        )
    else:
        header = _QUESTION.pack(SCAN_FORMAT, flags, scan.limit, scan.bytes_max)
    return header + encode_optional_list((scan.start, scan.end))


def decode_scan(data: bytes) -> Scan:
    """The scan in `data`; raises CodecError where it does not follow the format."""
    is_wide = data[:1] == bytes((WIDE_SCAN_FORMAT,))
    header = _WIDE_QUESTION if is_wide else _QUESTION
    if len(data) < header.size or not (is_wide or data[0] == SCAN_FORMAT):
        formats = f"{SCAN_FORMAT} or {WIDE_SCAN_FORMAT}"
        raise CodecError(f"{len(data)} bytes are not a scan of format {formats}")
    _format, flags, limit, bytes_max, *of_view = header.unpack_from(data)
    action, view = of_view or (ViewAction.NONE, 0)
    bounds, position = decode_optional_list(data, header.size)
    known = _KEYS_ONLY | _REVERSE | _COUNT if is_wide else _KEYS_ONLY
    if len(bounds) != 2 or bounds[0] is None or position != len(data) or flags & ~known:
        raise CodecError("a scan has a start, an end and known flags")
    if action > ViewAction.CLOSE or (is_wide and not (flags & ~_KEYS_ONLY or action or view)):
        raise CodecError(f"a scan of format {WIDE_SCAN_FORMAT} does what format 1 cannot say")
    return Scan(
        bounds[0],
        bounds[1],
        limit,
        bytes_max,
        bool(flags & _KEYS_ONLY),
        bool(flags & _REVERSE),
        bool(flags & _COUNT),
        ViewAction(action),
        view,
    )


def encode_page(page: Page) -> bytes:
    """`page` as bytes."""
    if page.revision or page.count:
        header = _WIDE_PAGE.pack(WIDE_SCAN_FORMAT, page.more, page.revision, page.count)
    else:
        header = _PAGE.pack(SCAN_FORMAT, page.more)
    return b"".join((header, encode_list(page.keys), encode_list(page.records)))


def decode_page(data: bytes) -> Page:
    """The page in `data`."""
    is_wide = data[:1] == bytes((WIDE_SCAN_FORMAT,))
    header = _WIDE_PAGE if is_wide else _PAGE
    if len(data) < header.size or not (is_wide or data[0] == SCAN_FORMAT) or data[1] > 1:
        formats = f"{SCAN_FORMAT} or {WIDE_SCAN_FORMAT}"
        raise CodecError(f"{len(data)} bytes are not a page of format {formats}")
    _format, more, *of_view = header.unpack_from(data)
    revision, count = of_view or (0, 0)
    if is_wide and not (revision or count):
        raise CodecError(f"a page of format {WIDE_SCAN_FORMAT} says what format 1 cannot say")
    keys, position = decode_list(data, header.size)
    records, position = decode_list(data, position)
    if position != len(data) or (records and len(records) != len(keys)):
        raise CodecError("a page's lists differ in length or are followed by more bytes")
    return Page(keys, records, bool(more), revision, count)
