"""Up to which batch the log was on stable storage when it was synced last: a file beside it.

```
+------------+-------------------------+-------------+
| "kvsm"     | u32 CRC-32C of the rest | u64 batch   |
+------------+-------------------------+-------------+
```

Written after each sync and before anybody is told of it, and never synced itself: a process that
is killed leaves it as it is, and what a power loss leaves of it is at most too low. So a batch up
to it that cannot be read at a start is no torn write, but damage. Nothing in the last batch itself
could tell that. Where the file is missing or damaged, it proves nothing and is made anew.
"""

from __future__ import annotations

import posixpath
from struct import Struct
from typing import Final

from kvstore.commitlog.log_format import crc32c
from kvstore.environment import DISK_FULL, File, FileSystem

MARK_NAME: Final = "synced"
MAGIC: Final = b"kvsm"
_BATCH: Final = Struct("<Q")
_MARK: Final = Struct("<4sI8s")


class SyncMark:
    """See the module. One thread at a time."""

    __slots__ = ("_file",)

    def __init__(self, files: FileSystem, folder: str) -> None:
        """Opens the file, or makes it; goes without where there is no room. Raises OSError."""
        path = posixpath.join(folder, MARK_NAME)
        self._file: File | None = None
        try:
            self._file = files.open(path, create=not files.exists(path))
        except OSError as problem:
            if problem.errno not in DISK_FULL:
                raise

    def note(self, batch: int) -> None:
        """All batches up to `batch` are on stable storage. Raises OSError, but not for want of
        room: the mark stays too low then."""
        if self._file is None:
            return
        try:
            self._file.pwritev((encode_mark(batch),), 0)
        except OSError as problem:
            if problem.errno not in DISK_FULL:
                raise

    def close(self) -> None:
        """Lets go of the file, without a sync."""
        if self._file is not None:
            self._file.close()


def read_mark(files: FileSystem, folder: str) -> int:
    """The batch up to which the log in `folder` was on stable storage for certain; 0 where nothing
    says so. Raises OSError."""
    path = posixpath.join(folder, MARK_NAME)
    if not files.exists(path):
        return 0
    file = files.open(path)
    try:
        return decode_mark(file.pread(_MARK.size, 0))
    finally:
        file.close()


def encode_mark(batch: int) -> bytes:
    """The file's bytes."""
    number = _BATCH.pack(batch)
    return _MARK.pack(MAGIC, crc32c(number), number)


def decode_mark(data: bytes) -> int:
    """The batch in the file's bytes; 0 where they are damaged."""
    if len(data) != _MARK.size:
        return 0
    magic, crc, number = _MARK.unpack(data)
    if magic != MAGIC or crc != crc32c(number):
        return 0
    (batch,) = _BATCH.unpack(number)
    return int(batch)
