"""The end of keys: leaders let the clocks of their partitions run, and say which keys have ended.

The clock of a partition is what stands in its log (storage/expiry.py). Whoever leads lets it go on
from there by the node's monotonic clock, so that no key ends early but by what that one runs too
fast, or jumps. While nobody leads it stands still; and what a leader has not put into the log is
lost with its leadership, so it does that now and then, as long as there are keys that end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

from cluster.errors import ProposalRefused
from cluster.ids import GroupId, Index, Term
from kvstore.codec.command import OperationKind, encode_command, with_clock
from kvstore.replica.replica import Replica

ENDED_PER_TICK_MAX: Final = 256
"""Keys that a node ends with one tick, over all partitions that it leads. Each of those has one
entry that ends keys under way, and takes its turn: however many keys end at once, what clients ask
for finds room between."""

CLOCK_BEHIND_MS_MAX: Final = 5000
"""How far the clock in the log may be behind the leader's, where keys are to end."""

_EXPIRY: Final = Struct("<Q")


@dataclass(frozen=True, slots=True)
class _Running:
    """A clock that goes on from `clock_ms`, where it stood at `since_ms` of the node's."""

    term: Term
    clock_ms: int
    since_ms: int


class Lifetimes:
    """See the module."""

    __slots__ = ("_ending", "_monotonic_s", "_replicas", "_running", "_touch", "_turn")

    def __init__(
        self,
        replicas: Mapping[GroupId, Replica],
        monotonic_s: Callable[[], float],
        touch: Callable[[Replica], None],
    ) -> None:
        """`touch` is told of a replica with a new entry."""
        self._replicas = replicas
        self._monotonic_s = monotonic_s
        self._touch = touch
        self._running: dict[GroupId, _Running] = {}
        self._ending: dict[GroupId, tuple[Term, Index]] = {}
        """The last entry that ends keys, by group."""
        self._turn = 0
        """The place of the replica that is asked first with the next tick; may be past the last."""

    def clock_ms(self, replica: Replica) -> int:
        """What time it is in the partition of `replica`, which leads it."""
        stands_at_ms = 0 if replica.state is None else replica.state.clock_ms
        now_ms, term = int(self._monotonic_s() * 1000), replica.core.term
        running = self._running.get(replica.group)
        if running is not None and running.term == term:
            clock_ms = running.clock_ms + now_ms - running.since_ms
            if clock_ms >= stands_at_ms:
                return clock_ms
        # It has just begun to lead, or has applied what an earlier leader had put into the log.
        self._running[replica.group] = _Running(term, stands_at_ms, now_ms)
        return stands_at_ms

    def tick(self, *, may_propose: bool) -> None:
        """Time passes: proposes to end what has ended, in every partition that is led here."""
        replicas = list(self._replicas.values())
        first = self._turn % max(1, len(replicas))
        room = ENDED_PER_TICK_MAX
        for place, replica in enumerate(replicas[first:] + replicas[:first], first):
            state = replica.state
            if state is None or state.expiries.is_empty or not replica.is_leader:
                continue
            clock_ms = self.clock_ms(replica)
            if not may_propose or self._is_ending(replica):
                continue
            due = state.expiries.due(clock_ms, room) if room else []
            is_behind = clock_ms - state.clock_ms >= CLOCK_BEHIND_MS_MAX
            if due or is_behind:
                self._end(replica, due, clock_ms)
            if due and len(due) == room:
                self._turn = place + 1
            room -= len(due)

    def _is_ending(self, replica: Replica) -> bool:
        ending = self._ending.get(replica.group)
        return (
            ending is not None
            and ending[0] == replica.core.term
            and ending[1] > replica.core.applied
        )

    def _end(self, replica: Replica, due: list[tuple[bytes, int]], clock_ms: int) -> None:
        command = encode_command(
            bytes([OperationKind.EXPIRE]) * len(due),
            [key for key, _ in due],
            [_EXPIRY.pack(expiry_ms) for _, expiry_ms in due],
            timed=True,
        )
        with contextlib.suppress(ProposalRefused):
            index = replica.core.propose(with_clock(command, clock_ms))
            self._ending[replica.group] = (replica.core.term, index)
            self._touch(replica)
