"""Files of records, one JSON object a line: {"key": …, "value": …}; plain, gzip or xz by suffix."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from kvstore.cli.importer import Row
from kvstore.cli.text import json_line
from kvstore.codec.text import from_json, to_json
from kvstore.errors import ConfigurationError

SUFFIXES: Final = (".jsonl", ".jsonl.gz", ".jsonl.xz")
# A largest value (16 MiB) all of whose bytes are written as \\u00xx, its key and the framing.
_LINE_BYTES_MAX: Final = 100 << 20
_Bytes = BinaryIO | gzip.GzipFile | lzma.LZMAFile
_GZIP_LEVEL: Final = 6
_XZ_PRESET: Final = 3


class RowReader:
    """Iterates over (key, value). A file that cannot be used raises ConfigurationError, which
    names the file, the line and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        suffix = _suffix(path)
        self._path = path
        self._raw: BinaryIO = path.open("rb")
        self.size_bytes = os.fstat(self._raw.fileno()).st_size
        self.line = 0
        """The line that was read last, from 1."""
        if suffix == ".jsonl":
            self._file: _Bytes = self._raw
        elif suffix == ".jsonl.gz":
            self._file = gzip.GzipFile(fileobj=self._raw)
        else:
            self._file = lzma.LZMAFile(self._raw)  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._raw.close()

    def __iter__(self) -> Iterator[Row]:
        while line := self._read_line():
            self.line += 1
            if line.isspace():
                continue
            yield self._parse(line)

    @property
    def position_bytes(self) -> int:
        """How much of the file, as it is on disk, has been read."""
        return self._raw.tell()

    def _read_line(self) -> bytes:
        try:
            line = self._file.readline(_LINE_BYTES_MAX + 1)
        except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as problem:
            raise self._wrong(f"the compressed data is damaged: {problem}", 1) from problem
        if len(line) > _LINE_BYTES_MAX:
            raise self._wrong(f"the line is longer than {_LINE_BYTES_MAX} bytes", 1)
        return line

    def _parse(self, line: bytes) -> Row:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise self._wrong(f"not JSON: {problem}") from problem
        if not isinstance(record, dict) or record.keys() != {"key", "value"}:
            raise self._wrong('not an object with "key" and "value", and nothing else')
        try:
            return Row(from_json(record["key"], "key"), from_json(record["value"], "value"))
        except ValueError as problem:
            raise self._wrong(str(problem)) from problem

    def _wrong(self, what: str, ahead: int = 0) -> ConfigurationError:
        return ConfigurationError(f"{self._path}, line {self.line + ahead}: {what}")


class RowWriter:
    """Writes rows to a temporary file beside `path`, which takes its name when all went well.

    Used with `with`: an exception leaves whatever was at `path`, and no other file.
    """

    def __init__(self, path: Path) -> None:
        suffix = _suffix(path)
        self._path = path
        self._closing = ExitStack()
        descriptor, self._scratch = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".tmp", dir=path.parent
        )
        self._raw = self._closing.enter_context(os.fdopen(descriptor, "wb"))
        self._file: _Bytes = self._raw
        if suffix == ".jsonl.gz":
            # Neither name nor time in the header: the same rows give the same file.
            self._file = self._closing.enter_context(
                gzip.GzipFile("", "wb", _GZIP_LEVEL, self._raw, mtime=0)
            )
        elif suffix == ".jsonl.xz":
            self._file = self._closing.enter_context(
                lzma.LZMAFile(self._raw, "wb", preset=_XZ_PRESET)  # noqa: SIM115 - it is one
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if problem is None:
                self._finish()
        finally:
            self._closing.close()
            with suppress(FileNotFoundError):
                os.unlink(self._scratch)

    def write(self, key: bytes, value: bytes) -> None:
        """Adds a row."""
        self._file.write(json_line({"key": to_json(key), "value": to_json(value)}))

    def _finish(self) -> None:
        if self._file is not self._raw:
            self._file.close()
        self._raw.flush()
        os.fchmod(self._raw.fileno(), 0o666 & ~_umask())
        os.fsync(self._raw.fileno())
        os.replace(self._scratch, self._path)


def _suffix(path: Path) -> str:
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return suffix
    raise ConfigurationError(f"{path} ends in none of {', '.join(SUFFIXES)}")


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
