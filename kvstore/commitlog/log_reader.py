"""Reads segments back: a walk over the frames of one, and what to make of the place where it ends.

The rule (docs/format-commit-log.md): a batch is whole or is not there. Where batch b cannot be
read, the log ends before it if nothing shows that b had reached stable storage; what follows is a
torn tail. A later frame that says so makes it corruption, and nothing is cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack
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


@dataclass(frozen=True, slots=True)
class Tail:
    """What stands after the last whole batch."""

    proof: int | None
    """Offset of a frame which says that the batch missing here had reached stable storage."""
    bytes_used: int
    """From the end of the last whole batch to the last byte that is not zero."""


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
        while until is None or expected < until:
            frame = self._frame(offset, expected, remaining)
            if frame is None:
                break
            header, payload = frame
            position = Position(self._header.segment, offset, header.length)
            held.append((Record(header.group, header.kind, payload), position))
            offset += frame_bytes(header.length)
            remaining = header.remaining
            if remaining:
                continue
            for record, position in held:
                visit(record, position)
            while unproven and unproven[0][0] <= header.synced_batch:
                unproven.popleft()
            unproven.append((expected, end))
            count += len(held)
            held.clear()
            remaining = None
            expected += 1
            end = offset
        return Walk(end, offset, expected, count, unproven[0][1] if unproven else end)

    def tail(self, walk: Walk) -> Tail:
        """Looks at everything after the last whole batch.

        A frame can begin at any multiple of 8: what lies between is damaged, lengths included. Its
        batch number stands in a narrow range (a batch takes at least a frame header), which is
        looked for first: that decides all but a handful of places.
        """
        missing = walk.next_batch
        last_used = walk.end
        for base in range(walk.end, self._size, _CHUNK_BYTES):
            chunk = self._file.pread(_CHUNK_BYTES + FRAME_HEADER_BYTES, base)
            if chunk == _ZEROS[: len(chunk)]:
                continue
            last_used = base + len(chunk.rstrip(b"\0"))
            highest = missing + (self._size - walk.end) // FRAME_HEADER_BYTES
            proof = self._proof(chunk, base, missing, highest)
            if proof is not None:
                return Tail(proof, last_used - walk.end)
        return Tail(None, last_used - walk.end)

    def _proof(self, chunk: bytes, base: int, missing: int, highest: int) -> int | None:
        skip = FRAME_BATCH_OFFSET // 8
        words = unpack(f"<{len(chunk) // 8}Q", chunk[: len(chunk) // 8 * 8])
        for index, word in enumerate(words):
            if missing < word <= highest and index >= skip:
                at = 8 * (index - skip)
                header = decode_frame_header(self._seed, chunk, at, base + at)
                if header is not None and header.synced_batch >= missing:
                    return base + at
        return None

    def _frame(
        self, offset: int, batch: int, remaining_before: int | None
    ) -> tuple[FrameHeader, bytes] | None:
        """The frame at `offset`, if it is whole and the one that must stand there."""
        header = decode_frame_header(self._seed, self._read(offset, FRAME_HEADER_BYTES), 0, offset)
        if header is None or header.batch != batch:
            return None
        if remaining_before is not None and header.remaining != remaining_before - 1:
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
