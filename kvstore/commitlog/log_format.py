"""The bytes of the commit log: segment headers and frames (docs/format-commit-log.md). Pure.

All numbers are little-endian; all checksums are CRC-32C (Castagnoli).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

import google_crc32c

from kvstore.errors import ConfigurationError, CorruptionError

MAGIC: Final = b"kvstolog"
FORMAT_VERSION: Final = 1
ALIGNMENT: Final = 8
UNSYNCED_MAX: Final = 0xFFFF
GROUP_MAX: Final = 0xFFFFFFFF
KIND_MAX: Final = 0xFF
PAYLOAD_BYTES_CEILING: Final = 1 << 30
"""Above any payload limit: what a segment header may claim at most."""

_RECYCLED: Final = 1
"""Flag of a segment header."""
_SEAL: Final = 1
"""Flag of a frame."""

_SEGMENT_HEADER: Final = Struct("<8sIIQQQQII")
SEGMENT_HEADER_BYTES: Final = _SEGMENT_HEADER.size

# What a frame header's checksum covers: the frame's offset, which is not stored, and all that
# follows the checksum.
_FRAME_COVERED: Final = Struct("<QIIIQBBHI")
_FRAME_STORED: Final = Struct("<IIIIQBBHI")
_U32: Final = Struct("<I")
_U64: Final = Struct("<Q")
_SEED: Final = Struct("<QQ")
FRAME_HEADER_BYTES: Final = _FRAME_STORED.size
FRAME_BATCH_OFFSET: Final = 16
"""Where the batch number stands in a frame header."""
_PADDING: Final = tuple(bytes(count) for count in range(ALIGNMENT))

crc32c: Final[Callable[[bytes], int]] = google_crc32c.value
_crc32c_extend: Final[Callable[[int, bytes], int]] = google_crc32c.extend
_EMPTY_CRC: Final = crc32c(b"")


@dataclass(init=False, slots=True, unsafe_hash=True)  # as in cluster.raft.messages
class Record:
    """What the log keeps: opaque bytes of one group."""

    group: int
    """0 to 2^32 - 1."""
    kind: int
    """0 to 255."""
    payload: bytes

    def __init__(self, group: int, kind: int, payload: bytes) -> None:
        self.group = group
        self.kind = kind
        self.payload = payload


@dataclass(init=False, slots=True, unsafe_hash=True)  # as in cluster.raft.messages
class Position:
    """Where a record stands."""

    segment: int
    offset: int
    """Of its frame, in bytes from the start of the segment's file."""
    length: int
    """Of its payload, in bytes."""

    def __init__(self, segment: int, offset: int, length: int) -> None:
        self.segment = segment
        self.offset = offset
        self.length = length


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first bytes of a segment."""

    segment: int
    oldest_segment: int
    """The oldest segment that was part of the log when this one was made; from there on, none may
    be missing."""
    first_batch: int
    """The number of its first batch: one more than the last of the segment before."""
    salt: int
    payload_bytes_max: int
    """The limit in force when the segment was made: a larger length in it is damage."""
    is_recycled: bool = False
    """Whether its file was another segment before: its last batch may be followed by old bytes."""

    @property
    def seed(self) -> int:
        """Where the checksums of this segment's frame headers begin."""
        return crc32c(_SEED.pack(self.segment, self.salt))


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What stands before a record's payload."""

    payload_crc: int
    length: int
    """Of the payload, in bytes."""
    group: int
    batch: int
    kind: int
    unsynced: int
    """How many batches right before this one were not known to be on stable storage when it was
    written; all others before it were."""
    remaining: int
    """Frames of the same batch that follow; 0 on its last."""
    is_seal: bool = False
    """It holds no record, but says that the log goes on in the next segment, with this batch."""

    @property
    def synced_batch(self) -> int:
        """The last batch that was on stable storage when this frame was written."""
        return self.batch - 1 - self.unsynced


def encode_segment_header(header: SegmentHeader) -> bytes:
    """`header` as bytes."""

    def pack(crc: int) -> bytes:
        return _SEGMENT_HEADER.pack(
            MAGIC,
            crc,
            FORMAT_VERSION,
            header.segment,
            header.oldest_segment,
            header.first_batch,
            header.salt,
            header.payload_bytes_max,
            _RECYCLED if header.is_recycled else 0,
        )

    return pack(crc32c(pack(0)))


