"""Every byte of a backup file; drawn in docs/format-backup.md.

```
file      prologue | header frame | section* | footer frame
section   start frame | rows frame* | end frame
```
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from struct import Struct, error
from typing import Final

import google_crc32c

from cluster.ids import Index, PartitionId, Term
from cluster.partition.ranges import PARTITIONS_MAX
from kvstore.codec.backup import ROWS_BYTES_MAX, SectionEnd, SectionStart
from kvstore.codec.byteslist import CodecError, decode_list, encode_list

MAGIC: Final = b"kvbackup"
FORMAT_VERSION: Final = 1
PROLOGUE_BYTES: Final = 16
FRAME_HEADER_BYTES: Final = 12
PAYLOAD_BYTES_MAX: Final = ROWS_BYTES_MAX
"""Of one frame, as it is stored and as it is unpacked."""

_PROLOGUE: Final = Struct("<8sII")
_FRAME: Final = Struct("<IBBHI")
_FRAME_START: Final = Struct("<IBBH")
_HEADER: Final = Struct("<QIIII")
_START: Final = Struct("<IQQQ")
_END: Final = Struct("<IQQ")
_COUNT: Final = Struct("<I")
_SUMMARY: Final = Struct("<IQQQQQQ")
_FOOTER: Final = Struct("<QQQ")
_COMPRESSED: Final = 1
_ZLIB_LEVEL: Final = 1


@unique
class FrameKind(IntEnum):
    """What a frame's payload is; never renumber."""

    HEADER = 1
    SECTION_START = 2
    ROWS = 3
    SECTION_END = 4
    FOOTER = 5


@dataclass(frozen=True, slots=True)
class Header:
    """Where the data come from."""

    cluster_id: str
    written_by: str
    """The version of kvstore."""
    taken_ms: int
    """When the backup began: milliseconds since 1970, on the clock of who took it."""
    partitions: int
    replication_factor: int
    key_bytes_max: int
    value_bytes_max: int


@dataclass(frozen=True, slots=True)
class SectionSummary:
    """One partition's part of the file."""

    offset: int
    """Of its start frame."""
    start: SectionStart
    end: SectionEnd


@dataclass(frozen=True, slots=True)
class Footer:
    """What the whole file is; nothing follows it."""

    sections: tuple[SectionSummary, ...]
    """In order of partition."""
    records: int
    bytes_before: int
    """The bytes of the file before the footer's frame."""
    file_hash: int
    """XXH3 (64 bits) of these bytes."""


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """The first FRAME_HEADER_BYTES of a frame."""

    payload_bytes: int
    kind: int
    flags: int
    reserved: int
    checksum: int


# Prologue and frames


def encode_prologue() -> bytes:
    """The first bytes of a file."""
    start = _PROLOGUE.pack(MAGIC, FORMAT_VERSION, 0)[:-4]
    return start + int(google_crc32c.value(start)).to_bytes(4, "little")


def decode_prologue(data: bytes) -> int | None:
    """The format version of the file that begins with `data`; None: it is no backup.

    Raises CodecError when it begins as a backup does, and is damaged.
    """
    if data[: len(MAGIC)] != MAGIC:
        return None
    if len(data) != PROLOGUE_BYTES:
        raise CodecError("the prologue is cut short")
    _magic, version, checksum = _PROLOGUE.unpack(data)
    if google_crc32c.value(data[:-4]) != checksum:
        raise CodecError("the prologue does not match its checksum")
    return int(version)


def encode_frame(kind: FrameKind, payload: bytes, *, compress: bool = False) -> bytes:
    """A whole frame; compressed only where that makes it smaller."""
    flags = 0
    if compress:
        smaller = zlib.compress(payload, _ZLIB_LEVEL)
        if len(smaller) < len(payload):
            payload, flags = smaller, _COMPRESSED
    start = _FRAME_START.pack(len(payload), kind, flags, 0)
    return b"".join((start, _frame_checksum(start, payload).to_bytes(4, "little"), payload))


def decode_frame_header(data: bytes) -> FrameHeader:
    """The header of a frame; raises CodecError when no frame of this format begins so."""
    if len(data) != FRAME_HEADER_BYTES:
        raise CodecError("a frame's header is cut short")
    header = FrameHeader(*_FRAME.unpack(data))
    if header.payload_bytes > PAYLOAD_BYTES_MAX:
        raise CodecError(f"a frame claims {header.payload_bytes} bytes; no frame has so many")
    return header


