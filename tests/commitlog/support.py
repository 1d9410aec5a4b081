"""What the tests of the log have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvstore.commitlog.commit_log import CommitLog, CommitLogOptions, Position, Record
from kvstore.commitlog.file_names import segment_name
from kvstore.commitlog.log_format import FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, frame_bytes
from kvstore.commitlog.sync_mark import MARK_NAME
from kvstore.simulation.disk import MemoryFileSystem

FOLDER = "/log"
STICKY = 2
OPTIONS = CommitLogOptions(
    segment_bytes=1024,
    payload_bytes_max=4096,
    batch_bytes_max=16384,
    salt=0x5EED,
)
STICKY_OPTIONS = CommitLogOptions(
    segment_bytes=1024,
    payload_bytes_max=4096,
    batch_bytes_max=16384,
    sticky_kinds=frozenset({STICKY}),
    salt=0x5EED,
)


@dataclass
class Visited:
    """Collects what a log hands over when it is opened."""

    records: list[Record] = field(default_factory=list)
    positions: list[Position] = field(default_factory=list)

    def __call__(self, record: Record, position: Position) -> None:
        self.records.append(record)
        self.positions.append(position)


def open_log(
    files: MemoryFileSystem, options: CommitLogOptions = OPTIONS
) -> tuple[CommitLog, list[Record]]:
    """The log, and the records it found."""
    visited = Visited()
    log = CommitLog.open(files, FOLDER, options, visited)
    return log, visited.records


def found(files: MemoryFileSystem, options: CommitLogOptions = OPTIONS) -> list[Record]:
    """The records that a log opened now would find; the files stay as they are."""
    log, records = open_log(files.copy(), options)
    log.close()
    return records


def record(text: str, group: int = 1, kind: int = 1) -> Record:
    return Record(group, kind, text.encode())


def path_of(segment: int) -> str:
    return f"{FOLDER}/{segment_name(segment)}"


def log_files(files: MemoryFileSystem) -> list[str]:
    """The names of segments and spares; the mark beside them is no part of the log."""
    return [name for name in files.list(FOLDER) if name != MARK_NAME]


def forget_mark(files: MemoryFileSystem) -> None:
    """The log may end anywhere from now on: nothing but its own batches says what was synced."""
    files.remove(f"{FOLDER}/{MARK_NAME}")
    files.sync_folder(FOLDER)


def bytes_of(files: MemoryFileSystem) -> int:
    """What all files of the log take."""
    return sum(len(files.contents(f"{FOLDER}/{name}")) for name in log_files(files))


def frame_end(position: Position) -> int:
    return position.offset + frame_bytes(position.length)


def written(
    *batches: list[Record], options: CommitLogOptions = OPTIONS
) -> tuple[MemoryFileSystem, list[list[Position]]]:
    """A closed log with `batches` in it, and where their records stand; without the mark of what
    was synced, as a power loss may leave it."""
    files = MemoryFileSystem()
    log, _ = open_log(files, options)
    positions = [log.append(batch) for batch in batches]
    log.close()
    forget_mark(files)
    files.restart()
    return files, positions


def flip(files: MemoryFileSystem, path: str, bit: int) -> None:
    """Turns one bit of a file around."""
    content = bytearray(files.contents(path))
    content[bit // 8] ^= 1 << bit % 8
    files.replace(path, bytes(content))


HEADER_END = SEGMENT_HEADER_BYTES
SEAL_BYTES = FRAME_HEADER_BYTES
