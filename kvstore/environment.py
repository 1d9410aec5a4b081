"""The seams: everything a node takes from the world outside it.

The node is given one of each; tests and simulation give others. Nothing else in the node asks for
the time, a random number, a file or a socket.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from cluster.ids import GroupId, ReplicaId
from cluster.raft.messages import Message
from kvstore.codec.fitness import UnfitToLead
from kvstore.codec.leadership import LeadershipAnswer, LeadershipQuestion
from kvstore.codec.read_points import PointAnswer, PointQuestion
from kvstore.codec.scrub import ScrubHash, ScrubReply
from kvstore.codec.state_transfer import StateAck, StateChunk

T = TypeVar("T")

DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What files fail with for want of room: unlike all else, it passes."""

HostMessage = (
    StateChunk
    | StateAck
    | ScrubHash
    | ScrubReply
    | UnfitToLead
    | PointQuestion
    | PointAnswer
    | LeadershipQuestion
    | LeadershipAnswer
)
"""What hosts say to each other, beside what their cores do."""
PeerMessage = Message | HostMessage
GroupMessage = tuple[GroupId, PeerMessage]


class Clock(Protocol):
    """Time, for timers and reports. The one decision about data that is made by it, and by its
    monotonic side alone, is how old a replica's state may be (replica/follower_reads.py)."""

    def monotonic_s(self) -> float:
        """Seconds since some start; never goes back."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970; may jump."""
        ...


class Worker(Protocol):
    """Runs blocking work, in the order it was handed in, beside the event loop."""

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Runs `job`, then calls `done` on the event loop with its result or its exception."""
        ...

    def close(self) -> None:
        """Waits for what was handed in, and ends."""
        ...


class Transport(Protocol):
    """Carries rounds between nodes. May lose, repeat, delay and reorder them, and says nothing."""

    def send(self, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """Hands over one round's messages to one peer; never blocks. May be empty."""
        ...


class File(Protocol):
    """One open file; offsets and lengths in bytes. Failures raise OSError."""

    def pread(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes; fewer only at the end of the file."""
        ...

    def pwritev(self, parts: Sequence[bytes], offset: int) -> None:
        """Writes all of `parts`, one after another."""
        ...

    def sync(self) -> None:
        """fdatasync: returns when what was written, and the size, is on stable storage."""
        ...

    def allocate(self, length: int) -> None:
        """Reserves `length` bytes from the start, so that writes below it need no new block."""
        ...

    def truncate(self, length: int) -> None:
        """Cuts the file, or lengthens it with zeros."""
        ...

    def size(self) -> int:
        """In bytes."""
        ...

    def close(self) -> None:
        """Lets go of the file."""
        ...


class Lock(Protocol):
    """A hold on a lock file; ends with the process at the latest."""

    def release(self) -> None:
        """Lets go of it; the file stays."""
        ...


class FileSystem(Protocol):
    """Files of the node's data directory, by path. Failures raise OSError."""

    def open(self, path: str, *, create: bool = False) -> File:
        """Opens for reading and writing; `create` makes it and fails if it is there already."""
        ...

    def list(self, folder: str) -> list[str]:
        """The names in `folder`, sorted."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at `path`."""
        ...

    def make_folder(self, path: str) -> None:
        """Makes `path` and its parents where they are missing; on stable storage on return."""
        ...

    def rename(self, source: str, target: str) -> None:
        """Atomic; replaces `target`, or moves a folder to where there is none. On stable storage
        after `sync_folder`."""
        ...

    def remove(self, path: str) -> None:
        """Removes a file. On stable storage after `sync_folder`."""
        ...

    def remove_folder(self, path: str) -> None:
        """Removes a folder and all in it; not in one step. On stable storage after `sync_folder`
        of the folder above."""
        ...

    def sync_folder(self, path: str) -> None:
        """fsync on the folder: the names in it are on stable storage."""
        ...

    def free_bytes(self, path: str) -> int:
        """How much room there is for this user on the file system of the folder at `path`."""
        ...

    def lock(self, path: str, holder: bytes) -> Lock:
        """Takes the exclusive lock of the file at `path`, made if missing, and writes `holder`
        into it for those who come later, if there is room; raises BlockingIOError when it is
        held."""
        ...
