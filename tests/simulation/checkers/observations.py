"""Nodes that are nothing but what checkers see of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.membership import PeerContacts
from cluster.raft import Configuration, PeerStatus, RaftConfig, Status
from cluster.raft.messages import Entry, EntryKind
from cluster.raft.progress import ProgressState
from cluster.raft.ready import HardState, Role
from kvstore.commitlog.commit_log import Position, Record
from kvstore.replica.admission import Admission, AdmissionLimits
from kvstore.replica.log_pipeline import LogPipeline
from kvstore.replica.log_records import RecordKind, encode_hard_state
from kvstore.simulation.checkers.replica_watch import Change, View
from kvstore.storage.sessions import SessionTable

T = TypeVar("T")
GROUP = GroupId(1)
ONE, TWO, THREE = ReplicaId(1), ReplicaId(2), ReplicaId(3)
EVERYBODY = Configuration(frozenset({ONE, TWO, THREE}))


def entry(index: int, term: int, data: bytes = b"") -> Entry:
    return Entry(Index(index), Term(term), EntryKind.NORMAL, data)


def status(**changes: object) -> Status:
    """Of a leader at rest."""
    rest = Status(
        replica=ONE,
        role=Role.LEADER,
        term=Term(1),
        vote=ONE,
        leader=ONE,
        commit=Index(0),
        applied=Index(0),
        persisted=Index(0),
        first_index=Index(1),
        last_index=Index(0),
        is_installing=False,
        is_quiet=False,
        transfer_to=None,
        uncommitted_bytes=0,
        reads_waiting=0,
        configuration=EVERYBODY,
        peers=(),
    )
    return replace(rest, **changes)  # type: ignore[arg-type]


def peer(match: int, **changes: object) -> PeerStatus:
    rest = PeerStatus(TWO, Index(match), 0, True, ProgressState.REPLICATE, 0, 0, None)
    return replace(rest, **changes)  # type: ignore[arg-type]


@dataclass
class FakeLog:
    held: list[Entry] = field(default_factory=list)
    cached_bytes: int = 0
    cached_bytes_max: int = 1 << 20

    def first_index(self) -> Index:
        return Index(1)

    def last_index(self) -> Index:
        return Index(len(self.held))

    def glance(self) -> tuple[Index, Term]:
        return self.last_index(), self.term(self.last_index())

    def term(self, index: Index) -> Term:
        if not 0 <= index <= len(self.held):
            raise IndexError(index)
        return self.held[index - 1].term if index else Term(0)

    def entries(self, low: Index, high: Index, bytes_max: int) -> Sequence[Entry]:
        return self.held[low - 1 : high - 1]


@dataclass
class FakeCore:
    role: Role = Role.FOLLOWER
    term: Term = Term(1)
    vote: ReplicaId | None = None
    commit: Index = Index(0)
    applied: Index = Index(0)
    configuration: Configuration = EVERYBODY
    told: Status = field(default_factory=status)

    def glance(self) -> tuple[Role, Term, ReplicaId | None, Index, Index]:
        return self.role, self.term, self.vote, self.commit, self.applied

    def status(self) -> Status:
        return self.told


@dataclass
class FakeState:
    applied_index: Index = Index(0)
    hash: int = 0
    reads: int = 0
    sessions_max: int = 2048
    sessions_read: SessionTable | None = None

    def fingerprint(self) -> int:
        self.reads += 1
        return self.hash


@dataclass
class FakeReplica:
    core: FakeCore = field(default_factory=FakeCore)
    log: FakeLog = field(default_factory=FakeLog)
    state: FakeState | None = None
    proposed: int = 0
    waiting_writes: list[object] = field(default_factory=list)
    waiting_reads: list[object] = field(default_factory=list)


class FakeCommitLog:
    """Remembers hard states, and writes nothing."""

    def __init__(self) -> None:
        self.states: dict[int, bytes] = {}

    def latest(self, group: int, kind: int) -> bytes | None:
        assert kind == RecordKind.HARD_STATE
        return self.states.get(group)

    def hold(self, term: int, vote: ReplicaId | None = None) -> None:
        self.states[GROUP] = encode_hard_state(HardState(Term(term), vote, Index(0)))

    def append(self, records: Sequence[Record]) -> list[Position]:
        return [Position(0, 0, 0) for _ in records]


class NoWorker:
    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        raise AssertionError("nothing is written here")

    def close(self) -> None:
        pass


class FakeScrubber:
    def __init__(self) -> None:
        self.readings = 0


class FakeHost:
    def __init__(self, replica: FakeReplica, log: FakeCommitLog) -> None:
        self.config = RaftConfig()
        self.replicas = {GROUP: replica}
        contacts = PeerContacts(ONE, (), 1)
        self.admission = Admission(ONE, contacts, AdmissionLimits(), 1)
        worker = NoWorker()
        self.pipeline = LogPipeline(log, worker, lambda _pending: None, lambda _problem: None)
        self.scrubber = FakeScrubber()


class FakeNode:
    """One replica of GROUP."""

    def __init__(self, me: ReplicaId = ONE) -> None:
        self.replica_id = me
        self.replica = FakeReplica()
        self.commit_log = FakeCommitLog()
        self.host = FakeHost(self.replica, self.commit_log)
        self.damaged: set[GroupId] = set()

    def is_damaged(self, group: GroupId) -> bool:
        return group in self.damaged

    @property
    def core(self) -> FakeCore:
        return self.replica.core

    @property
    def log(self) -> FakeLog:
        return self.replica.log


@dataclass
class FakeCluster:
    nodes: list[FakeNode]


def view(
    role: Role = Role.FOLLOWER,
    *,
    term: int = 1,
    vote: ReplicaId | None = None,
    commit: int = 0,
    applied: int = 0,
    last_index: int = 0,
    last_term: int = 0,
) -> View:
    return View(
        role, Term(term), vote, Index(commit), Index(applied), Index(last_index), Term(last_term)
    )


class Observed:
    """Makes the changes of one replica, one after another."""

    def __init__(self, me: ReplicaId = ONE) -> None:
        self.me = me
        self.replica = FakeReplica()
        self.before: View | None = None

    def change(
        self,
        role: Role = Role.FOLLOWER,
        *,
        term: int = 1,
        vote: ReplicaId | None = None,
        commit: int = 0,
        applied: int = 0,
        log: Sequence[Entry] = (),
    ) -> Change:
        """It is now so; `log` is the whole of its log."""
        old = self.replica.log.held
        kept = 0
        while kept < min(len(old), len(log)) and old[kept] == log[kept]:
            kept += 1
        self.replica.log.held = list(log)
        last_term = log[-1].term if log else Term(0)
        now = View(
            role, Term(term), vote, Index(commit), Index(applied), Index(len(log)), last_term
        )
        before, self.before = self.before, now
        return Change(self.me, GROUP, self.replica, before, now, Index(kept), log[kept:])

    def restart(self) -> None:
        """A new life begins."""
        self.before = None
