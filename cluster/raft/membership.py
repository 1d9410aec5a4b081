"""A leader's side of membership changes (dissertation chapter 4): when one may begin, and its end.

- None begins before an entry of the own term is committed: a predecessor's change, not yet known to
  be lost, need have no majority in common with this one (Ongaro on raft-dev, 10 July 2015).
- One at a time: two configurations in a row always have a majority in common.
- A voter was a learner first, and has caught up (4.2.1): else commits would wait for it.
- A majority of the new voters was heard lately: else the group could stand still for good.
- Joint consensus is left by whoever leads (4.3), also if another began it: a change is never
  abandoned half-way.
- A leader outside the new configuration leads on, without counting itself, until that is committed
  (4.2.2): before, nobody else may be able to win. Then it steps down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cluster.errors import ProposalRefused
from cluster.ids import ReplicaId
from cluster.raft.configuration import Configuration, MembershipChange
from cluster.raft.progress import Progress
from cluster.raft.quorum import is_majority
from cluster.raft.state import ReplicaState


class ChangeTooEarly(ProposalRefused):
    """The leader has not yet committed an entry of its term."""


class ChangeInProgress(ProposalRefused):
    """Another change of the configuration is not yet committed, or joint consensus not left."""


class NothingToChange(ProposalRefused):
    """The configuration is already what was asked for."""


class LearnerNotReady(ProposalRefused):
    """A voter-to-be is not a learner yet, has not caught up or was not heard of lately."""


class VotersNotHeard(ProposalRefused):
    """Too few of the voters-to-be were heard of lately: they might never decide anything."""


class Membership:
    """The changes of one leader in one term."""

    __slots__ = ("_state", "_term_start", "has_left", "is_open")

    def __init__(self, state: ReplicaState, term_start: int) -> None:
        self._state = state
        self._term_start = term_start
        self.is_open = True
        """A change may be under way: `on_commit` wants to know of commits. At first it is that of a
        predecessor."""
        self.has_left = False
        """The leader's removal is committed: it has to step down."""

    def require_none(self) -> None:
        """Raises ChangeTooEarly or ChangeInProgress when no change may begin."""
        log = self._state.log
        if log.commit < self._term_start:
            raise ChangeTooEarly(
                f"entry {self._term_start}, the first of term {self._state.term}, is not committed"
            )
        held = log.configurations
        if held.current.is_joint:
            raise ChangeInProgress(f"the change at {held.current_index} is not completed")
        if held.current_index > log.commit:
            raise ChangeInProgress(f"the change at {held.current_index} is not committed")

    def next(
        self,
        change: MembershipChange,
        progress: Mapping[ReplicaId, Progress],
        is_active: Callable[[ReplicaId], bool],
    ) -> Configuration:
        """The configuration to append for `change`; to be called when none is under way.

        `is_active` says who was heard of lately. Raises NothingToChange, LearnerNotReady or
        VotersNotHeard.
        """
        current = self._state.configuration
        if (change.voters, change.learners) == (current.voters, current.learners):
            raise NothingToChange("the group has these voters and learners")
        for replica in sorted(change.voters - current.voters):
            self._require_caught_up(replica, progress.get(replica))
            if not is_active(replica):
                raise LearnerNotReady(f"learner {replica} was not heard of lately")
        if change.voters != current.voters and not is_majority(
            Configuration(change.voters), is_active
        ):
            raise VotersNotHeard(f"no majority of {sorted(change.voters)} was heard of lately")
        return current.changed_by(change)

    def _require_caught_up(self, replica: ReplicaId, progress: Progress | None) -> None:
        """A learner may vote that would not hold commits up (4.2.1)."""
        if progress is None:
            raise LearnerNotReady(f"replica {replica} has to be a learner before it is a voter")
        lag = self._state.log.last_index - progress.match
        lag_max = self._state.config.promotion_lag_max
        if lag > lag_max:
            raise LearnerNotReady(f"learner {replica} lacks {lag} entries; the limit is {lag_max}")

    def on_appended(self) -> None:
        """A configuration was appended by this leader."""
        self.is_open = True

    def on_commit(self, *, may_append: bool) -> Configuration | None:
        """The commit index moved, or there is none of a transfer any more: the configuration to
        append, which leaves joint consensus. Not while nothing `may_append`."""
        if not self.is_open:  # it is the end of a transfer that is told
            return None
        state = self._state
        log = state.log
        held = log.configurations
        if not self._term_start <= log.commit >= held.current_index:
            return None
        if held.current.is_joint:
            return held.current.left() if may_append else None
        self.is_open = False
        self.has_left = not held.current.elects(state.replica)
        return None
