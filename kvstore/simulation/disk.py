"""A file system in memory that forgets, like a disk, what was not synced.

What the running process sees and what would survive a power cut are kept apart: each file has its
bytes as they are read and as they are on "stable storage", and between them the writes that wait
for a sync; each folder has its names in the same two states.

`crash(random)` cuts the power: a random part of what waited got through, down to single bytes of a
write; without a random source nothing did. `restart()` only ends the process: the system still has
everything in memory. Handles from before either fail.

Failures are asked for in advance (`fail`), stay until a crash (`fail_all_after`) or come from a
bound on space (`capacity_bytes`). As on Linux, a failed sync forgets which writes waited: the next
sync succeeds and does not save them.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

_PIECE_BYTES = 64
"""What of a write gets through or not as one; less than a disk's sector, so harder than a disk."""
_UNBOUNDED_BYTES = 1 << 62


@dataclass(slots=True)
class _Change:
    """One change to a file that waits for a sync: bytes at an offset, or a new size."""

    offset: int
    data: bytes
    size: int | None = None

    def apply(self, content: bytearray) -> None:
        if self.size is not None:
            _resize(content, self.size)
            return
        end = self.offset + len(self.data)
        if len(content) < end:
            _resize(content, end)
        content[self.offset : end] = self.data


@dataclass(slots=True)
class _Node:
    """A file, whatever its names."""

    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    waiting: list[_Change] = field(default_factory=list)
    rot: dict[int, int] = field(default_factory=dict)
    """What the disk gives wrong, until it is written again: bits to turn, by offset."""

    def read_rotten(self, offset: int, length: int) -> bytes:
        """What the disk gives."""
        data = self.content[offset : offset + length]
        for place, bits in self.rot.items():
            if offset <= place < offset + len(data):
                data[place - offset] ^= bits
        return bytes(data)


@dataclass(slots=True)
class _NameChange:
    """What one create, rename or remove does to the names of a folder, at once."""

    gone: str | None
    name: str | None
    node: _Node | None

    def apply(self, names: dict[str, _Node]) -> None:
        if self.gone is not None:
            names.pop(self.gone, None)
        if self.name is not None and self.node is not None:
            names[self.name] = self.node


@dataclass(slots=True)
class _Folder:
    names: dict[str, _Node] = field(default_factory=dict)
    durable: dict[str, _Node] = field(default_factory=dict)
    waiting: list[_NameChange] = field(default_factory=list)

    def change(self, change: _NameChange) -> None:
        change.apply(self.names)
        self.waiting.append(change)


@dataclass(slots=True)
class _Fault:
    operation: str
    after: int
    error: int


