"""Reads a whole log at start: which segments there are, their records in order, where it ends."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from kvstore.commitlog.log_format import (
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    decode_segment_header,
    segment_name,
    segment_of_name,
)
from kvstore.commitlog.log_reader import SegmentReader, Tail, Visit, Walk
from kvstore.environment import FileSystem
from kvstore.errors import CorruptionError


@dataclass(frozen=True, slots=True)
class Cut:
    """A torn tail that was left behind: an unfinished last write, never acknowledged."""

    file: str
    offset: int
    """Where the log ends in `file`."""
    bytes_cut: int
    """From there to the last byte that was written."""


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What a start found."""

    segments: int
    records: int
    """Handed to the visitor, those of checkpoints included."""
    cut: Cut | None


@dataclass(frozen=True, slots=True)
class Recovered:
    """A log that was read."""

    headers: dict[int, SegmentHeader]
    """Of all its segments, oldest first; at least one."""
    last: Walk
    """Of the last segment."""
    bytes_on_disk: int
    report: RecoveryReport


def recover(files: FileSystem, folder: str, visit: Visit) -> Recovered | None:
    """Hands all records in `folder` to `visit`, in the order of writing; None: there is no log.

    Changes nothing on disk. Raises CorruptionError where a record that had reached stable storage
    cannot be read; `visit` may have been called by then.
    """
    headers = _headers(files, folder)
    if not headers:
        return None
    order = list(headers.values())
    records = 0
    bytes_on_disk = 0
    for header, successor in zip(order, [*order[1:], None], strict=True):
        path = posixpath.join(folder, segment_name(header.segment))
        walk, tail, size = _read(files, path, header, successor, visit)
        records += walk.records
        bytes_on_disk += size
    cut = Cut(path, walk.end, tail.bytes_used) if tail is not None and tail.bytes_used else None
    return Recovered(headers, walk, bytes_on_disk, RecoveryReport(len(order), records, cut))


def _headers(files: FileSystem, folder: str) -> dict[int, SegmentHeader]:
    """The headers of the segments that make up the log, in order."""
    names = {name: segment_of_name(name) for name in files.list(folder)}
    found = sorted(segment for segment in names.values() if segment is not None)
    if not found:
        return {}
    last = _header(files, folder, found[-1])
    headers: dict[int, SegmentHeader] = {}
    present = set(found)
    for segment in range(last.oldest_segment, last.segment):
        if segment not in present:
            path = posixpath.join(folder, segment_name(segment))
            raise CorruptionError(
                f"{path}: the file is missing from byte 0 on, though the log goes on in segment"
                f" {last.segment}"
            )
        headers[segment] = _header(files, folder, segment)
    headers[last.segment] = last
    return headers


def _header(files: FileSystem, folder: str, segment: int) -> SegmentHeader:
    path = posixpath.join(folder, segment_name(segment))
    file = files.open(path)
    try:
        return decode_segment_header(file.pread(SEGMENT_HEADER_BYTES, 0), path, segment)
    finally:
        file.close()


def _read(
    files: FileSystem,
    path: str,
    header: SegmentHeader,
    successor: SegmentHeader | None,
    visit: Visit,
) -> tuple[Walk, Tail | None, int]:
    """Reads one segment; the next one, where there is one, says how far this one must go.

    A next segment is made only after all before it is on stable storage, so nothing is ever torn
    before it. Whatever stands after the last batch of such a segment is not part of the log.
    """
    file = files.open(path)
    try:
        reader = SegmentReader(file, header)
        walk = reader.walk(visit, None if successor is None else successor.first_batch)
        if successor is None:
            tail = reader.tail(walk)
            if tail.proof is not None:
                raise CorruptionError(
                    f"{path}: damage at byte {walk.stopped}: batch {walk.next_batch} cannot be"
                    f" read, but byte {tail.proof} shows that it had been on stable storage"
                )
            return walk, tail, file.size()
        if walk.next_batch != successor.first_batch:
            raise CorruptionError(
                f"{path}: damage at byte {walk.stopped}: batch {walk.next_batch} cannot be read,"
                f" but the next segment goes on with batch {successor.first_batch}"
            )
        return walk, None, file.size()
    finally:
        file.close()
