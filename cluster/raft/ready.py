"""What a replica wants done: the numbered bundle that `Raft.ready()` returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.messages import Entry, Message


@unique
class Role(IntEnum):
    """What a replica is in its term (dissertation 3.3; pre-candidate: 9.6)."""

    FOLLOWER = 0
    PRE_CANDIDATE = 1
    CANDIDATE = 2
    LEADER = 3


@dataclass(frozen=True, slots=True)
class HardState:
    """What must survive a restart (dissertation figure 3.1). `commit` is a hint: it may be old."""

    term: Term = Term(0)
    vote: ReplicaId | None = None
    commit: Index = Index(0)


@dataclass(frozen=True, slots=True)
class ReadState:
    """Reads that were handed in under `context` may be served once `index` is applied (6.4)."""

    context: int
    index: Index


@dataclass(slots=True)  # not frozen for the reason given in messages.py
class Ready:
    """Work for the host. The order of the fields is the order in which they bind.

    Several bundles may be under way at once; their numbers rise by one.
    """

    number: int
    """Answered by `on_persisted(number)` once `hard_state` and `entries` are on stable storage.
    Answers come in order; one answer covers all lower numbers."""

    entries: tuple[Entry, ...]
    """To be made visible through `LogStorage` before the core is called again, replacing whatever
    stands at their indexes and all that follows, and to be persisted."""

    hard_state: HardState | None
    """To be persisted together with `entries`, in one atomic step. None: as before."""

    must_sync: bool
    """Whether persisting has to reach stable storage: entries, term or vote changed. A change of
    `commit` alone may be lost."""

    messages: tuple[Message, ...]
    """May be sent at once: they claim nothing that is not yet persisted."""

    messages_after_persist: tuple[Message, ...]
    """To be sent only after `hard_state` and `entries` of this and all lower bundles are
    persisted: votes and acknowledgements."""

    committed: tuple[Entry, ...]
    """To be applied in order, each once; all are persisted here. Answered by `on_applied`. The
    next bundle goes on after them whether or not they have been answered."""

    read_states: tuple[ReadState, ...]
    """Reads whose leadership was confirmed. Lost, without a sign here, when leadership is lost:
    the host fails them when `role` is no longer LEADER or `term` has changed."""

    role: Role
    term: Term
    leader: ReplicaId | None
    """The leader of `term`, as far as it is known."""

    @property
    def must_persist(self) -> bool:
        """Whether there is anything to persist."""
        return bool(self.entries) or self.hard_state is not None