class MemoryFileSystem:
    """See the module. Paths are absolute or not, as long as they are written alike."""

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.operations = 0
        """Calls so far that change or sync something: where a fault can be placed."""
        self.life = 0
        self.is_watched = False
        """While it is, nothing fails, is counted or reads rotten: somebody looks on who is no part
        of what goes on."""
        self._folders: dict[str, _Folder] = {"/": _Folder(), "": _Folder()}
        self._locks: set[str] = set()
        self._faults: list[_Fault] = []
        self._fail_all_after: int | None = None

    # FileSystem

    def open(self, path: str, *, create: bool = False) -> MemoryFile:
        """See FileSystem."""
        folder, name = self._place(path)
        if path in self._folders:
            raise _error(errno.EISDIR, path)
        node = folder.names.get(name)
        if create:
            if node is not None:
                raise _error(errno.EEXIST, path)
            self.check("create", path)
            node = _Node()
            folder.change(_NameChange(None, name, node))
        if node is None:
            raise _error(errno.ENOENT, path)
        return MemoryFile(self, node, path)

    def list(self, folder: str) -> list[str]:
        """See FileSystem."""
        names = list(self._folder(folder).names)
        prefix = folder.rstrip("/") + "/"
        inner = [each for each in self._folders if each.startswith(prefix) and each != "/"]
        return sorted(
            names + [each[len(prefix) :] for each in inner if "/" not in each[len(prefix) :]]
        )

    def exists(self, path: str) -> bool:
        """See FileSystem."""
        if path in self._folders:
            return True
        try:
            folder, name = self._place(path)
        except FileNotFoundError:
            return False
        return name in folder.names

    def make_folder(self, path: str) -> None:
        """See FileSystem."""
        if path in self._folders:
            return
        parent = posixpath.dirname(path)
        self.make_folder(parent)
        if posixpath.basename(path) in self._folders[parent].names:
            raise _error(errno.ENOTDIR, path)
        self.check("make_folder", path)
        self._folders[path] = _Folder()

    def rename(self, source: str, target: str) -> None:
        """See FileSystem. A folder moves with all in it, and at once for good."""
        if source in self._folders:
            self._rename_folder(source, target)
            return
        source_folder, source_name = self._place(source)
        target_folder, target_name = self._place(target)
        node = source_folder.names.get(source_name)
        if node is None:
            raise _error(errno.ENOENT, source)
        self.check("rename", source)
        if source_folder is target_folder:
            source_folder.change(_NameChange(source_name, target_name, node))
        else:
            target_folder.change(_NameChange(None, target_name, node))
            source_folder.change(_NameChange(source_name, None, None))

    def _rename_folder(self, source: str, target: str) -> None:
        self._folder(posixpath.dirname(target))
        if target in self._folders:
            raise _error(errno.ENOTEMPTY, target)
        self.check("rename", source)
        for path in self._below(source):
            self._folders[target + path[len(source) :]] = self._folders.pop(path)

    def remove_folder(self, path: str) -> None:
        """See FileSystem. At once for good."""
        self._folder(path)
        self.check("remove", path)
        for each in self._below(path):
            del self._folders[each]

    def _below(self, path: str) -> Sequence[str]:
        """The folder at `path` and those in it."""
        return [each for each in self._folders if each == path or each.startswith(path + "/")]

    def remove(self, path: str) -> None:
        """See FileSystem."""
        folder, name = self._place(path)
        if name not in folder.names:
            raise _error(errno.ENOENT, path)
        self.check("remove", path)
        folder.change(_NameChange(name, None, None))

    def sync_folder(self, path: str) -> None:
        """See FileSystem."""
        folder = self._folder(path)
        self.check("sync_folder", path)
        for change in folder.waiting:
            change.apply(folder.durable)
        folder.waiting.clear()

    def free_bytes(self, path: str) -> int:
        """See FileSystem."""
        self._folder(path)
        if self.capacity_bytes is None:
            return _UNBOUNDED_BYTES
        return max(0, self.capacity_bytes - self.used_bytes)

    def lock(self, path: str, holder: bytes) -> MemoryLock:
        """See FileSystem."""
        if not self.exists(path):
            self.open(path, create=True).close()
        if path in self._locks:
            raise _error(errno.EWOULDBLOCK, path)
        file = self.open(path)
        file.truncate(0)
        try:
            file.pwritev((holder,), 0)
        except OSError as problem:
            if problem.errno != errno.ENOSPC:
                raise
        file.close()
        self._locks.add(path)
        return MemoryLock(self, path)

    # What tests do to it

    def fail(self, operation: str, error: int = errno.EIO, *, after: int = 0) -> None:
        """Lets one call fail: of the next ones of that name, the first after `after` others.

        Names: create, write, sync, allocate, truncate, read, rename, remove, make_folder,
        sync_folder. A write that fails has written its first half.
        """
        self._faults.append(_Fault(operation, after, error))

    def fail_all_after(self, operations: int) -> None:
        """After so many more operations that change or sync something, everything fails: the
        power is going. Ends with `crash`."""
        self._fail_all_after = self.operations + operations

    def crash(self, random: Random | None = None) -> None:
        """Cuts the power and starts again; see the module."""
        nodes: dict[int, _Node] = {}
        for folder in self._folders.values():
            kept = 0 if random is None else random.randint(0, len(folder.waiting))
            for name_change in folder.waiting[:kept]:
                name_change.apply(folder.durable)
            folder.waiting.clear()
            folder.names = dict(folder.durable)
            nodes |= {id(node): node for node in folder.names.values()}
        for node in nodes.values():
            if random is not None:
                for change in node.waiting:
                    _apply_torn(change, node.durable, random)
            node.waiting.clear()
            node.content = bytearray(node.durable)
        self.restart()

    def restart(self) -> None:
        """Ends the process and starts another; nothing is lost but handles, locks and faults."""
        self.life += 1
        self._locks.clear()
        self._faults.clear()
        self._fail_all_after = None

    def contents(self, path: str) -> bytes:
        """What is read of a file now."""
        return bytes(self._node(path).content)

    def replace(self, path: str, content: bytes) -> None:
        """Puts other bytes into a file, on stable storage too: damage, or another's work."""
        node = self._node(path)
        node.content = bytearray(content)
        node.durable = bytearray(content)
        node.waiting.clear()

    def rot(self, path: str, offset: int, bits: int) -> None:
        """Lets the byte at `offset` be read with those bits turned, from now on."""
        self._node(path).rot[offset] = bits

    def put(self, path: str, content: bytes) -> None:
        """Makes a file, on stable storage."""
        folder, name = self._place(path)
        folder.names[name] = folder.durable[name] = _Node()
        self.replace(path, content)

    def mend(self) -> None:
        """Calls off all failures that were asked for, and gives room."""
        self._faults.clear()
        self._fail_all_after = None
        self.capacity_bytes = None

    @property
    def used_bytes(self) -> int:
        """What all files take."""
        return sum(
            len(each.content) for folder in self._folders.values() for each in folder.names.values()
        )

    def copy(self) -> MemoryFileSystem:
        """A second one with the same files, all on stable storage."""
        twin = MemoryFileSystem(self.capacity_bytes)
        for path, folder in self._folders.items():
            twin._folders[path] = _Folder()
            for name, node in folder.names.items():
                content = bytes(node.content)
                copied = _Node(bytearray(content), bytearray(content))
                twin._folders[path].names[name] = copied
                twin._folders[path].durable[name] = copied
        return twin

    # What its files ask

    def check(self, operation: str, path: str) -> None:
        """Counts an operation and raises the failure that was asked for."""
        if self.is_watched:
            return
        if operation != "read":
            if self._fail_all_after is not None and self.operations >= self._fail_all_after:
                raise _error(errno.EIO, path)
            self.operations += 1
        for fault in self._faults:
            if fault.operation == operation:
                if fault.after == 0:
                    self._faults.remove(fault)
                    raise _error(fault.error, path)
                fault.after -= 1

    def check_space(self, node: _Node, size: int, path: str) -> None:
        """Raises ENOSPC when `node` cannot grow to `size` bytes."""
        if self.capacity_bytes is None or size <= len(node.content):
            return
        if self.used_bytes + size - len(node.content) > self.capacity_bytes:
            raise _error(errno.ENOSPC, path)

    def unlock(self, path: str) -> None:
        """Lets go of a lock."""
        self._locks.discard(path)

    def _folder(self, path: str) -> _Folder:
        folder = self._folders.get(path)
        if folder is None:
            raise _error(errno.ENOENT, path)
        return folder

    def _place(self, path: str) -> tuple[_Folder, str]:
        return self._folder(posixpath.dirname(path)), posixpath.basename(path)

    def _node(self, path: str) -> _Node:
        folder, name = self._place(path)
        return folder.names[name]


