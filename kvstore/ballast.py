"""Room that a start gives up: a file that holds nothing.

On a disk without any room the engine cannot be opened, since it writes a little first. So there is
a file whose space is reserved while there is room, and which is removed before anything is opened.
"""

from __future__ import annotations

import posixpath
from typing import Final

from kvstore.environment import DISK_FULL, FileSystem

BALLAST_NAME: Final = "ballast"
_LEAST_BYTES: Final = 64 << 10


class Ballast:
    """See the module. `bytes_max`: how much is kept; below some 64 KiB, nothing is."""

    __slots__ = ("_bytes", "_bytes_max", "_files", "_path")

    def __init__(self, files: FileSystem, folder: str, bytes_max: int) -> None:
        self._files = files
        self._path = posixpath.join(folder, BALLAST_NAME)
        self._bytes_max = bytes_max
        self._bytes = 0

    @property
    def is_whole(self) -> bool:
        """Whether all is there that is to be kept."""
        return self._bytes_max < _LEAST_BYTES or self._bytes == self._bytes_max

    def give_up(self) -> None:
        """Gives its room to whatever comes next. Raises OSError."""
        if self._files.exists(self._path):
            self._files.remove(self._path)
        self._bytes = 0

    def restore(self) -> None:
        """Keeps as much as there is room for, in halves: the rest is left to others. Raises
        OSError, but not for want of room."""
        if self.is_whole:
            return
        self.give_up()
        size = self._bytes_max
        while size >= _LEAST_BYTES:
            if self._reserve(size):
                self._bytes = size
                return
            size //= 2

    def _reserve(self, size: int) -> bool:
        file = self._files.open(self._path, create=True)
        try:
            file.allocate(size)
        except OSError as problem:
            if problem.errno not in DISK_FULL:
                raise
            self._files.remove(self._path)
            return False
        finally:
            file.close()
        return True
