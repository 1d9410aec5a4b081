"""Reads a log as it lies there: all of it that can be read, past any damage. Changes nothing.

For those who look at the files of a stopped node. What a start makes of the same files is decided
in `recovery`: it refuses whatever is called damage here.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from enum import StrEnum, unique

from kvstore.commitlog.file_names import is_spare_name, segment_name, segment_of_name
from kvstore.commitlog.log_format import (
    FRAME_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    Position,
    SegmentHeader,
    decode_payload,
    decode_segment_header,
)
from kvstore.commitlog.log_reader import SegmentReader, Visit
from kvstore.commitlog.recovery import lost_batches
from kvstore.commitlog.segment_files import SegmentFiles
from kvstore.commitlog.sync_mark import read_mark
from kvstore.environment import FileSystem
from kvstore.errors import CorruptionError


@unique
class SegmentState(StrEnum):
    """What was found of a segment."""

    WHOLE = "whole"
    TORN = "torn"
    """Its last write is unfinished: a start cuts that."""
    DAMAGED = "damaged"
    """It can be read up to some batch that had been on stable storage."""
    UNREADABLE = "unreadable"
    """Its header is damaged."""
    MISSING = "missing"
    RELEASED = "released"
    """It is no part of the log any more: a start removes it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a start would not read over."""

    file: str
    byte: int
    problem: str
    is_damage: bool
    """Whether a start refuses it; else it is a torn tail, which a start cuts."""


@dataclass(frozen=True, slots=True)
class SurveyedSegment:
    """One segment; sizes and offsets in bytes."""

    segment: int
    file: str
    state: SegmentState
    size: int = 0
    used: int = 0
    """Up to the end of its last whole batch."""
    first_batch: int | None = None
    last_batch: int | None = None
    """None: it has none that can be read."""
    records: int = 0
    is_recycled: bool = False


@dataclass(slots=True)
class LogSurvey:
    """What there is of a log."""

    segments: list[SurveyedSegment] = field(default_factory=list)
    """In order, with those that are missing or not part of the log any more."""
    spares: int = 0
    bytes_on_disk: int = 0
    findings: list[Finding] = field(default_factory=list)


class LogSurveyor:
    """Surveys the log in one folder, and reads single records of it afterwards."""

    def __init__(self, files: FileSystem, folder: str) -> None:
        self._files = files
        self._folder = folder
        self._readers = SegmentFiles(files, folder, open_max=16)
        self._headers: dict[int, SegmentHeader] = {}
        self._survey = LogSurvey()

    def survey(self, visit: Visit) -> LogSurvey:
        """Hands all records that can be read to `visit`, in the order of writing.

        Raises ConfigurationError for a newer format, and OSError when the disk does not let it
        read.
        """
        survey = self._survey
        names = self._files.list(self._folder) if self._files.exists(self._folder) else []
        sizes = {name: self._size(name) for name in names}
        ours = [name for name in names if is_spare_name(name) or segment_of_name(name) is not None]
        synced = read_mark(self._files, self._folder)
        survey.bytes_on_disk = sum(sizes[name] for name in ours)
        survey.spares = sum(map(is_spare_name, ours))
        present = sorted(n for n in map(segment_of_name, ours) if n is not None)
        problems = {number: self._read_header(number) for number in present}
        newest = max(self._headers, default=0)
        expected = self._headers[newest].oldest_segment if newest else min(present, default=1)
        for number in present:
            size = sizes[segment_name(number)]
            if number < expected:
                self._note(number, SegmentState.RELEASED, size)
                continue
            if number > expected:
                self._miss(expected, number - 1, number)
            expected = number + 1
            if number not in self._headers:
                self._find(number, 0, problems[number], is_damage=True)
                self._note(number, SegmentState.UNREADABLE, size)
            else:
                self._read(number, size, visit, is_last=number == present[-1], synced=synced)
        return survey

    def read(self, position: Position) -> bytes:
        """The payload of the record at `position`, as `visit` had it. Raises CorruptionError."""
        header = self._headers[position.segment]
        length = FRAME_HEADER_BYTES + position.length
        data = self._readers.pread(position.segment, length, position.offset)
        payload = decode_payload(header, data, position)
        if payload is None:
            raise CorruptionError(
                f"{self._readers.path(position.segment)}: damage at byte {position.offset}"
            )
        return payload

    def close(self) -> None:
        """Lets go of all files."""
        self._readers.close()

    def _read(self, number: int, size: int, visit: Visit, *, is_last: bool, synced: int) -> None:
        header = self._headers[number]
        successor = self._headers.get(number + 1)
        file = self._files.open(self._path(number))
        try:
            reader = SegmentReader(file, header)
            walk = reader.walk(visit, None if successor is None else successor.first_batch)
            tail = None if successor is not None or walk.is_sealed else reader.tail(walk)
        finally:
            file.close()
        state = SegmentState.WHOLE
        if successor is not None and walk.next_batch != successor.first_batch:
            state = SegmentState.DAMAGED
            missing = f"batches {walk.next_batch} to {successor.first_batch - 1} cannot be read"
            self._find(number, walk.stopped, f"{missing}, and the log goes on", is_damage=True)
        elif tail is not None and tail.proof is not None:
            state = SegmentState.DAMAGED
            problem = (
                f"batch {walk.next_batch} cannot be read, but byte {tail.proof} shows that it had"
                " been on stable storage"
            )
            self._find(number, walk.stopped, problem, is_damage=True)
        elif is_last and tail is not None and walk.next_batch <= synced:
            state = SegmentState.DAMAGED
            self._find(number, walk.stopped, lost_batches(walk, synced), is_damage=True)
        elif is_last and tail is not None and tail.bytes_torn:
            state = SegmentState.TORN
            problem = f"an unfinished last write of {tail.bytes_torn} bytes, never acknowledged"
            self._find(number, walk.end, problem, is_damage=False)
        self._survey.segments.append(
            SurveyedSegment(
                number,
                segment_name(number),
                state,
                size,
                walk.end,
                header.first_batch,
                walk.next_batch - 1 if walk.next_batch > header.first_batch else None,
                walk.records,
                header.is_recycled,
            )
        )
        if is_last and walk.is_sealed:
            self._miss(number + 1, number + 1, number)

    def _read_header(self, number: int) -> str:
        """Keeps the header of a segment; returns what is wrong with it."""
        file = self._files.open(self._path(number))
        try:
            data = file.pread(SEGMENT_HEADER_BYTES, 0)
            self._headers[number] = decode_segment_header(data, segment_name(number), number)
        except CorruptionError as problem:
            return str(problem).removeprefix(f"{segment_name(number)}: ")
        finally:
            file.close()
        return ""

    def _miss(self, first: int, last: int, witness: int) -> None:
        """Segments `first` to `last` are not there."""
        which = "the file is" if first == last else f"this file and all to {segment_name(last)} are"
        problem = f"{which} missing, though segment {witness} says that the log has more"
        self._find(first, 0, problem, is_damage=True)
        self._note(first, SegmentState.MISSING, 0)

    def _note(self, number: int, state: SegmentState, size: int) -> None:
        self._survey.segments.append(SurveyedSegment(number, segment_name(number), state, size))

    def _find(self, number: int, byte: int, problem: str, *, is_damage: bool) -> None:
        self._survey.findings.append(Finding(self._path(number), byte, problem, is_damage))

    def _path(self, number: int) -> str:
        return posixpath.join(self._folder, segment_name(number))

    def _size(self, name: str) -> int:
        file = self._files.open(posixpath.join(self._folder, name))
        try:
            return file.size()
        finally:
            file.close()
