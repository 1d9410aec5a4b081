"""The real world behind the seams of `environment`: clock, files, and a thread for blocking work.

The only module of the node that asks the operating system for the time or for a file of its own
(the engine keeps its files itself).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Final, TypeVar

from kvstore.environment import DISK_FULL, File, Lock

T = TypeVar("T")

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_IOV_MAX_FALLBACK: Final = 16
"""What POSIX promises (_XOPEN_IOV_MAX), where the system does not say."""
_CANNOT_ALLOCATE: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


def _iov_max() -> int:
    limit = os.sysconf("SC_IOV_MAX")
    return limit if limit > 0 else _IOV_MAX_FALLBACK


_IOV_MAX: Final = _iov_max()


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def monotonic_s(self) -> float:
        """See Clock."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """See Clock."""
        return time.time_ns() // 1_000_000


class SystemFile:
    """A file by its descriptor. `pread` may run beside a write; closing may not."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pread(self, length: int, offset: int) -> bytes:
        """See File."""
        data = os.pread(self._descriptor, length, offset)
        if len(data) == length or not data:
            return data
        # A read may end early without being at the end of the file (signals, 2 GiB).
        parts = [data]
        done = len(data)
        while done < length:
            data = os.pread(self._descriptor, length - done, offset + done)
            if not data:
                break
            parts.append(data)
            done += len(data)
        return b"".join(parts)

    def pwritev(self, parts: Sequence[bytes], offset: int) -> None:
        """See File."""
        for start in range(0, len(parts), _IOV_MAX):
            buffers = parts[start : start + _IOV_MAX]
            offset += self._write_all(buffers, offset)

    def _write_all(self, buffers: Sequence[bytes], offset: int) -> int:
        """Writes at most _IOV_MAX `buffers`; returns how many bytes they have."""
        total = sum(map(len, buffers))
        if total == 0:
            return 0
        written = os.pwritev(self._descriptor, buffers, offset)
        if written == total:
            return total
        # Short: the kernel stopped at a signal, at 2 GiB or where the disk became full. What is
        # left goes out in one piece, and a disk that is full now says so.
        rest = memoryview(b"".join(buffers))
        while written < total:
            count = os.pwrite(self._descriptor, rest[written:], offset + written)
            if count == 0:
                raise OSError(errno.EIO, "a write came to a halt without an error")
            written += count
        return total

    def sync(self) -> None:
        """See File."""
        os.fdatasync(self._descriptor)

    def allocate(self, length: int) -> None:
        """See File. Only lengthens the file where the file system cannot reserve blocks."""
        if length <= 0:
            return
        try:
            os.posix_fallocate(self._descriptor, 0, length)
        except OSError as problem:
            if problem.errno not in _CANNOT_ALLOCATE:
                raise
            if self.size() < length:
                os.ftruncate(self._descriptor, length)

    def truncate(self, length: int) -> None:
        """See File."""
        os.ftruncate(self._descriptor, length)

    def size(self) -> int:
        """See File."""
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """See File. Closing twice does nothing: the number may be another file's by then."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class SystemLock:
    """An flock: it belongs to the open file, so it also keeps out this same process."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """See Lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class SystemFileSystem:
    """The machine's file system. What it makes is readable by the node's user only."""

    __slots__ = ()

    def open(self, path: str, *, create: bool = False) -> File:
        """See FileSystem."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        return SystemFile(os.open(path, flags, _FILE_MODE))

    def list(self, folder: str) -> list[str]:
        """See FileSystem."""
        return sorted(os.listdir(folder))

    def exists(self, path: str) -> bool:
        """See FileSystem. Says no only when it is known: other failures raise."""
        try:
            os.stat(path)
        except FileNotFoundError:
            return False
        return True

    def make_folder(self, path: str) -> None:
        """See FileSystem."""
        path = os.path.abspath(path)
        missing: list[str] = []
        while not os.path.isdir(path) and path != os.path.dirname(path):
            missing.append(path)
            path = os.path.dirname(path)
        # The deepest one that is there may be from a call that ended before its sync. Where the
        # folder above may not be read, this user did not make it.
        with contextlib.suppress(PermissionError):
            self.sync_folder(os.path.dirname(path))
        for folder in reversed(missing):
            try:
                os.mkdir(folder, _FOLDER_MODE)
            except FileExistsError:
                if not os.path.isdir(folder):
                    raise NotADirectoryError(errno.ENOTDIR, "not a folder", folder) from None
            self.sync_folder(os.path.dirname(folder))

    def rename(self, source: str, target: str) -> None:
        """See FileSystem."""
        os.replace(source, target)

    def remove(self, path: str) -> None:
        """See FileSystem."""
        os.unlink(path)

    def remove_folder(self, path: str) -> None:
        """See FileSystem."""
        shutil.rmtree(path)

    def sync_folder(self, path: str) -> None:
        """See FileSystem."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: str) -> int:
        """See FileSystem."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize

    def lock(self, path: str, holder: bytes) -> Lock:
        """See FileSystem."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            try:
                os.pwrite(descriptor, holder, 0)
            except OSError as problem:
                if problem.errno not in DISK_FULL:
                    raise
        except BaseException:
            os.close(descriptor)
            raise
        return SystemLock(descriptor)


class ReadOnlyFileSystem(SystemFileSystem):
    """Reads the files of a node that does not run, and cannot change anything: EROFS."""

    __slots__ = ()

    def open(self, path: str, *, create: bool = False) -> File:
        """See FileSystem."""
        if create:
            raise _read_only(path)
        return SystemFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def make_folder(self, path: str) -> None:
        """Raises OSError."""
        raise _read_only(path)

    def rename(self, source: str, target: str) -> None:
        """Raises OSError."""
        raise _read_only(source)

    def remove(self, path: str) -> None:
        """Raises OSError."""
        raise _read_only(path)

    def remove_folder(self, path: str) -> None:
        """Raises OSError."""
        raise _read_only(path)

    def sync_folder(self, path: str) -> None:
        """Raises OSError."""
        raise _read_only(path)

    def lock(self, path: str, holder: bytes) -> Lock:
        """Raises OSError: it would write who holds it."""
        raise _read_only(path)

    def is_locked(self, path: str) -> bool:
        """Whether somebody holds the lock at `path` right now; it is not taken for longer than the
        question takes."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def _read_only(path: str) -> OSError:
    return OSError(errno.EROFS, os.strerror(errno.EROFS), path)


class ThreadWorker:
    """One thread that runs jobs in order and hands their results to the event loop.

    The thread is no daemon: the process does not end under a job. Whoever makes a worker closes it.
    """

    __slots__ = ("_closed", "_loop", "_queue", "_thread")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, name: str = "kvstore-worker") -> None:
        self._loop = loop
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._run, name=name, daemon=False)
        self._thread.start()

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """See Worker. Raises RuntimeError after `close`: nothing would run the job."""
        if self._closed:
            raise RuntimeError("the worker is closed")

        def run() -> None:
            outcome: T | BaseException
            try:
                outcome = job()
            except BaseException as problem:  # the owner decides what any failure means
                outcome = problem
            # A loop that is closed has nobody left who waits: the completion is dropped.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(done, outcome)

        self._queue.put(run)

    def close(self) -> None:
        """See Worker. Blocks until the last job has run; closing twice does nothing."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (run := self._queue.get()) is not None:
            run()