def decode_segment_header(data: bytes, path: str, segment: int) -> SegmentHeader:
    """The header at the start of `data`, read from the file of `segment` at `path`.

    Raises CorruptionError where it is not what was written, and ConfigurationError where it was
    written by a newer release. The place of magic, checksum and version and the header's size hold
    for all formats: damage is told from a newer format.
    """
    if len(data) < SEGMENT_HEADER_BYTES:
        raise CorruptionError(
            f"{path}: only {len(data)} bytes: at byte 0 a segment's header is cut short"
        )
    data = data[:SEGMENT_HEADER_BYTES]
    magic, crc, version, stored_segment, oldest, first_batch, salt, payload_bytes_max, flags = (
        _SEGMENT_HEADER.unpack(data)
    )
    if magic != MAGIC:
        raise CorruptionError(f"{path}: not a commit log segment: byte 0 does not begin {MAGIC!r}")
    if crc32c(data[:8] + bytes(4) + data[12:]) != crc:
        raise CorruptionError(f"{path}: the segment header at byte 0 is damaged")
    if version != FORMAT_VERSION:
        raise ConfigurationError(
            f"{path} has commit log format {version}, and this release knows only"
            f" {FORMAT_VERSION}: start the release that wrote it, or a newer one"
        )
    if stored_segment != segment:
        raise CorruptionError(
            f"{path}: the header at byte 0 is of segment {stored_segment}: the file was renamed"
        )
    if not (1 <= oldest <= segment and payload_bytes_max <= PAYLOAD_BYTES_CEILING):
        raise CorruptionError(f"{path}: the segment header at byte 0 makes no sense")
    # Flags that are not known here change nothing: else the format would be a newer one.
    is_recycled = bool(flags & _RECYCLED)
    return SegmentHeader(segment, oldest, first_batch, salt, payload_bytes_max, is_recycled)


def frame_bytes(length: int) -> int:
    """What a record with a payload of `length` bytes takes in the log."""
    return FRAME_HEADER_BYTES + length + (-length % ALIGNMENT)


def encode_batch(
    header: SegmentHeader, offset: int, batch: int, unsynced: int, records: Sequence[Record]
) -> tuple[list[bytes], list[Position], int]:
    """The bytes of `records` as one batch at `offset`, where each stands, and where it ends."""
    seed = header.seed
    segment = header.segment
    parts: list[bytes] = []
    positions: list[Position] = []
    remaining = len(records)
    for record in records:
        remaining -= 1
        payload = record.payload
        length = len(payload)
        covered = _FRAME_COVERED.pack(
            offset,
            crc32c(payload),
            length,
            record.group,
            batch,
            record.kind,
            0,
            unsynced,
            remaining,
        )
        parts += (
            _U32.pack(_crc32c_extend(seed, covered)) + covered[8:],
            payload,
            _PADDING[-length % ALIGNMENT],
        )
        positions.append(Position(segment, offset, length))
        offset += frame_bytes(length)
    return parts, positions, offset


def encode_seal(header: SegmentHeader, offset: int, next_batch: int) -> bytes:
    """The frame at `offset` that ends a segment: the next one begins with batch `next_batch`."""
    covered = _FRAME_COVERED.pack(offset, _EMPTY_CRC, 0, 0, next_batch, 0, _SEAL, 0, 0)
    return _U32.pack(_crc32c_extend(header.seed, covered)) + covered[8:]


def decode_frame_header(seed: int, data: bytes, at: int, offset: int) -> FrameHeader | None:
    """The frame header at `data[at:]`, which stands at `offset` of its file.

    None unless its checksum is right; it then was written there, by this log.
    """
    if len(data) < at + FRAME_HEADER_BYTES:
        return None
    crc, payload_crc, length, group, batch, kind, flags, unsynced, remaining = (
        _FRAME_STORED.unpack_from(data, at)
    )
    covered = _U64.pack(offset) + data[at + 4 : at + FRAME_HEADER_BYTES]
    # A batch has a number: zeros never are a frame, whatever their checksum.
    if batch == 0 or _crc32c_extend(seed, covered) != crc:
        return None
    is_seal = bool(flags & _SEAL)
    return FrameHeader(payload_crc, length, group, batch, kind, unsynced, remaining, is_seal)


def decode_payload(header: SegmentHeader, data: bytes, position: Position) -> bytes | None:
    """The payload in `data`, which are the bytes at `position`; None unless all of it is right."""
    frame = decode_frame_header(header.seed, data, 0, position.offset)
    payload = data[FRAME_HEADER_BYTES:]
    if frame is None or frame.is_seal or not frame.length == position.length == len(payload):
        return None
    return payload if crc32c(payload) == frame.payload_crc else None
