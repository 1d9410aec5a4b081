"""Writes one segment: makes it, and appends batches to it.

A segment is made under another name and gets its own once its header and checkpoint are on stable
storage. So a segment under its name always began complete: damage there is never a torn write.
"""

from __future__ import annotations

import contextlib
import errno
import posixpath
from collections.abc import Sequence
from typing import Final

from kvstore.commitlog.log_format import (
    ALIGNMENT,
    SEGMENT_HEADER_BYTES,
    Position,
    Record,
    SegmentHeader,
    encode_batch,
    encode_segment_header,
    segment_name,
    unfinished_name,
)
from kvstore.environment import File, FileSystem
from kvstore.errors import ResourceExhausted

_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_JOIN_BYTES_MAX: Final = 1 << 20
"""Up to here, copying is cheaper than handing the system a list of small pieces."""


class SegmentWriter:
    """The segment that is being written. One thread at a time."""

    __slots__ = ("_file", "capacity", "end", "header")

    def __init__(self, file: File, header: SegmentHeader, end: int, capacity: int) -> None:
        self._file = file
        self.header = header
        self.end = end
        """Where the next batch goes."""
        self.capacity = capacity
        """Where the segment is full; what is appended beyond belongs in the next one."""

    def append(self, records: Sequence[Record], batch: int, unsynced: int) -> list[Position]:
        """Writes `records` as batch number `batch`; the caller has seen to it that they fit."""
        parts, positions, end = encode_batch(self.header, self.end, batch, unsynced, records)
        if end - self.end <= _JOIN_BYTES_MAX:
            parts = [b"".join(parts)]
        self._file.pwritev(parts, self.end)
        self.end = end
        return positions

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

    def cut(self) -> None:
        """Ends the segment at its last batch and gives the space behind it back."""
        self._file.truncate(self.end)
        self.capacity = self.end

    def close(self) -> None:
        """Lets go of the file, without a sync."""
        self._file.close()


def make_segment(
    files: FileSystem,
    folder: str,
    header: SegmentHeader,
    capacity: int,
    checkpoint: Sequence[Record],
) -> SegmentWriter:
    """Makes a segment of at least `capacity` bytes; `checkpoint`, unless empty, is its first batch.

    When this returns it is part of the log for good. Raises ResourceExhausted when the disk has no
    room for it: nothing has changed then. After an OSError it may be part of the log, or not.
    """
    unfinished = posixpath.join(folder, unfinished_name(header.segment))
    file: File | None = None
    try:
        if files.exists(unfinished):
            files.remove(unfinished)
        file = files.open(unfinished, create=True)
        writer = _fill(file, header, capacity, checkpoint)
    except OSError as problem:
        _discard(files, unfinished, file)
        if problem.errno not in _DISK_FULL:
            raise
        raise ResourceExhausted(
            f"the disk has no room for a log segment of {capacity} bytes in {folder}"
        ) from problem
    try:
        files.rename(unfinished, posixpath.join(folder, segment_name(header.segment)))
        files.sync_folder(folder)
    except BaseException:
        file.close()
        raise
    return writer


def _fill(
    file: File, header: SegmentHeader, capacity: int, checkpoint: Sequence[Record]
) -> SegmentWriter:
    """Reserves the space, and puts header and checkpoint on stable storage."""
    capacity += -capacity % ALIGNMENT
    file.allocate(capacity)
    parts, _positions, end = encode_batch(
        header, SEGMENT_HEADER_BYTES, header.first_batch, 0, checkpoint
    )
    file.pwritev((encode_segment_header(header), *parts), 0)
    file.sync()
    return SegmentWriter(file, header, end, capacity)


def _discard(files: FileSystem, unfinished: str, file: File | None) -> None:
    """Removes it as far as that goes; what stays is removed at the next try."""
    with contextlib.suppress(OSError):
        if file is not None:
            file.close()
        files.remove(unfinished)
