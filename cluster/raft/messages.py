"""What replicas of one group say to each other.

Each message is a value of its own type; `term` is the sender's term, except where a type says
otherwise. The names follow Ongaro, "Consensus: Bridging Theory and Practice" (2014), here called
"the dissertation". Entry payloads are opaque.

Values all the same, though not frozen: thousands are made a second, and a frozen dataclass takes
three times as long to make. Nobody changes one. For the same reason the constructors of those that
are made most are written out: a dataclass's own is interpreted where all else is compiled, and
takes nine times as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.snapshot import SnapshotMeta


@unique
class EntryKind(IntEnum):
    """What an entry carries. The numbers are stored and sent: never renumber."""

    NORMAL = 0
    """A command for the state machine; an empty payload changes nothing (a new leader's first)."""
    MEMBERSHIP = 1
    """A change of the group's configuration."""


@dataclass(init=False, slots=True, unsafe_hash=True)
class Entry:
    """One position of a group's log."""

    index: Index
    term: Term
    kind: EntryKind
    data: bytes

    def __init__(self, index: Index, term: Term, kind: EntryKind, data: bytes) -> None:
        self.index = index
        self.term = term
        self.kind = kind
        self.data = data


@dataclass(slots=True, unsafe_hash=True)
class VoteRequest:
    """Asks for a vote (dissertation 3.4), or, as a pre-vote, whether one would be given (9.6).

    A pre-vote's `term` is the term the sender would campaign in: one above its own.
    """

    sender: ReplicaId
    to: ReplicaId
    term: Term
    last_index: Index
    last_term: Term
    pre_vote: bool = False
    handover: bool = False
    """The leader asked for this campaign (3.10): voters do not protect the leader they know."""


@dataclass(slots=True, unsafe_hash=True)
class VoteResponse:
    """Answers a VoteRequest. A granted pre-vote repeats the request's term."""

    sender: ReplicaId
    to: ReplicaId
    term: Term
    granted: bool
    pre_vote: bool = False


@dataclass(init=False, slots=True, unsafe_hash=True)
class AppendRequest:
    """Entries that follow (`prev_index`, `prev_term`), and the leader's commit index (3.5)."""

    sender: ReplicaId
    to: ReplicaId
    term: Term
    prev_index: Index
    prev_term: Term
    commit: Index
    entries: tuple[Entry, ...] = ()

    def __init__(
        self,
        sender: ReplicaId,
        to: ReplicaId,
        term: Term,
        prev_index: Index,
        prev_term: Term,
        commit: Index,
        entries: tuple[Entry, ...] = (),
    ) -> None:
        self.sender = sender
        self.to = to
        self.term = term
        self.prev_index = prev_index
        self.prev_term = prev_term
        self.commit = commit
        self.entries = entries


@dataclass(init=False, slots=True, unsafe_hash=True)
class AppendResponse:
    """Answers an AppendRequest.

    Accepted: `index` is the last index known to match, persisted on the sender.
    Rejected: `index` is the request's `prev_index`, and (`hint_index`, `hint_term`) the last entry
    of the sender at or below it that could still match (fast backtracking, 3.5).
    """

    sender: ReplicaId
    to: ReplicaId
    term: Term
    accepted: bool
    index: Index
    hint_index: Index = Index(0)
    hint_term: Term = Term(0)

    def __init__(
        self,
        sender: ReplicaId,
        to: ReplicaId,
        term: Term,
        accepted: bool,
        index: Index,
        hint_index: Index = Index(0),
        hint_term: Term = Term(0),
    ) -> None:
        self.sender = sender
        self.to = to
        self.term = term
        self.accepted = accepted
        self.index = index
        self.hint_index = hint_index
        self.hint_term = hint_term


@dataclass(init=False, slots=True, unsafe_hash=True)
class HeartbeatRequest:
    """The leader is alive; `commit` never exceeds what the receiver is known to have."""

    sender: ReplicaId
    to: ReplicaId
    term: Term
    commit: Index
    read_round: int = 0
    """The round of ReadIndex that an answer confirms (6.4); 0: none."""
    fall_quiet: bool = False
    """Everything is replicated and committed: stop ticking until something happens."""

    def __init__(
        self,
        sender: ReplicaId,
        to: ReplicaId,
        term: Term,
        commit: Index,
        read_round: int = 0,
        fall_quiet: bool = False,
    ) -> None:
        self.sender = sender
        self.to = to
        self.term = term
        self.commit = commit
        self.read_round = read_round
        self.fall_quiet = fall_quiet


@dataclass(init=False, slots=True, unsafe_hash=True)
class HeartbeatResponse:
    """Answers a HeartbeatRequest and repeats its read round."""

    sender: ReplicaId
    to: ReplicaId
    term: Term
    read_round: int = 0

    def __init__(self, sender: ReplicaId, to: ReplicaId, term: Term, read_round: int = 0) -> None:
        self.sender = sender
        self.to = to
        self.term = term
        self.read_round = read_round


@dataclass(slots=True, unsafe_hash=True)
class TimeoutNow:
    """The leader asks the receiver to campaign at once (3.10)."""

    sender: ReplicaId
    to: ReplicaId
    term: Term


@dataclass(slots=True, unsafe_hash=True)
class SnapshotRequest:
    """The applied state, for a follower that needs what was compacted (5.3).

    Sender: the host attaches the state that covers exactly `snapshot`, which is what it has applied
    when it is handed this, or a later state, putting that one's place here; but none whose last
    entry is of a later term than the message, which its receiver would drop. It tells the core by
    `report_snapshot_failed` when it gives up. Receiver: the host hands this to the core once all of
    the state has arrived, and keeps that until it is asked to install it (`Ready.snapshot`), or
    takes another, or restarts. Answered by an accepting AppendResponse.
    """

    sender: ReplicaId
    to: ReplicaId
    term: Term
    snapshot: SnapshotMeta


Message = (
    VoteRequest
    | VoteResponse
    | AppendRequest
    | AppendResponse
    | HeartbeatRequest
    | HeartbeatResponse
    | TimeoutNow
    | SnapshotRequest
)
