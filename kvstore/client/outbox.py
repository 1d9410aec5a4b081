"""What waits to be sent: one queue per partition and class, bounded over all partitions."""

from __future__ import annotations

import math
from asyncio import TimerHandle
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from cluster.ids import PartitionId
from kvstore.client.operations import OPERATION_COST_BYTES, Section
from kvstore.client.retry import Failure, expired_in_queue
from kvstore.errors import ClientClosed, ResourceExhausted

S = TypeVar("S", bound=Section)

OUTBOX_BYTES_MAX: Final = 64 << 20
"""Of one class; with OPERATION_COST_BYTES this is at most half a million operations."""


COMPACT_INTERVAL_S: Final = 0.05
"""A full outbox takes some milliseconds to look through: not for each refusal."""


class Carrier(Protocol):
    """What comes for a queue's operations."""

    def enlist(self, queue: PartitionQueue[Any]) -> None:
        """Will come for this queue soon."""
        ...

    def unlist(self, queue: PartitionQueue[Any]) -> None:
        """Will not come for this queue any more."""
        ...


class PartitionQueue(Generic[S]):
    """Operations of one class on one partition that are not under way.

    It is *listed* while a lane or a timer will come for it. A queue whose partition failed is
    *parked*: it stays off every lane until its backoff is over, and with it what joins meanwhile.
    """

    __slots__ = ("failure", "failures", "lane", "listed", "outbox", "partition", "section", "timer")

    def __init__(self, partition: PartitionId, outbox: Outbox[S]) -> None:
        self.partition = partition
        self.outbox = outbox
        self.section: S = outbox.section_type()
        self.listed = False
        self.lane: Carrier | None = None
        self.timer: TimerHandle | None = None
        """Set while parked."""
        self.failures = 0
        """In a row, since the partition last answered this class."""
        self.failure: Failure | None = None
        """The last of them."""

    def __repr__(self) -> str:
        return f"<PartitionQueue {self.section!r}, listed={self.listed}, failures={self.failures}>"

    @property
    def waits(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.section.futures)

    def take(self, cost_bytes_max: int, count_max: int) -> S | None:
        """The next operations, at least one, to be sent now; None when nobody waits."""
        section = self.section
        self.outbox.cost_bytes -= section.drop_done()
        if not section.futures:
            return None
        cost = section.cost_bytes()
        if cost <= cost_bytes_max and len(section) <= count_max:
            self.section = self.outbox.section_type()
            self.outbox.cost_bytes -= cost
            return section
        first = section.split(cost_bytes_max, count_max)
        self.outbox.cost_bytes -= first.cost_bytes()
        return first

    def give_back(self, section: S) -> None:
        """Puts operations that were taken, and not applied, before those that came since."""
        self.put_back(section)

    def put_back(self, section: S) -> None:
        """The same, of operations that are to be sent as if they had never been."""
        section.drop_done()
        if not section.futures:
            return
        self.outbox.cost_bytes += section.cost_bytes()
        section.put_before(self.section)
        self.section = section

    def returned(self, section: S, doubt: str | None) -> bool:
        """One try of `section` has failed; whether the next step is up to who learns that.

        `doubt` says why it may have been applied, if so.
        """
        return True

    def settle(self, section: S) -> None:
        """The callers of `section` were told, and it is not sent again."""

    def expire(self, now_s: float, margin_s: float = 0.0) -> float:
        """Ends what is overdue at `now_s`; gives the earliest deadline that is left.

        What was certainly not applied is ended `margin_s` before its time.
        """
        section = self.section
        if not section.futures:
            return math.inf
        if min(section.deadlines) <= now_s + margin_s:
            section.expire(now_s + margin_s, lambda: expired_in_queue(self.failure))
            self.outbox.cost_bytes -= section.drop_done()
        return min(section.deadlines, default=math.inf)

    def compact(self) -> None:
        """Drops what nobody waits for."""
        self.outbox.cost_bytes -= self.section.drop_done()

    def close(self) -> None:
        """Ends all that is in it."""
        self.section.fail(partial(ClientClosed, "the client was closed; nothing was sent"))


class Outbox(Generic[S]):
    """The queues of one class, by partition."""

    __slots__ = ("_compacted_s", "cost_bytes", "queues", "section_type")

    def __init__(
        self,
        section_type: type[S],
        partitions: int,
        make_queue: Callable[[PartitionId, Outbox[S]], PartitionQueue[S]] = PartitionQueue,
    ) -> None:
        self.section_type = section_type
        self.cost_bytes = 0
        """Of all queues together, at most OUTBOX_BYTES_MAX but for what was given back."""
        self._compacted_s = -math.inf
        self.queues = [make_queue(PartitionId(i), self) for i in range(partitions)]

    def make_room(self, cost_bytes: int, now_s: float) -> None:
        """Raises ResourceExhausted unless operations that nobody waits for can make way."""
        if now_s - self._compacted_s >= COMPACT_INTERVAL_S:
            self._compacted_s = now_s
            for queue in self.queues:
                queue.compact()
        if self.cost_bytes + cost_bytes > OUTBOX_BYTES_MAX:
            raise ResourceExhausted(
                f"{self.cost_bytes} bytes of operations wait to be sent, counting "
                f"{OPERATION_COST_BYTES} for each beside keys and values; the limit is "
                f"{OUTBOX_BYTES_MAX}. Nothing was done; await some before starting more"
            )
