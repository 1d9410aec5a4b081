"""Writes a backup file: under a temporary name, which it loses only when it is whole and synced."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import xxhash

from kvstore.backup.file_format import (
    Footer,
    FrameKind,
    Header,
    SectionSummary,
    encode_end,
    encode_footer,
    encode_frame,
    encode_header,
    encode_prologue,
    encode_start,
)
from kvstore.codec.backup import SectionEnd, SectionStart
from kvstore.errors import ConfigurationError, InvariantViolation


@dataclass(slots=True)
class _OpenSection:
    start: SectionStart
    offset: int
    digest_before: xxhash.xxh3_64


class BackupWriter:
    """Used with `with`. Sections come in order of partition; one that is started again while it is
    open begins anew. Without `finish`, or after an exception, there is no file afterwards.

    Making it raises ConfigurationError when a file is in the way, and all calls raise OSError.
    """

    def __init__(self, path: Path, *, replace: bool = False, compress: bool = False) -> None:
        """`replace`: a file at `path` is replaced when this one is whole."""
        self._path = path
        self._replace = replace
        self._compress = compress
        self.partial = path.with_name(path.name + ".partial")
        """The temporary name."""
        self._digest = xxhash.xxh3_64()
        self._open: _OpenSection | None = None
        self._sections: list[SectionSummary] = []
        self._finished = False
        self.bytes = 0
        """Of the file, so far."""
        self._check_free()
        try:
            # Exclusively: two who write one file would each give it its final name.
            self._file = self.partial.open("xb")
        except FileExistsError:
            raise ConfigurationError(
                f"{self.partial} exists: a backup to {path} is under way, or was killed; delete it"
                " if none is"
            ) from None
        self._put(encode_prologue())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._finished:
            with suppress(FileNotFoundError):
                self.partial.unlink()
            # A disk that is full fails once more when what is buffered is written on closing.
            with suppress(OSError):
                self._file.close()

    def header(self, header: Header) -> None:
        """To be called first, once."""
        self._frame(FrameKind.HEADER, encode_header(header))

    def start(self, start: SectionStart) -> None:
        """Begins a section; forgets what there is of the one that is open, if one is."""
        if self._open is not None:
            if self._open.start.partition != start.partition:
                raise InvariantViolation("a section begins although another has not ended")
            self._file.seek(self._open.offset)
            self._file.truncate()
            self.bytes = self._open.offset
            self._digest = self._open.digest_before
        self._open = _OpenSection(start, self.bytes, self._digest.copy())
        self._frame(FrameKind.SECTION_START, encode_start(start))

    def rows(self, rows: bytes) -> None:
        """Adds a chunk (codec/backup.py), which was checked, to the open section."""
        self._frame(FrameKind.ROWS, rows, compress=self._compress)

    def end(self, end: SectionEnd) -> None:
        """Ends the open section."""
        section, self._open = self._open, None
        if section is None:
            raise InvariantViolation("a section ends that did not begin")
        self._frame(FrameKind.SECTION_END, encode_end(end))
        self._sections.append(SectionSummary(section.offset, section.start, end))

    def finish(self) -> Footer:
        """Completes the file, syncs it and gives it its name; raises ConfigurationError when
        another has come to bear it meanwhile."""
        records = sum(section.end.records for section in self._sections)
        footer = Footer(tuple(self._sections), records, self.bytes, self._digest.intdigest())
        self._frame(FrameKind.FOOTER, encode_footer(footer))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._check_free()
        os.replace(self.partial, self._path)
        self._finished = True
        _sync_folder(self._path.parent)
        return footer

    def _check_free(self) -> None:
        if not self._replace and self._path.exists():
            raise ConfigurationError(f"{self._path} exists: choose another name, or give --force")

    def _frame(self, kind: FrameKind, payload: bytes, *, compress: bool = False) -> None:
        self._put(encode_frame(kind, payload, compress=compress))

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
