"""What clients ask of a partition, on its way through the host."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Protocol

from cluster.ids import ReplicaId
from kvstore.codec.scan import Scan, ViewAction


@unique
class Status(IntEnum):
    """How a section of a batch ended; the numbers are those of SectionStatus in proto/."""

    OK = 1
    NOT_LEADER = 2
    """Definite: another replica leads, or what was proposed lost its place in the log."""
    UNAVAILABLE = 3
    """Definite: no leader, or no majority within reach."""
    OVERLOADED = 4
    """Definite: a queue is full."""
    INVALID = 5
    """Definite: it breaks a rule."""
    UNKNOWN = 6
    """A write that was proposed and not settled in time: it may have been applied."""
    BEHIND = 8
    """Definite: a read that any replica may serve, and this one not soon enough."""
    EXPIRED = 7
    """Definite: the view that a scan reads from is not there any more."""
    NO_ROOM = 9
    """It was done, and its answer does not fit in the message beside others: to be asked again."""


@dataclass(init=False, slots=True, unsafe_hash=True)  # as in cluster.raft.messages
class Answer:
    """How a request ended."""

    status: Status
    result: bytes = b""
    detail: str = ""
    leader: ReplicaId | None = None
    """With NOT_LEADER: who leads, as far as it is known."""
    index: int = 0
    """With OK: of the entry that was written, or of the last one that a read saw applied."""
    term: int = 0
    """Of the entry at `index`; 0: not known."""
    revision: int = 0
    """With OK: of the partition, when this was answered."""

    def __init__(
        self,
        status: Status,
        result: bytes = b"",
        detail: str = "",
        leader: ReplicaId | None = None,
        index: int = 0,
        term: int = 0,
        revision: int = 0,
    ) -> None:
        self.status = status
        self.result = result
        self.detail = detail
        self.leader = leader
        self.index = index
        self.term = term
        self.revision = revision


class Reply(Protocol):
    """Waits for the answers of one batch."""

    def settle(self, slot: int, answer: Answer) -> None:
        """Takes the answer of the request in `slot`; called once for each."""
        ...


class Request:
    """One section of a batch: settled exactly once, and let go of then."""

    __slots__ = ("_reply", "_slot")

    def __init__(self, reply: Reply, slot: int) -> None:
        self._reply: Reply | None = reply
        self._slot = slot

    @property
    def is_settled(self) -> bool:
        """Whether it was answered or abandoned."""
        return self._reply is None

    def settle(self, answer: Answer) -> None:
        """Answers it, unless that has happened already."""
        reply, self._reply = self._reply, None
        self._release()
        if reply is not None:
            reply.settle(self._slot, answer)

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self._reply = None
        self._release()

    def _release(self) -> None:
        """Lets go of the payload: the request may stay in a list until its deadline."""


class WriteRequest(Request):
    """A command to replicate and apply."""

    __slots__ = ("command", "is_proposed")

    def __init__(self, reply: Reply, slot: int, command: bytes) -> None:
        super().__init__(reply, slot)
        self.command = command
        self.is_proposed = False
        """From here on its outcome is open until it is applied or loses its place."""

    def _release(self) -> None:
        self.command = b""


class ReadRequest(Request):
    """Keys to look up (`keys`) or a range to scan (`scan`), linearizably."""

    __slots__ = ("keys", "scan")

    def __init__(self, reply: Reply, slot: int, question: list[bytes] | Scan) -> None:
        super().__init__(reply, slot)
        self.keys: list[bytes] = question if isinstance(question, list) else []
        self.scan: Scan | None = question if isinstance(question, Scan) else None

    @property
    def goes_on(self) -> bool:
        """Whether it is about a view that was opened before: no matter who leads now."""
        return self.scan is not None and self.scan.view_action > ViewAction.OPEN

    def _release(self) -> None:
        self.keys = []
        self.scan = None
