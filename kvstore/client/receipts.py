"""By whom an answer was given, and where in the history of its partition it stands.

Whoever wants to know hands a list in: what is read or written comes back as ever, and the list
grows by the receipt of each section of a call that had a part in it. Who does not pays nothing:
nodes say it of each section anyway, and a section without such a caller leaves it unread.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from kvstore.client.levels import Consistency
from kvstore.codec.record import Record
from kvstore.errors import InvalidArgument

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where in its partition's history an answer stands."""

    node: str
    """The id of the node that gave it."""
    partition: int
    term: int
    """Of the entry at `index`; 0: not known."""
    revision: int
    """Of the partition, in the state that the answer is from; of a write, the state behind it."""
    index: int
    """Of a read: the last entry of the partition's log that was applied to that state. Of a write:
    of the entry that answered it, its own or that of a later try."""
    level: Consistency
    """What was asked for; writes are linearizable."""
    age_s: float | None = None
    """Of a stale read: it lacks at most what was acknowledged in this time before it came in."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a read found, and its receipt."""

    record: Record | None
    """None: there is no such key."""
    receipt: Receipt

    @property
    def value(self) -> bytes | None:
        """Only the value."""
        return None if self.record is None else self.record.value


@dataclass(frozen=True, slots=True)
class Place:
    """What a node said of one section's answer; see Receipt."""

    node: str
    partition: int
    term: int
    revision: int
    index: int

    def receipt(self, level: Consistency, age_s: float | None = None) -> Receipt:
        """The same, of an answer at `level`."""
        return Receipt(
            self.node, self.partition, self.term, self.revision, self.index, level, age_s
        )


class ReceiptFuture(Future[T]):
    """Of an operation whose caller wants a receipt."""

    __slots__ = ("receipts",)

    def __init__(self, receipts: list[Receipt], loop: AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.receipts = receipts


def hand_out(futures: Iterable[Future[Any]], receipt: Receipt) -> None:
    """Gives `receipt` to those who want one and still wait; once, where several have one list."""
    for future in futures:
        if isinstance(future, ReceiptFuture) and not future.done():
            receipts = future.receipts
            if not receipts or receipts[-1] is not receipt:
                receipts.append(receipt)


def checked_receipts(receipts: object) -> list[Receipt] | None:
    """`receipts` as a list that takes them, or None; else InvalidArgument."""
    if receipts is None or isinstance(receipts, list):
        return receipts
    raise InvalidArgument(
        f"receipts must be a list, which is added to, or None, not {type(receipts).__name__}"
    )