class MemoryFile:
    """See File."""

    def __init__(self, files: MemoryFileSystem, node: _Node, path: str) -> None:
        self._files = files
        self._node = node
        self._path = path
        self._life = files.life
        self._closed = False

    def pread(self, length: int, offset: int) -> bytes:
        """See File."""
        self._check("read")
        node = self._node
        if node.rot and not self._files.is_watched:
            return node.read_rotten(offset, length)
        return bytes(node.content[offset : offset + length])

    def pwritev(self, parts: Sequence[bytes], offset: int) -> None:
        """See File."""
        data = b"".join(parts)
        if not data:
            return
        self._files.check_space(self._node, offset + len(data), self._path)
        try:
            self._check("write")
        except OSError:
            if self._is_open:
                self._change(_Change(offset, data[: len(data) // 2]))
            raise
        self._change(_Change(offset, data))

    def sync(self) -> None:
        """See File."""
        try:
            self._check("sync")
        except OSError:
            if self._is_open:
                self._node.waiting.clear()
            raise
        for change in self._node.waiting:
            change.apply(self._node.durable)
        self._node.waiting.clear()

    def allocate(self, length: int) -> None:
        """See File."""
        self._check("allocate")
        if length > len(self._node.content):
            self._files.check_space(self._node, length, self._path)
            self._change(_Change(0, b"", length))

    def truncate(self, length: int) -> None:
        """See File."""
        self._check("truncate")
        self._files.check_space(self._node, length, self._path)
        self._change(_Change(0, b"", length))

    def size(self) -> int:
        """See File."""
        return len(self._node.content)

    def close(self) -> None:
        """See File."""
        self._closed = True

    @property
    def _is_open(self) -> bool:
        return not self._closed and self._life == self._files.life

    def _check(self, operation: str) -> None:
        if not self._is_open:
            raise _error(errno.EBADF, self._path)
        self._files.check(operation, self._path)

    def _change(self, change: _Change) -> None:
        for place in range(change.offset, change.offset + len(change.data)):
            if not self._node.rot:
                break
            self._node.rot.pop(place, None)
        change.apply(self._node.content)
        self._node.waiting.append(change)


class MemoryLock:
    """See Lock."""

    def __init__(self, files: MemoryFileSystem, path: str) -> None:
        self._files = files
        self._path = path
        self._life = files.life

    def release(self) -> None:
        """See Lock."""
        if self._life == self._files.life:
            self._files.unlock(self._path)
        self._life = -1


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _resize(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


def _apply_torn(change: _Change, content: bytearray, random: Random) -> None:
    """A change that waited when the power went: all of it, nothing, or some of its pieces,
    each of which may itself end early.
    """
    fate = random.random()
    if fate < 0.3:
        return
    if fate < 0.5 or change.size is not None:
        change.apply(content)
        return
    data = change.data
    starts = [0, *range(_PIECE_BYTES - change.offset % _PIECE_BYTES, len(data), _PIECE_BYTES)]
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        if random.random() < 0.5:
            continue
        if random.random() < 0.3:
            end = random.randint(start, end)  # noqa: PLW2901
        _Change(change.offset + start, data[start:end]).apply(content)
