"""Writes one segment: makes it, and appends batches to it.

A segment is made in a spare file and gets its name once its header and checkpoint are on stable
storage. So a segment under its name always began complete: damage there is never a torn write.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kvstore.commitlog.file_names import segment_name
from kvstore.commitlog.log_format import (
    ALIGNMENT,
    FRAME_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    Position,
    Record,
    SegmentHeader,
    encode_batch,
    encode_seal,
    encode_segment_header,
    frame_bytes,
)
from kvstore.environment import DISK_FULL, File, FileSystem
from kvstore.errors import ResourceExhausted

"""What the system says where there is no room. Of a write it is no damage; of a sync it is: what
had been taken in is lost, and a second one would say nothing of it."""

_JOIN_BYTES_MAX: Final = 1 << 20
"""Up to here, copying is cheaper than handing the system a list of small pieces."""
_SEAL_BYTES: Final = FRAME_HEADER_BYTES


@dataclass(frozen=True, slots=True)
class Spare:
    """A file that is no segment yet, or no more."""

    path: str
    size: int
    """In bytes, all of them reserved."""
    is_blank: bool
    """Whether it holds nothing but zeros."""


class SegmentWriter:
    """The segment that is being written. One thread at a time."""

    __slots__ = ("_file", "_size", "capacity", "end", "header")

    def __init__(self, file: File, header: SegmentHeader, end: int, size: int) -> None:
        self._file = file
        self._size = size
        self.header = header
        self.end = end
        """Where the next batch goes."""
        self.capacity = max(end, size - _SEAL_BYTES)
        """Where the segment is full; what is appended beyond belongs in the next one."""

    def append(self, records: Sequence[Record], batch: int, unsynced: int) -> list[Position]:
        """Writes `records` as batch number `batch`; the caller has seen to it that they fit.

        Raises ResourceExhausted where the disk has no room all the same, as on file systems that
        reserve nothing: what got through of the batch is not part of the log, and the segment ends
        before it. A part of the batch that were left could be taken for one of a batch that is
        written in its place, so nothing ever is: what comes next begins a new segment, as after a
        cut (docs/format-commit-log.md).
        """
        parts, positions, end = encode_batch(self.header, self.end, batch, unsynced, records)
        if end - self.end <= _JOIN_BYTES_MAX:
            parts = [b"".join(parts)]
        try:
            self._file.pwritev(parts, self.end)
        except OSError as problem:
            if problem.errno not in DISK_FULL:
                raise
            self.cut()
            raise ResourceExhausted(
                f"the disk has no room for {end - self.end} bytes in segment {self.header.segment}"
                " of the commit log"
            ) from problem
        self.end = end
        return positions

    @property
    def size(self) -> int:
        """Of its file, in bytes."""
        return self._size

    def sync(self) -> None:
        """Returns when everything appended is on stable storage."""
        self._file.sync()

    def rewrite(self, start: int) -> None:
        """Writes the bytes from `start` to the end once more, as they are read, and syncs.

        For what recovery found but no later batch proves to be on stable storage: after a failed
        sync the system may answer reads from memory and hold for clean what the disk never got.
        """
        step = 1 << 20
        for offset in range(start, self.end, step):
            data = self._file.pread(min(step, self.end - offset), offset)
            self._file.pwritev((data,), offset)
        self._file.sync()

    def cut(self) -> int:
        """Ends the segment at its last batch, and gives the space behind it back.

        Returns the file's size: room for a seal stays, as zeros.
        """
        self._file.truncate(self.end)
        self._size = min(self._size, self.end + _SEAL_BYTES)
        self._file.truncate(self._size)
        self.capacity = self.end
        return self._size

    def seal(self, next_batch: int) -> None:
        """Says that the log goes on in the next segment, which is on stable storage, so that it is
        missed when its file is not there. Not synced: what is lost is only that."""
        if self.end + _SEAL_BYTES <= self._size:
            self._file.pwritev((encode_seal(self.header, self.end, next_batch),), self.end)

    def close(self) -> None:
        """Lets go of the file, without a sync."""
        self._file.close()


def segment_capacity(checkpoint: Sequence[Record], batch_bytes: int) -> int:
    """The size in bytes of a segment that holds `checkpoint` and a batch of `batch_bytes`."""
    size = sum([frame_bytes(len(record.payload)) for record in checkpoint])
    size += SEGMENT_HEADER_BYTES + batch_bytes + _SEAL_BYTES
    return size + -size % ALIGNMENT


def make_spare(files: FileSystem, path: str, size: int) -> Spare:
    """Reserves `size` bytes in a new file. Raises OSError; there may be a file then."""
    if files.exists(path):
        files.remove(path)
    file = files.open(path, create=True)
    try:
        file.allocate(size)
        # Else the sync of the first batch would wait until the system has noted down the space.
        file.sync()
    finally:
        file.close()
    return Spare(path, size, is_blank=True)


def fill_spare(
    files: FileSystem, spare: Spare, header: SegmentHeader, checkpoint: Sequence[Record]
) -> SegmentWriter:
    """Puts header and checkpoint in `spare`, on stable storage. Raises OSError."""
    first = header.first_batch
    parts, _positions, end = encode_batch(header, SEGMENT_HEADER_BYTES, first, 0, checkpoint)
    file = files.open(spare.path)
    try:
        file.pwritev((encode_segment_header(header), *parts), 0)
        file.sync()
    except BaseException:
        file.close()
        raise
    return SegmentWriter(file, header, end, spare.size)


def name_segment(files: FileSystem, folder: str, spare: Spare, segment: int) -> None:
    """Makes the filled `spare` a part of the log, for good when this returns. Raises OSError; it
    may be a part of the log then, or not."""
    files.rename(spare.path, posixpath.join(folder, segment_name(segment)))
    files.sync_folder(folder)
