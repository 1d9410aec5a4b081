"""Reads a whole log at start: which segments there are, their records in order, where it ends."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from itertools import pairwise

from kvstore.commitlog.file_names import segment_name, segment_of_name
from kvstore.commitlog.log_format import (
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    decode_segment_header,
)
from kvstore.commitlog.log_reader import SegmentReader, Tail, Visit, Walk
from kvstore.commitlog.sync_mark import MARK_NAME
from kvstore.environment import FileSystem
from kvstore.errors import CorruptionError


@dataclass(frozen=True, slots=True)
class Cut:
    """A torn tail that was left behind: an unfinished last write, never acknowledged."""

    file: str
    offset: int
    """Where the log ends in `file`."""
    bytes_cut: int
    """From there to the last byte that was written, as far as that can be told (Tail)."""


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
    sizes: dict[int, int]
    """Of their files, in bytes."""
    last: Walk
    """Of the last segment."""
    tail: Tail
    """Of the last segment."""
    report: RecoveryReport


def recover(files: FileSystem, folder: str, visit: Visit, synced: int = 0) -> Recovered | None:
    """Hands all records in `folder` to `visit`, in the order of writing; None: there is no log.

    All batches up to `synced` are known to have been on stable storage (sync_mark). Changes nothing
    on disk. Raises CorruptionError where a record that had reached stable storage
    cannot be read; `visit` may have been called by then.
    """
    headers = _headers(files, folder)
    if not headers:
        return None
    order = list(headers.values())
    records = 0
    sizes: dict[int, int] = {}
    for header, successor in pairwise(order):
        path = posixpath.join(folder, segment_name(header.segment))
        walk, sizes[header.segment] = _read_inner(files, path, header, successor, visit)
        records += walk.records
    last = order[-1]
    path = posixpath.join(folder, segment_name(last.segment))
    walk, tail, sizes[last.segment] = _read_last(files, folder, last, visit, synced)
    cut = Cut(path, walk.end, tail.bytes_torn) if tail.bytes_torn else None
    report = RecoveryReport(len(order), records + walk.records, cut)
    return Recovered(headers, sizes, walk, tail, report)


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
            raise missing_segment(folder, segment, last.segment)
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


def _read_inner(
    files: FileSystem, path: str, header: SegmentHeader, successor: SegmentHeader, visit: Visit
) -> tuple[Walk, int]:
    """Reads a segment that has a next one, which says how far it must go; with its size.

    A next segment is made only after all before it is on stable storage, so nothing is ever torn
    before it. Whatever stands after the last batch of such a segment is not part of the log.
    """
    file = files.open(path)
    try:
        walk = SegmentReader(file, header).walk(visit, successor.first_batch)
        if walk.next_batch != successor.first_batch:
            raise CorruptionError(
                f"{path}: damage at byte {walk.stopped}: batch {walk.next_batch} cannot be read,"
                f" but the next segment goes on with batch {successor.first_batch}"
            )
        return walk, file.size()
    finally:
        file.close()


def _read_last(
    files: FileSystem, folder: str, header: SegmentHeader, visit: Visit, synced: int
) -> tuple[Walk, Tail, int]:
    """Reads the last segment, and says what its end means."""
    path = posixpath.join(folder, segment_name(header.segment))
    file = files.open(path)
    try:
        reader = SegmentReader(file, header)
        walk = reader.walk(visit, None)
        if walk.is_sealed:
            raise missing_segment(folder, header.segment + 1, header.segment)
        tail = reader.tail(walk)
        if tail.proof is not None:
            raise CorruptionError(
                f"{path}: damage at byte {walk.stopped}: batch {walk.next_batch} cannot be"
                f" read, but byte {tail.proof} shows that it had been on stable storage"
            )
        if walk.next_batch <= synced:
            raise CorruptionError(f"{path}: {lost_batches(walk, synced)}")
        return walk, tail, file.size()
    finally:
        file.close()


def lost_batches(walk: Walk, synced: int) -> str:
    """What to say of a log that ends at `walk`, though all up to `synced` had been synced."""
    return (
        f"damage at byte {walk.stopped}: batch {walk.next_batch} cannot be read, but the log had"
        f" been on stable storage up to batch {synced}, as the file {MARK_NAME} shows"
    )


def missing_segment(folder: str, segment: int, witness: int) -> CorruptionError:
    """The error for a file that is not there, though segment `witness` says that it was."""
    path = posixpath.join(folder, segment_name(segment))
    return CorruptionError(
        f"{path}: the file is missing from byte 0 on, though segment {witness} says that it is"
        " part of the log"
    )
