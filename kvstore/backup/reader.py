"""Reads a backup file, and believes none of it before it is checked.

Whatever the bytes are, reading them gives what was written or raises: ConfigurationError for a file
that is no backup or one of a newer format, CorruptionError for one that is not what was written.
Both name the file and say what to do. Memory is bounded by a few frames.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import xxhash

from kvstore.backup.file_format import (
    FORMAT_VERSION,
    FRAME_HEADER_BYTES,
    PROLOGUE_BYTES,
    Footer,
    FrameKind,
    Header,
    SectionSummary,
    decode_end,
    decode_footer,
    decode_frame_header,
    decode_header,
    decode_payload,
    decode_prologue,
    decode_start,
)
from kvstore.codec.backup import SectionTally
from kvstore.codec.byteslist import CodecError
from kvstore.errors import ConfigurationError, CorruptionError

_DAMAGED = "it is damaged: use another copy or another backup"
_CUT_SHORT = "it is cut short: copy it again, or use another backup"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one partition; both lists are parallel."""

    keys: list[bytes]
    records: list[bytes]


class BackupReader:
    """One pass over a file, from its beginning. Used with `with`."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Reads the header. `file` is at its beginning, can seek, and is closed with this."""
        self._file = file
        self._name = name
        self._digest = xxhash.xxh3_64()
        self.size_bytes = file.seek(0, os.SEEK_END)
        self.position_bytes = 0
        """How much has been read."""
        file.seek(0)
        self._check_prologue(file.read(PROLOGUE_BYTES))
        kind, payload, frame = self._frame()
        self._digest.update(frame)
        if kind is not FrameKind.HEADER:
            raise self._damaged(PROLOGUE_BYTES, "there is no header")
        try:
            self.header: Header = decode_header(payload)
        except CodecError as problem:
            raise self._damaged(PROLOGUE_BYTES, str(problem)) from problem
        self.footer: Footer | None = None
        """Once all is read."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """A pass over the file at `path`; raises OSError where there is none."""
        file = path.open("rb")
        try:
            return cls(file, str(path))
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def chunks(self) -> Iterator[Chunk]:
        """All chunks in order, each checked before it is given; only when this ends by itself, the
        file as a whole is what was written."""
        sections: list[SectionSummary] = []
        while True:
            at = self.position_bytes
            file_hash = self._digest.intdigest()
            kind, payload, frame = self._frame()
            try:
                if kind is FrameKind.FOOTER:
                    self._check_footer(decode_footer(payload), sections, at, file_hash)
                    return
                if kind is not FrameKind.SECTION_START or len(sections) == self.header.partitions:
                    raise CodecError(f"a {kind.name} frame stands in the wrong place")
                start = decode_start(payload)
                if start.partition != len(sections):
                    raise CodecError(f"partition {start.partition} stands in the wrong place")
            except CodecError as problem:
                raise self._damaged(at, str(problem)) from problem
            self._digest.update(frame)
            tally = SectionTally(start.partition, self.header.partitions)
            yield from self._rows(tally)
            sections.append(SectionSummary(at, start, tally.end()))

    def _rows(self, tally: SectionTally) -> Iterator[Chunk]:
        """The chunks of a section, to its end."""
        while True:
            at = self.position_bytes
            kind, payload, frame = self._frame()
            self._digest.update(frame)
            try:
                if kind is FrameKind.SECTION_END:
                    if decode_end(payload) != tally.end():
                        raise CodecError("a section is not the one that was written")
                    return
                if kind is not FrameKind.ROWS:
                    raise CodecError(f"a {kind.name} frame stands in the wrong place")
                chunk = Chunk(*tally.add(payload))
            except CodecError as problem:
                raise self._damaged(at, str(problem)) from problem
            yield chunk

    def _check_footer(
        self, footer: Footer, sections: list[SectionSummary], at: int, file_hash: int
    ) -> None:
        """Raises CodecError unless `footer` says what was read."""
        records = sum(section.end.records for section in sections)
        if len(sections) != self.header.partitions or footer != Footer(
            tuple(sections), records, at, file_hash
        ):
            raise CodecError("the footer is of another file")
        if self.position_bytes != self.size_bytes:
            raise CodecError("there are bytes after the footer")
        self.footer = footer

    def _check_prologue(self, data: bytes) -> None:
        try:
            version = decode_prologue(data)
        except CodecError as problem:
            raise self._damaged(0, str(problem)) from problem
        if version is None:
            raise ConfigurationError(f"{self._name} is no backup that kvstore wrote")
        if version != FORMAT_VERSION:
            raise ConfigurationError(
                f"{self._name} is a backup of format {version}, and this version of kvstore reads"
                f" format {FORMAT_VERSION}: use the version that wrote it, or a newer one"
            )
        self._digest.update(data)
        self.position_bytes = len(data)

    def _frame(self) -> tuple[FrameKind, bytes, bytes]:
        """Kind and payload of the next frame, and all its bytes."""
        at = self.position_bytes
        head = self._file.read(FRAME_HEADER_BYTES)
        if len(head) < FRAME_HEADER_BYTES:
            raise CorruptionError(f"{self._name} ends at byte {at + len(head)}: {_CUT_SHORT}")
        try:
            header = decode_frame_header(head)
            if at + FRAME_HEADER_BYTES + header.payload_bytes > self.size_bytes:
                raise CorruptionError(
                    f"{self._name} ends at byte {self.size_bytes}, within the frame at byte {at}:"
                    f" {_CUT_SHORT}"
                )
            stored = self._file.read(header.payload_bytes)
            payload = decode_payload(header, stored)
            kind = FrameKind(header.kind)
        except ValueError as problem:
            raise self._damaged(at, str(problem)) from problem
        self.position_bytes = at + FRAME_HEADER_BYTES + len(stored)
        return kind, payload, head + stored

    def _damaged(self, byte: int, what: str) -> CorruptionError:
        return CorruptionError(f"{self._name}, byte {byte}: {what}; {_DAMAGED}")
