"""Handing leadership over (dissertation 3.10).

```
          begin                match = last index: TimeoutNow
   NONE ─────────▶ CATCHING UP ───────────────────────────────▶ TOLD
    ▲                   │                                         │
    └───────────────────┴─────────── given up ────────────────────┘
```
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.errors import TransferInProgress
from cluster.ids import ReplicaId
from cluster.raft.messages import TimeoutNow
from cluster.raft.progress import Progress
from cluster.raft.state import ReplicaState


class Transfer:
    """The transfers of one leader in one term: one at a time."""

    __slots__ = ("_elapsed", "_is_told", "_progress", "_state", "to", "was_told")

    def __init__(self, state: ReplicaState, progress: Mapping[ReplicaId, Progress]) -> None:
        self._state = state
        self._progress = progress
        self._elapsed = 0
        self._is_told = False
        self.to: ReplicaId | None = None
        """Whom leadership is being handed to."""
        self.was_told = False
        """Somebody was told to campaign, in this term: TimeoutNow may be under way for long."""

    def require_none(self) -> None:
        """Raises TransferInProgress while there is one."""
        if self.to is not None:
            raise TransferInProgress(f"leadership is being handed to replica {self.to}")

    def begin(self, to: ReplicaId) -> None:
        """Hands over to `to` as soon as it has the whole log.

        Raises ValueError for who is no voter, and TransferInProgress while it goes to another.
        """
        if to in (self._state.replica, self.to):
            return
        if to not in self._state.configuration.voters:
            raise ValueError(f"replica {to} is not a voter of this group")
        self.require_none()
        self.to = to
        self._elapsed = 0
        self._is_told = False
        self.advance()

    def advance(self) -> None:
        """Tells the target to campaign if it has all there is: once."""
        to = self.to
        if to is None or self._is_told:
            return
        if self._progress[to].match == self._state.log.last_index:
            self._is_told = True
            self._tell(to)

    def tick(self) -> bool:
        """One tick passed. Whether the transfer was given up with it: after the shortest election
        timeout."""
        if self.to is None:
            return False
        self._elapsed += 1
        if self._elapsed < self._state.config.election_ticks_min:
            return False
        self.to = None
        return True

    def appoint_heir(self, is_active: Callable[[ReplicaId], bool]) -> None:
        """As it goes, the leader asks the voter that has most of its log to campaign at once: the
        group need not wait for an election timeout (4.2.2)."""
        me = self._state.replica
        peers = sorted(self._state.configuration.voters - {me})
        voters = [peer for peer in peers if is_active(peer)]
        if voters:
            self._tell(max(voters, key=lambda voter: self._progress[voter].match))

    def _tell(self, to: ReplicaId) -> None:
        state = self._state
        self.was_told = True
        state.send(TimeoutNow(state.replica, to, state.term))
