"""Cursors: where a scan over all partitions stands, as text to be kept and handed back.

```
cursor     base64 (URL alphabet, no padding) of
           u8 format = 1 | u8 flags (1: reverse) | list [cluster id, start, end, last key]
           u32 CRC32C of all before
pinned     u8 format = 2 | u8 flags | list | u64 view | u32 n | n × (u32 partition | u64 revision)
           u32 CRC32C of all before
```

An absent `end` means: to the last key; an absent last key: the scan has given none yet. Text that
was cut, changed or mixed up is told from a cursor by its checksum, not by what it happens to say.
A pinned cursor is of a consistent scan, and goes on in the views that it reads from.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct, error
from typing import Final

import google_crc32c

from kvstore.codec.byteslist import CodecError, decode_optional_list, encode_optional_list

CURSOR_FORMAT: Final = 1
PINNED_CURSOR_FORMAT: Final = 2
CURSOR_CHARACTERS_MAX: Final = 64 << 10
_REVERSE: Final = 1
_HEADER: Final = Struct("<BB")
_CHECKSUM: Final = Struct("<I")
_VIEW: Final = Struct("<QI")
_REVISION: Final = Struct("<IQ")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A scan of start ≤ key < end that has come to `last`."""

    cluster_id: str
    """Empty while the scan has not begun."""
    start: bytes
    end: bytes | None
    """None: to the last key."""
    reverse: bool
    last: bytes | None
    """The key that was given last; None: none."""
    view: int = 0
    """Of a consistent scan that is pinned; 0: it is none."""
    revisions: Mapping[int, int] = field(default_factory=dict)
    """By partition, as of which the view is."""


def encode_cursor(cursor: Cursor) -> str:
    """`cursor` as text."""
    fields = (cursor.cluster_id.encode(), cursor.start, cursor.end, cursor.last)
    number = PINNED_CURSOR_FORMAT if cursor.view else CURSOR_FORMAT
    header = _HEADER.pack(number, _REVERSE if cursor.reverse else 0)
    body = header + encode_optional_list(fields)
    if cursor.view:
        body += _VIEW.pack(cursor.view, len(cursor.revisions))
        body += b"".join(_REVISION.pack(*each) for each in sorted(cursor.revisions.items()))
    checksum = _CHECKSUM.pack(google_crc32c.value(body))
    return base64.urlsafe_b64encode(body + checksum).rstrip(b"=").decode("ascii")


def decode_cursor(text: str) -> Cursor:
    """The cursor in `text`; raises CodecError that says what is wrong with it."""
    data = _data_of(text)
    body, checksum = data[: -_CHECKSUM.size], data[-_CHECKSUM.size :]
    if len(body) < _HEADER.size or _CHECKSUM.unpack(checksum) != (google_crc32c.value(body),):
        raise CodecError("it is damaged, or no cursor at all: its checksum does not match")
    number, flags = _HEADER.unpack_from(body)
    if number not in (CURSOR_FORMAT, PINNED_CURSOR_FORMAT):
        raise CodecError(f"it is of format {number}, which this version does not know")
    fields, position = decode_optional_list(body, _HEADER.size)
    view, revisions = 0, dict[int, int]()
    if number == PINNED_CURSOR_FORMAT:
        view, revisions = _view_of(body[position:])
        position = len(body)
    if len(fields) != 4 or position != len(body) or flags & ~_REVERSE:
        raise CodecError("it does not follow its format")
    cluster_id, start, end, last = fields
    if cluster_id is None or start is None or (last is not None and not cluster_id):
        raise CodecError("it does not follow its format")
    try:
        name = cluster_id.decode()
    except UnicodeDecodeError as problem:
        raise CodecError("it does not follow its format") from problem
    return Cursor(name, start, end, bool(flags & _REVERSE), last, view, revisions)


def _view_of(data: bytes) -> tuple[int, dict[int, int]]:
    try:
        view, count = _VIEW.unpack_from(data)
        revisions = dict(_REVISION.iter_unpack(data[_VIEW.size :]))
    except error as problem:
        raise CodecError("it does not follow its format") from problem
    if not view or len(revisions) != count:
        raise CodecError("it does not follow its format")
    return view, revisions


def _data_of(text: str) -> bytes:
    if len(text) > CURSOR_CHARACTERS_MAX:
        raise CodecError(f"it has {len(text)} characters; the limit is {CURSOR_CHARACTERS_MAX}")
    try:
        encoded = text.encode("ascii")
        data = base64.b64decode(encoded + b"=" * (-len(encoded) % 4), b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as problem:
        raise CodecError("it is damaged, or no cursor at all: it is not base64") from problem
    if base64.urlsafe_b64encode(data).rstrip(b"=") != encoded:
        raise CodecError("it is damaged: the last character says what it cannot")
    return data