def decode_payload(header: FrameHeader, stored: bytes) -> bytes:
    """The payload of a frame with `header`; raises CodecError unless it is what was written."""
    start = _FRAME_START.pack(header.payload_bytes, header.kind, header.flags, header.reserved)
    if len(stored) != header.payload_bytes or _frame_checksum(start, stored) != header.checksum:
        raise CodecError("a frame does not match its checksum")
    if header.flags & ~_COMPRESSED or header.reserved:
        raise CodecError("a frame has flags that this format does not know")
    return _inflate(stored) if header.flags else stored


def _frame_checksum(start: bytes, payload: bytes) -> int:
    return int(google_crc32c.extend(google_crc32c.value(start), payload))


def _inflate(stored: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(stored, PAYLOAD_BYTES_MAX + 1)
    except zlib.error as problem:
        raise CodecError(f"a frame cannot be unpacked: {problem}") from problem
    if len(payload) > PAYLOAD_BYTES_MAX or not inflater.eof or inflater.unused_data:
        raise CodecError("a frame unpacks to more, or to less, than a frame has")
    return payload


# Payloads


def encode_header(header: Header) -> bytes:
    """The payload of the header frame."""
    return _HEADER.pack(
        header.taken_ms,
        header.partitions,
        header.replication_factor,
        header.key_bytes_max,
        header.value_bytes_max,
    ) + encode_list([header.cluster_id.encode(), header.written_by.encode()])


def decode_header(data: bytes) -> Header:
    """The header in `data`."""
    try:
        taken_ms, partitions, factor, key_max, value_max = _HEADER.unpack_from(data)
        names, position = decode_list(data, _HEADER.size)
        if position != len(data):
            raise CodecError("the header is followed by more bytes")
        cluster_id, written_by = (name.decode() for name in names)
    except (error, ValueError) as problem:
        raise CodecError(f"the header does not follow its format: {problem}") from problem
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise CodecError(f"the header names {partitions} partitions")
    return Header(cluster_id, written_by, taken_ms, partitions, factor, key_max, value_max)


def encode_start(start: SectionStart) -> bytes:
    """The payload of the frame that begins a section."""
    return _START.pack(start.partition, start.applied_index, start.term, start.revision)


def decode_start(data: bytes) -> SectionStart:
    """The beginning of a section in `data`."""
    partition, index, term, revision = _unpack(_START, data, "a section's beginning")
    return SectionStart(PartitionId(partition), Index(index), Term(term), revision)


def encode_end(end: SectionEnd) -> bytes:
    """The payload of the frame that ends a section."""
    return _END.pack(end.partition, end.records, end.rows_hash)


def decode_end(data: bytes) -> SectionEnd:
    """The end of a section in `data`."""
    partition, records, rows_hash = _unpack(_END, data, "a section's end")
    return SectionEnd(PartitionId(partition), records, rows_hash)


def encode_footer(footer: Footer) -> bytes:
    """The payload of the footer frame."""
    return b"".join(
        (
            _COUNT.pack(len(footer.sections)),
            *(_encode_summary(section) for section in footer.sections),
            _FOOTER.pack(footer.records, footer.bytes_before, footer.file_hash),
        )
    )


def decode_footer(data: bytes) -> Footer:
    """The footer in `data`."""
    if len(data) < _COUNT.size + _FOOTER.size:
        raise CodecError("the footer is cut short")
    (count,) = _COUNT.unpack_from(data)
    if len(data) != _COUNT.size + count * _SUMMARY.size + _FOOTER.size:
        raise CodecError(f"a footer of {count} sections does not take {len(data)} bytes")
    table = data[_COUNT.size : -_FOOTER.size]
    sections = tuple(_decode_summary(fields) for fields in _SUMMARY.iter_unpack(table))
    return Footer(sections, *_FOOTER.unpack_from(data, len(data) - _FOOTER.size))


def _encode_summary(section: SectionSummary) -> bytes:
    start, end = section.start, section.end
    return _SUMMARY.pack(
        start.partition,
        section.offset,
        start.applied_index,
        start.term,
        start.revision,
        end.records,
        end.rows_hash,
    )


def _decode_summary(fields: Sequence[int]) -> SectionSummary:
    number, offset, index, term, revision, records, rows_hash = fields
    partition = PartitionId(number)
    return SectionSummary(
        offset,
        SectionStart(partition, Index(index), Term(term), revision),
        SectionEnd(partition, records, rows_hash),
    )


def _unpack(struct: Struct, data: bytes, what: str) -> tuple[int, ...]:
    if len(data) != struct.size:
        raise CodecError(f"{what} takes {struct.size} bytes, not {len(data)}")
    return struct.unpack(data)
