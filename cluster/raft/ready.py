"""What a replica wants done: the numbered bundle that `Raft.ready()` returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.messages import Entry, Message
from cluster.raft.snapshot import SnapshotMeta


@unique
class Role(IntEnum):
    """What a replica is in its term (dissertation 3.3; pre-candidate: 9.6)."""

    FOLLOWER = 0
    PRE_CANDIDATE = 1
    CANDIDATE = 2
    LEADER = 3


@dataclass(init=False, slots=True, unsafe_hash=True)  # as in messages.py, and why
class HardState:
    """What must survive a restart (dissertation figure 3.1). `commit` is a hint: it may be old."""

    term: Term = Term(0)
    vote: ReplicaId | None = None
    commit: Index = Index(0)

    def __init__(
        self, term: Term = Term(0), vote: ReplicaId | None = None, commit: Index = Index(0)
    ) -> None:
        self.term = term
        self.vote = vote
        self.commit = commit


@dataclass(init=False, slots=True, unsafe_hash=True)  # likewise
class ReadState:
    """Reads that were handed in under `context` may be served once `index` is applied (6.4)."""

    context: int
    index: Index

    def __init__(self, context: int, index: Index) -> None:
        self.context = context
        self.index = index


@dataclass(init=False, slots=True)  # likewise
class Ready:
    """Work for the host. The order of the fields is the order in which they bind.

    Several bundles may be under way at once; their numbers rise by one.
    """

    number: int
    """Answered by `on_persisted(number)` once `hard_state` and `entries` are on stable storage.
    Answers come in order; one answer covers all lower numbers."""

    snapshot: SnapshotMeta | None
    """To be installed: the state that came with the SnapshotRequest replaces the applied state, and
    the log is empty behind it. `LogStorage` shows that before the core is called again (first_index
    is index + 1, and the term of index is known); `entries` come after. On stable storage, log,
    state and `hard_state` change in one atomic step: after a crash all are as before, or none.
    Committed entries that are still to be applied from earlier bundles are covered by it, and
    dropped. `on_persisted(number)` says that it is installed: until then nothing is handed out as
    committed, and the replica does not campaign. None: as before."""

    entries: tuple[Entry, ...]
    """To be made visible through `LogStorage` before the core is called again, replacing whatever
    stands at their indexes and all that follows, and to be persisted."""

    hard_state: HardState | None
    """To be persisted together with `entries`, in one atomic step. None: as before. `commit` alone
    may be left out or be older."""

    must_sync: bool
    """Whether persisting has to reach stable storage: entries, term or vote changed, or there is a
    snapshot. A change of `commit` alone may be lost."""

    messages: tuple[Message, ...]
    """May be sent at once: they claim nothing that is not yet persisted. A SnapshotRequest is of
    the state before `committed` of this bundle is applied."""

    messages_after_persist: tuple[Message, ...]
    """To be sent only after `hard_state` and `entries` of this and all lower bundles are
    persisted, and their snapshots installed: votes and acknowledgements."""

    committed: tuple[Entry, ...]
    """To be applied in order, each once; all are persisted here. Answered by `on_applied`. The
    next bundle goes on after them whether or not they have been answered. A MEMBERSHIP entry
    changes no data, but its configuration is kept with the state, in the same atomic step as the
    applied index: the core asks for it on a restart, and a snapshot carries it."""

    read_states: tuple[ReadState, ...]
    """Reads whose leadership was confirmed. Lost, without a sign here, when leadership is lost:
    the host fails them when `role` is no longer LEADER or `term` has changed (6.4)."""

    role: Role
    term: Term
    leader: ReplicaId | None
    """The leader of `term`, as far as it is known."""

    def __init__(
        self,
        number: int,
        snapshot: SnapshotMeta | None,
        entries: tuple[Entry, ...],
        hard_state: HardState | None,
        must_sync: bool,
        messages: tuple[Message, ...],
        messages_after_persist: tuple[Message, ...],
        committed: tuple[Entry, ...],
        read_states: tuple[ReadState, ...],
        role: Role,
        term: Term,
        leader: ReplicaId | None,
    ) -> None:
        self.number = number
        self.snapshot = snapshot
        self.entries = entries
        self.hard_state = hard_state
        self.must_sync = must_sync
        self.messages = messages
        self.messages_after_persist = messages_after_persist
        self.committed = committed
        self.read_states = read_states
        self.role = role
        self.term = term
        self.leader = leader

    @property
    def must_persist(self) -> bool:
        """Whether there is anything to persist."""
        return bool(self.entries) or self.hard_state is not None or self.snapshot is not None
