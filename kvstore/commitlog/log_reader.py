"""Reads segments back: a walk over the frames of one, and what to make of the place where it ends.

The rule (docs/format-commit-log.md): a batch is whole or is not there. Where batch b cannot be
read, the log ends before it if nothing shows that b had reached stable storage; what follows is a
torn tail. A later frame that says so makes it corruption, and nothing is cut.

In the file of a segment that was another one before, old bytes follow. Nothing in them is taken for
a part of the log: their frames have other checksums and, whatever those are, lower batch numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from kvstore.commitlog.log_format import (
    FRAME_BATCH_OFFSET,
    FRAME_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    FrameHeader,
    Position,
    Record,
    SegmentHeader,
    crc32c,
    decode_frame_header,
    frame_bytes,
)
from kvstore.environment import File

Visit = Callable[[Record, Position], None]

_U64: Final = Struct("<Q")
_CHUNK_BYTES: Final = 1 << 20
_ZEROS: Final = bytes(_CHUNK_BYTES + FRAME_HEADER_BYTES)


@dataclass(frozen=True, slots=True)
class Walk:
    """How far the whole batches of a segment go."""

    end: int
    """The offset after the last whole batch."""
    stopped: int
    """The offset of the frame that could not be read; `end` or beyond, in an unfinished batch."""
    next_batch: int
    """The number of the batch that was expected at `end`."""
    records: int
    unproven: int
    """Offset of the first batch of which no later one says that it reached stable storage."""
    is_sealed: bool
    """Whether a seal stands at `end`: the log goes on in the next segment."""


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands after the last whole batch."""

    proof: int | None
    """Offset of a frame which says that the batch missing here had reached stable storage."""
    bytes_torn: int
    """From the end of the last whole batch to the end of what was written after it; 0: nothing was.
    In a recycled segment only whole frame headers tell what was written from what was there."""
    is_blank: bool
    """Whether only zeros follow, so that the next batch may be written there."""


class SegmentReader:
    """Reads one segment from its beginning, in large pieces."""

    __slots__ = ("_base", "_buffer", "_file", "_header", "_seed", "_size")

    def __init__(self, file: File, header: SegmentHeader) -> None:
        self._file = file
        self._header = header
        self._seed = header.seed
        self._size = file.size()
        self._buffer = b""
        self._base = 0

    def walk(self, visit: Visit, until: int | None) -> Walk:
        """Hands the records of whole batches to `visit`, in order.

        Ends before batch number `until`, where the next segment goes on, or, if that is None,
        where there is no whole batch any more.
        """
        expected = self._header.first_batch
        offset = end = SEGMENT_HEADER_BYTES
        count = 0
        held: list[tuple[Record, Position]] = []
        remaining: int | None = None
        unproven: deque[tuple[int, int]] = deque()
        is_sealed = False
        while until is None or expected < until:
            frame = self._frame(offset, expected, remaining)
            if frame is None:
                break
            header, payload = frame
            if header.is_seal:
                is_sealed = True
                break
            position = Position(self._header.segment, offset, header.length)
            held.append((Record(header.group, header.kind, payload), position))
            offset += frame_bytes(header.length)
            remaining = header.remaining
            if remaining:
                continue
            for record, where in held:
                visit(record, where)
            while unproven and unproven[0][0] <= header.synced_batch:
                unproven.popleft()
            unproven.append((expected, end))
            count += len(held)
            held.clear()
            remaining = None
            expected += 1
            end = offset
        first_unproven = unproven[0][1] if unproven else end
        return Walk(end, offset, expected, count, first_unproven, is_sealed)

    def tail(self, walk: Walk) -> Tail:
        """Looks at everything after the last whole batch.

        A frame can begin at any multiple of 8: what lies between is damaged, lengths included.
        """
        missing = walk.next_batch
        last_used = last_framed = walk.end
        for base in range(walk.end, self._size, _CHUNK_BYTES):
            chunk = self._file.pread(_CHUNK_BYTES + FRAME_HEADER_BYTES, base)
            if chunk == _ZEROS[: len(chunk)]:
                continue
            last_used = base + len(chunk.rstrip(b"\0"))
            for offset, header in self._frames_from(chunk, base, walk):
                last_framed = max(last_framed, offset + FRAME_HEADER_BYTES + header.length)
                if header.synced_batch >= missing:
                    return Tail(offset, last_used - walk.end, is_blank=False)
        if self._header.is_recycled:
            # A frame may have been begun, and the file may end in the padding of the last batch.
            last_written = max(min(last_framed, self._size), walk.end)
        else:
            last_written = last_used
        return Tail(None, last_written - walk.end, is_blank=last_used == walk.end)

    def _frames_from(
        self, chunk: bytes, base: int, walk: Walk
    ) -> Iterator[tuple[int, FrameHeader]]:
        """The frame headers in `chunk`, read at `base`, of the batch that is missing or later ones.

        Their numbers stand in a narrow range (a batch takes at least a frame header), which is
        looked for first: that decides all but a handful of places.
        """
        missing = walk.next_batch
        highest = missing + (self._size - walk.end) // FRAME_HEADER_BYTES
        for place in words_between(chunk, missing, highest):
            at = place - FRAME_BATCH_OFFSET
            header = decode_frame_header(self._seed, chunk, at, base + at) if at >= 0 else None
            if header is not None:
                yield base + at, header

    def _frame(
        self, offset: int, batch: int, remaining_before: int | None
    ) -> tuple[FrameHeader, bytes] | None:
        """The frame at `offset`, if it is whole and the one that must stand there; or a seal."""
        header = decode_frame_header(self._seed, self._read(offset, FRAME_HEADER_BYTES), 0, offset)
        if header is None or header.batch != batch:
            return None
        if remaining_before is not None and header.remaining != remaining_before - 1:
            return None
        if header.is_seal and (remaining_before is not None or header.remaining or header.length):
            return None
        if header.length > self._header.payload_bytes_max:
            return None
        payload = self._read(offset + FRAME_HEADER_BYTES, header.length)
        if len(payload) != header.length or crc32c(payload) != header.payload_crc:
            return None
        return header, payload

    def _read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file."""
        start = offset - self._base
        if start < 0 or start + length > len(self._buffer):
            if offset >= self._size:
                return b""
            self._buffer = self._file.pread(max(length, _CHUNK_BYTES), offset)
            self._base = offset
            start = 0
        return self._buffer[start : start + length]


def words_between(data: bytes, low: int, high: int) -> Iterator[int]:
    """Where in `data`, at multiples of 8, little-endian u64s from `low` to `high` stand; in order.

    Looks at one byte of all words at a time, by translation and on large integers: a loop over the
    words of a segment would take seconds.
    """
    count = len(data) // 8
    hits = int.from_bytes(b"\1" * count)
    for byte in range(8):
        first, last = low >> 8 * byte, high >> 8 * byte
        if last - first < 255:
            table = bytearray(256)
            for value in range(first, last + 1):
                table[value & 255] = 1
            hits &= int.from_bytes(data[byte : 8 * count : 8].translate(table))
    places = hits.to_bytes(count)
    place = places.find(1)
    while place >= 0:
        if low <= _U64.unpack_from(data, 8 * place)[0] <= high:
            yield 8 * place
        place = places.find(1, place + 1)
