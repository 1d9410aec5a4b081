"""What a replica shows of itself: to be read at any time, without effect."""

from __future__ import annotations

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.configuration import Configuration
from cluster.raft.log import RaftLog
from cluster.raft.ready import Role
from cluster.raft.roles import Roles
from cluster.raft.state import ReplicaState
from cluster.raft.status import Status, status_of


class ReplicaView:
    """The part of `Raft` that only tells."""

    __slots__ = ("_log", "_roles", "_state")

    _log: RaftLog
    _roles: Roles
    _state: ReplicaState

    @property
    def role(self) -> Role:
        """What this replica is in its term."""
        return self._state.role

    @property
    def term(self) -> Term:
        """The current term."""
        return self._state.term

    @property
    def vote(self) -> ReplicaId | None:
        """Who got this replica's vote in the current term."""
        return self._state.vote

    @property
    def leader(self) -> ReplicaId | None:
        """The leader of the current term, as far as it is known."""
        return self._state.leader

    @property
    def configuration(self) -> Configuration:
        """Who belongs to the group, by the latest that stands in the log (4.1)."""
        return self._state.configuration

    @property
    def is_changing_members(self) -> bool:
        """Whether `configuration` is not the last word: it is joint, or not known to be committed,
        and the one before it may come into force again (4.1)."""
        held = self._log.configurations
        return held.current.is_joint or held.current_index > self._log.commit

    @property
    def commit(self) -> Index:
        """All up to here is known to be committed."""
        return self._log.commit

    @property
    def applied(self) -> Index:
        """All up to here was applied, by the host's word."""
        return self._log.applied

    @property
    def last_index(self) -> Index:
        """The last index of the log, persisted or not."""
        return self._log.last_index

    @property
    def persisted(self) -> Index:
        """The log is on stable storage, as it is now, up to here."""
        return self._log.persisted

    @property
    def peers(self) -> tuple[ReplicaId, ...]:
        """The other members of `configuration`."""
        return self._state.peers

    @property
    def is_quiet(self) -> bool:
        """Whether `tick()` does nothing."""
        return self._state.quiet

    def glance(self) -> tuple[Role, Term, ReplicaId | None, Index, Index]:
        """Role, term, vote, commit and applied index, for who looks often."""
        state, log = self._state, self._log
        return state.role, state.term, state.vote, log.commit, log.applied

    def status(self) -> Status:
        """All of it, for operators."""
        return status_of(self._state, self._roles.leader)
