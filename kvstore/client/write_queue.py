"""The writes of one partition that are not under way: new ones, and sections to be sent again.

A section is in one of these states; `settle` ends each of them.

| state | stamp | may it have been applied | takes out who is done |
| --- | --- | --- | --- |
| open: gathers operations | no | no | yes |
| under way | yes | that is not known yet | no |
| again: refused for certain | yes | no: `doubt` is None | when a caller's time is up |
| again: no answer | yes, for good | yes: `doubt` says why | no |

A section that may have been applied keeps its stamp and its bytes until it is settled: under
another stamp it could be applied twice. One that was refused keeps them, too, as long as all of its
callers can wait. A caller whose time is up is told that nothing was applied, so his operation must
not be sent again: then the section gives up its stamp, and the others go on under a new one.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from random import Random
from typing import Final

from cluster.ids import PartitionId
from kvstore.client.operations import WriteSection
from kvstore.client.outbox import Outbox, PartitionQueue
from kvstore.client.retry import expired_in_doubt, expired_in_queue
from kvstore.client.session import Session
from kvstore.errors import ClientClosed, OutcomeUnknown

_order: Final = attrgetter("order")


class WriteQueue(PartitionQueue[WriteSection]):
    """See the module. `again` is sent before the open section, the oldest first."""

    __slots__ = ("_is_blocked", "_known_index", "_last_order", "_random", "again", "session")

    def __init__(
        self,
        partition: PartitionId,
        outbox: Outbox[WriteSection],
        *,
        random: Random,
        known_index: Callable[[PartitionId], int],
    ) -> None:
        """`known_index`: up to where a partition is known to have applied its log."""
        super().__init__(partition, outbox)
        self._known_index = known_index
        self._random = random
        self.session = Session(random)
        self.again: list[WriteSection] = []
        """At most as many as the session has open, and what is left of sessions before."""
        self._last_order = 0
        self._is_blocked = False
        """Nothing may be sent until an older section is settled."""

    @property
    def waits(self) -> bool:
        """See PartitionQueue."""
        return bool(self.again) or bool(self.section.futures)

    # --- taken, and come back

    def take(self, cost_bytes_max: int, count_max: int) -> WriteSection | None:
        """See PartitionQueue. What is sent again is whole, whatever the bounds."""
        self._drop_abandoned()
        # Others that nobody waits for are still under way; they would only be kept for nothing.
        while (oldest := self.session.oldest) is not None and oldest.is_abandoned:
            self.settle(oldest)
        self._is_blocked = False
        section = self._next(cost_bytes_max, count_max)
        if section is not None:
            section.under_way += 1
            section.tries += 1
        return section

    def _next(self, cost_bytes_max: int, count_max: int) -> WriteSection | None:
        if self.again and self.again[0].stamp is not None:
            return self._pull(self.again[0])
        if not self.session.has_room() and not self._make_room():
            return self._oldest_once_more()
        if self.again:
            oldest = self._pull(self.again[0])
            oldest.drop_done()
            self._seal(oldest)
            return oldest
        section = super().take(cost_bytes_max, count_max)
        if section is not None:
            self._last_order += 1
            section.order = self._last_order
            self._seal(section)
        return section

    def _seal(self, section: WriteSection) -> None:
        if self.session.is_new:
            # The later it was opened, the less was forgotten since, and the fewer are refused.
            self.session.opened_after = max(
                self.session.opened_after, self._known_index(self.partition)
            )
        self.session.seal(section)

    def _make_room(self) -> bool:
        for section in list(self.session.open.values()):
            if section.is_abandoned:
                self.settle(section)
        return self.session.has_room()

    def _oldest_once_more(self) -> WriteSection | None:
        """The oldest open section holds up all others: rather than wait for it, it is sent again,
        since others than its partition may keep its answer back."""
        self.compact()
        oldest = self.session.oldest
        if oldest is None or not self.waits:
            return None
        if oldest in self.again:
            return self._pull(oldest)
        if oldest.under_way == 1:
            oldest.doubt = "the first try was not answered"
            return oldest
        self._is_blocked = True
        return None

    def returned(self, section: WriteSection, doubt: str | None) -> bool:
        """See PartitionQueue. Nothing is to be done while another try is under way or waits."""
        section.under_way -= 1
        if doubt is not None:
            section.doubt = doubt
        if section.is_settled:
            return False
        if section.is_abandoned:
            self.settle(section)
            return False
        return not section.under_way and section not in self.again

    def give_back(self, section: WriteSection) -> None:
        """See PartitionQueue."""
        if section.is_abandoned:
            self.settle(section)
            return
        insort(self.again, section, key=_order)
        self.outbox.cost_bytes += section.cost_bytes()
        stamp = section.stamp
        if stamp is not None and stamp.client != self.session.client and section.doubt is None:
            self._unseal(section)

    def recall(self, section: WriteSection, doubt: str) -> bool:
        """Takes a section that is under way back to be sent elsewhere, too; whether it was."""
        if section.is_settled or section.is_abandoned:
            return False
        if section.under_way != 1 or section in self.again:
            return False
        section.doubt = doubt
        self.give_back(section)
        return True

    def settle(self, section: WriteSection) -> None:
        """See PartitionQueue. Its result will not be asked for any more."""
        section.is_settled = True
        if section.stamp is not None:
            self.session.settle(section.stamp)
        if section in self.again:
            self._pull(section)
        if self._is_blocked and self.lane is not None:
            self._is_blocked = False
            self.lane.enlist(self)

    def renew(self, section: WriteSection, index: int) -> None:
        """The partition has forgotten the session of `section`, and was applied up to `index`."""
        if section.stamp is None or section.stamp.client != self.session.client:
            return
        self.session = Session(self._random, opened_after=index)
        for each in self.again:
            if each.doubt is None:
                self._unseal(each)

    # --- ends

    def expire(self, now_s: float, margin_s: float = 0.0) -> float:
        """See PartitionQueue."""
        earliest_s = super().expire(now_s, margin_s)
        for section in self.again:
            if section.doubt is not None:
                left_s = section.expire(now_s, partial(expired_in_doubt, section.doubt))
            else:
                left_s = section.expire(now_s + margin_s, lambda: expired_in_queue(self.failure))
                if min(section.deadlines, default=math.inf) <= now_s + margin_s:
                    self._unseal(section)
            earliest_s = min(earliest_s, left_s)
        self._drop_abandoned()
        if self._is_blocked and self._make_room() and self.lane is not None:
            self.lane.enlist(self)
        return earliest_s

    def compact(self) -> None:
        """See PartitionQueue."""
        super().compact()
        self._drop_abandoned()

    def close(self) -> None:
        """See PartitionQueue."""
        super().close()
        for section in self.again:
            if section.doubt is None:
                section.fail(partial(ClientClosed, "the client was closed; nothing was applied"))
            else:
                words = f"{section.doubt}; then the client was closed"
                section.fail(partial(OutcomeUnknown, f"{words}; the write may have been applied"))

    # --- what is sent again

    def _pull(self, section: WriteSection) -> WriteSection:
        self.again.remove(section)
        self.outbox.cost_bytes -= section.cost_bytes()
        return section

    def _unseal(self, section: WriteSection) -> None:
        """`section` is one of `again`, and was not applied."""
        if section.stamp is not None:
            self.session.settle(section.stamp)
        section.unseal()
        self.outbox.cost_bytes -= section.drop_done()

    def _drop_abandoned(self) -> None:
        for section in [each for each in self.again if each.is_abandoned]:
            self.settle(section)
