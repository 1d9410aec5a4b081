"""The segments that are open for reading: a bounded number of them."""

from __future__ import annotations

import posixpath
from collections import OrderedDict
from threading import Lock

from kvstore.commitlog.file_names import segment_name
from kvstore.environment import File, FileSystem


class SegmentFiles:
    """Opens segments when they are first read, and closes the least recently read beyond a bound.

    Has files of its own, apart from the writer's: reading and writing share nothing. Safe from any
    thread; reads wait for each other, so that none finds its file closed.
    """

    __slots__ = ("_closed", "_files", "_folder", "_lock", "_open", "_open_max")

    def __init__(self, files: FileSystem, folder: str, open_max: int) -> None:
        self._files = files
        self._folder = folder
        self._open_max = open_max
        self._open: OrderedDict[int, File] = OrderedDict()
        self._closed = False
        self._lock = Lock()

    def path(self, segment: int) -> str:
        """Where the file of `segment` is."""
        return posixpath.join(self._folder, segment_name(segment))

    def pread(self, segment: int, length: int, offset: int) -> bytes:
        """Up to `length` bytes at `offset`; fewer only at the end of the file. Raises OSError."""
        with self._lock:
            if self._closed:
                raise OSError("the log is closed")
            file = self._open.get(segment)
            if file is None:
                file = self._files.open(self.path(segment))
                self._open[segment] = file
                if len(self._open) > self._open_max:
                    _oldest, unused = self._open.popitem(last=False)
                    unused.close()
            else:
                self._open.move_to_end(segment)
            return file.pread(length, offset)

    def forget(self, segment: int) -> None:
        """Closes `segment`, whose file may become another one."""
        with self._lock:
            file = self._open.pop(segment, None)
            if file is not None:
                file.close()

    def close(self) -> None:
        """Closes them all; later reads raise OSError."""
        with self._lock:
            self._closed = True
            for file in self._open.values():
                file.close()
            self._open.clear()
