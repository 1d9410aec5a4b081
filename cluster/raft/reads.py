"""ReadIndex (dissertation 6.4): linearizable reads without a log entry.

Reads wait until the leader knows that it still led after they came in. All that wait when a bundle
is made share one *round*: one heartbeat to each peer, answered with the round's number. Rounds are
numbered within the leader's term, and a number is never used twice in it; so an answer, however
late, confirms only rounds that began before it was given. Contexts say nothing here.

A host of many groups asks the peers itself, for all groups at once and without heartbeats
(`Raft.begin_read_round`). What is lost of that the next heartbeat asks again.
"""

from __future__ import annotations

from collections import deque

from cluster.errors import ProposalRefused
from cluster.ids import Index
from cluster.raft.ready import ReadState


class TooManyReads(ProposalRefused):
    """The reads that wait for their confirmation have reached their bound."""


class Reads:
    """The reads of one leader in one term."""

    __slots__ = ("_count", "_count_max", "_rounds", "confirmed", "round", "waiting")

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._count = 0
        self.waiting: list[int] = []
        """Those without a round."""
        self._rounds: deque[tuple[int, Index, list[int]]] = deque()
        """Unconfirmed: (round, commit index when it began, contexts)."""
        self.confirmed: list[ReadState] = []
        """To be handed out."""
        self.round = 0
        """The last round that was begun."""

    def __len__(self) -> int:
        """Reads that are not confirmed."""
        return self._count

    @property
    def open_round(self) -> int:
        """The round that a heartbeat asks for; 0: none."""
        return self.round if self._rounds else 0

    def add(self, context: int) -> None:
        """One more read; raises TooManyReads."""
        if self._count >= self._count_max:
            raise TooManyReads(f"{self._count} reads wait; the limit is {self._count_max}")
        self._count += 1
        self.waiting.append(context)

    def serve(self, context: int, commit: Index) -> None:
        """One more read, which needs no round; raises TooManyReads."""
        if len(self.confirmed) >= self._count_max:
            raise TooManyReads(f"{self._count_max} reads wait to be handed out; that is the limit")
        self.confirmed.append(ReadState(context, commit))

    def next_round(self) -> int:
        """A round without reads of its own; its answers confirm all that were begun."""
        self.round += 1
        return self.round

    def begin_round(self, commit: Index) -> None:
        """Puts all waiting reads into a new round; `commit` covers every answer given so far."""
        self.round += 1
        self._rounds.append((self.round, commit, self.waiting))
        self.waiting = []

    def confirm(self, confirmed: int) -> None:
        """Every round up to `confirmed` is: the leader led after they began."""
        rounds = self._rounds
        while rounds and rounds[0][0] <= confirmed:
            _number, index, contexts = rounds.popleft()
            self._count -= len(contexts)
            self.confirmed.extend([ReadState(context, index) for context in contexts])

    def take(self) -> tuple[ReadState, ...]:
        """The reads that were confirmed since the last bundle."""
        if not self.confirmed:
            return ()
        states = tuple(self.confirmed)
        self.confirmed.clear()
        return states
