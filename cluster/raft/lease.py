"""Lease reads (dissertation 6.4.1), opt-in: who cannot have been replaced yet reads at once.

Who answers a leader's heartbeat helps nobody to replace it for the *protection*, the shortest
election timeout, by its own clock. So from the moment in which a round of heartbeats was handed out
the leader knows that there is no other, if a majority answers that round, for the *lease*: the
protection, shortened by what two clocks may drift apart meanwhile. ReadIndex stays what serves a
read whenever the lease does not.

Times are microseconds of the host's clock, which goes on through pauses and sleep of the machine,
is never set, and runs at the true rate within `drift_ppm`. They are handed in, and are only
compared with each other on one replica. Ticks do not count: a host that was paused has missed some.

Two clocks: with rates 1 - d and 1 + d a protection P lasts P / (1 + d), and a lease L lasts
L / (1 - d). So L = P (1 - d) / (1 + d).

What could shorten the protection, and why it does not:

- A voter restarts, and forgets whom it answered: it protects everybody from its start on.
- A voter comes into a higher term, in which it knows no leader: the protection has nothing to do
  with terms.
- `wake(silent_ticks)`, also with more than is true to hasten an election: it moves the election
  timer, and a campaign has to wait for the protection, too. Neither do ticks count that come in a
  burst after a pause.
- The leader asks for votes itself, and is helped: its lease went with its leadership.
- The leader asks another to campaign (3.10), and no voter hinders that: it has no lease while it
  hands over, and none in the term once it has sent TimeoutNow, which may still be under way when
  the transfer was given up.
- New voters protect nobody yet: each change of the configuration ends the lease, and its next round
  has to be answered by a majority of the new ones.
- Followers in a quiet group do not tick: there is no lease while quiet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from cluster.errors import InvariantViolation
from cluster.ids import ReplicaId

_MILLION: Final = 1_000_000
_ROUNDS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class LeaseConfig:
    """What leases rest on. Raises ValueError where they could not."""

    tick_us: int
    """How long the host's ticks are meant to be."""
    drift_ppm: int
    """No host's clock is faster or slower than true time by more than this, in millionths."""

    def __post_init__(self) -> None:
        if self.tick_us < 1:
            raise ValueError(f"tick_us is {self.tick_us}; it has to be 1 or more")
        if not 0 <= self.drift_ppm < _MILLION:
            raise ValueError(f"drift_ppm is {self.drift_ppm}; it has to be in [0, {_MILLION})")

    def protection_us(self, election_ticks_min: int) -> int:
        """How long who answered a leader does not help to replace it."""
        return election_ticks_min * self.tick_us

    def lease_us(self, election_ticks_min: int) -> int:
        """How long a leader may count on that."""
        protection_us = self.protection_us(election_ticks_min)
        return protection_us * (_MILLION - self.drift_ppm) // (_MILLION + self.drift_ppm)


class Protection:
    """Of the leader that this replica answered last, by its own clock."""

    __slots__ = ("_duration_us", "_leader", "_now_us", "_until_us")

    def __init__(self, duration_us: int, *, may_have_answered: bool) -> None:
        self._duration_us = duration_us
        self._now_us = 0
        self._leader: ReplicaId | None = None
        # None: it begins with the next tick, which is the next that is known of time. That a leader
        # was heard a little before only makes it longer.
        self._until_us: int | None = None if may_have_answered else 0

    def renew(self, leader: ReplicaId) -> None:
        """`leader` was heard, and is answered."""
        self._leader = leader
        self._until_us = None

    def tick(self, now_us: int) -> None:
        """The time is `now_us`."""
        if now_us < self._now_us:
            raise InvariantViolation(f"the clock went back from {self._now_us} to {now_us} us")
        self._now_us = now_us
        if self._until_us is None:
            self._until_us = now_us + self._duration_us

    def holds_against(self, candidate: ReplicaId) -> bool:
        """Whether `candidate` must not be helped to lead."""
        until_us = self._until_us
        return candidate != self._leader and (until_us is None or self._now_us < until_us)


class Lease:
    """Of one leader in one term: until when nobody else can lead."""

    __slots__ = ("_duration_us", "_now_us", "_rounds", "_until_us")

    def __init__(self, duration_us: int) -> None:
        self._duration_us = duration_us
        self._now_us = 0
        self._until_us = 0
        self._rounds: deque[tuple[int, int]] = deque()
        """Unconfirmed: (round, when its heartbeats were handed out)."""

    def begin_round(self, number: int, now_us: int) -> None:
        """The heartbeats of round `number` are being handed out."""
        self._observe(now_us)
        if len(self._rounds) < _ROUNDS_MAX:
            self._rounds.append((number, now_us))

    def confirm(self, confirmed: int) -> None:
        """A majority has answered all rounds up to `confirmed`, or later ones."""
        rounds = self._rounds
        while rounds and rounds[0][0] <= confirmed:
            self._until_us = rounds.popleft()[1] + self._duration_us

    def holds(self, now_us: int) -> bool:
        """Whether nobody else can lead at `now_us`."""
        self._observe(now_us)
        return now_us < self._until_us

    def drop(self) -> None:
        """Ends it, and lets no round that was begun renew it."""
        self._rounds.clear()
        self._until_us = 0

    def _observe(self, now_us: int) -> None:
        if now_us < self._now_us:
            raise InvariantViolation(f"the clock went back from {self._now_us} to {now_us} us")
        self._now_us = now_us
