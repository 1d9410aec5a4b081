"""One replica, driven by hand: its peers are what the test says they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import TypeVar

from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    AppendRequest,
    AppendResponse,
    Configuration,
    Entry,
    EntryKind,
    HardState,
    HeartbeatRequest,
    HeartbeatResponse,
    MembershipChange,
    MemoryLogStorage,
    Message,
    Raft,
    RaftConfig,
    Ready,
    Role,
    VoteRequest,
    VoteResponse,
    encode_configuration,
)

M = TypeVar("M", bound=Message)

ME = ReplicaId(1)
TWO = ReplicaId(2)
THREE = ReplicaId(3)
FOUR = ReplicaId(4)
FIVE = ReplicaId(5)
TICK_US = 10_000


def entry(index: int, term: int, data: bytes = b"") -> Entry:
    return Entry(Index(index), Term(term), EntryKind.NORMAL, data)


def log_of(terms: Sequence[int], first: int = 1, data: bytes = b"") -> tuple[Entry, ...]:
    """Entries with these terms, from index `first` on."""
    return tuple(entry(first + i, term, data) for i, term in enumerate(terms))


def replicas(ids: Iterable[int]) -> frozenset[ReplicaId]:
    return frozenset(map(ReplicaId, ids))


def configuration(size: int) -> Configuration:
    return Configuration(replicas(range(1, size + 1)))


def members(
    voters: Iterable[int] = (),
    outgoing: Iterable[int] = (),
    learners: Iterable[int] = (),
    demoted: Iterable[int] = (),
) -> Configuration:
    return Configuration(
        replicas(voters), replicas(outgoing), replicas(learners), replicas(demoted)
    )


def change(voters: Iterable[int], learners: Iterable[int] = ()) -> MembershipChange:
    return MembershipChange(replicas(voters), replicas(learners))


def membership_entry(index: int, term: int, group: Configuration) -> Entry:
    return Entry(Index(index), Term(term), EntryKind.MEMBERSHIP, encode_configuration(group))


class Solo:
    """Replica 1 of a group; what it sends is collected by `messages`."""

    def __init__(
        self,
        size: int = 3,
        *,
        terms: Sequence[int] = (),
        term: int | None = None,
        vote: int | None = None,
        commit: int = 0,
        applied: int = 0,
        config: RaftConfig | None = None,
        seed: int = 0,
        compacted: int = 0,
        group: Configuration | None = None,
        log: Sequence[Entry] | None = None,
        before: tuple[int, int] = (0, 0),
    ) -> None:
        """A group of `size` voters, or `group`; a log with these terms, or these entries, behind
        the place `before`: an index and its term."""
        group = configuration(size) if group is None else group
        self.storage = MemoryLogStorage()
        self.storage.install(Index(before[0]), Term(before[1]))
        self.storage.append(log_of(terms) if log is None else log)
        if log is not None:
            terms = terms_of(log)
        if compacted:
            self.storage.compact(Index(compacted))
        self.config = config or RaftConfig()
        now = max(terms, default=0) if term is None else term
        self.raft = Raft(
            replica=ME,
            config=self.config,
            configuration=group,
            hard_state=HardState(
                Term(now), None if vote is None else ReplicaId(vote), Index(commit)
            ),
            storage=self.storage,
            applied=Index(applied),
            random=Random(seed),
        )
        self.bundles: list[Ready] = []
        self.now_us = 0
        """The host's clock: a tick is 10 ms, unless a test says otherwise."""

    def take(self) -> Ready:
        """The next bundle; its entries become visible, nothing is persisted."""
        bundle = self.raft.ready(self.now_us)
        if bundle.snapshot is not None:
            self.storage.install(bundle.snapshot.index, bundle.snapshot.term)
        self.storage.append(bundle.entries)
        self.bundles.append(bundle)
        return bundle

    def settle(self) -> list[Message]:
        """Takes, persists and applies all there is; returns everything sent on the way."""
        sent: list[Message] = []
        for _ in range(100):
            if not self.raft.has_ready:
                return sent
            bundle = self.take()
            sent.extend(bundle.messages)
            self.raft.on_persisted(bundle.number)
            sent.extend(bundle.messages_after_persist)
            if bundle.committed:
                self.raft.on_applied(bundle.committed[-1].index)
        raise AssertionError("there is always something to do")

    def step(self, *messages: Message) -> list[Message]:
        """Steps all, then settles."""
        for message in messages:
            self.raft.step(message)
        return self.settle()

    def tick(self, count: int = 1) -> list[Message]:
        """Ticks one by one, settling after each."""
        sent: list[Message] = []
        for _ in range(count):
            self.now_us += TICK_US
            self.raft.tick(self.now_us)
            sent.extend(self.settle())
        return sent

    def tick_until(self, role: Role, ticks_max: int = 200) -> list[Message]:
        for _ in range(ticks_max):
            sent = self.tick()
            if self.raft.role is role:
                return sent
        raise AssertionError(f"not {role.name} after {ticks_max} ticks")

    def role(self) -> Role:
        """What a type checker does not take for what it was before."""
        return self.raft.role

    # Peers

    def grant(self, sender: ReplicaId, *, pre_vote: bool = False) -> VoteResponse:
        term = self.raft.term + 1 if pre_vote else self.raft.term
        return VoteResponse(sender, ME, Term(term), True, pre_vote)

    def refuse(self, sender: ReplicaId, term: int, *, pre_vote: bool = False) -> VoteResponse:
        return VoteResponse(sender, ME, Term(term), False, pre_vote)

    def vote_request(
        self,
        sender: ReplicaId = TWO,
        *,
        term: int,
        last: tuple[int, int] = (0, 0),
        pre_vote: bool = False,
        handover: bool = False,
    ) -> VoteRequest:
        """`last` is (index, term)."""
        return VoteRequest(
            sender, ME, Term(term), Index(last[0]), Term(last[1]), pre_vote, handover
        )

    def append(
        self,
        *,
        term: int,
        prev: tuple[int, int] = (0, 0),
        terms: Sequence[int] = (),
        commit: int = 0,
        sender: ReplicaId = TWO,
        data: bytes = b"",
    ) -> AppendRequest:
        """Entries with `terms` behind `prev` (index, term), each with `data`."""
        return AppendRequest(
            sender,
            ME,
            Term(term),
            Index(prev[0]),
            Term(prev[1]),
            Index(commit),
            log_of(terms, prev[0] + 1, data),
        )

    def heartbeat(
        self,
        *,
        term: int,
        commit: int = 0,
        read_round: int = 0,
        fall_quiet: bool = False,
        sender: ReplicaId = TWO,
    ) -> HeartbeatRequest:
        return HeartbeatRequest(sender, ME, Term(term), Index(commit), read_round, fall_quiet)

    def accepts(self, index: int, sender: ReplicaId = TWO) -> AppendResponse:
        return AppendResponse(sender, ME, self.raft.term, True, Index(index))

    def rejects(self, index: int, hint: tuple[int, int], sender: ReplicaId = TWO) -> AppendResponse:
        return AppendResponse(
            sender, ME, self.raft.term, False, Index(index), Index(hint[0]), Term(hint[1])
        )

    def beats(self, sender: ReplicaId = TWO, read_round: int = 0) -> HeartbeatResponse:
        return HeartbeatResponse(sender, ME, self.raft.term, read_round)

    def lead(self, *, caught_up: Iterable[ReplicaId] = ()) -> list[Message]:
        """Wins an election; `caught_up` acknowledge all of it. Returns what was sent since."""
        voters = sorted(self.raft.configuration.electors - {ME})
        sent = self.tick_until(Role.PRE_CANDIDATE if voters else Role.LEADER)
        for role, pre_vote in ((Role.CANDIDATE, True), (Role.LEADER, False)):
            for voter in voters:
                if self.raft.role < role:
                    sent = self.step(self.grant(voter, pre_vote=pre_vote))
        assert self.raft.role is Role.LEADER
        for peer in caught_up:
            sent.extend(self.step(self.accepts(self.raft.last_index, peer)))
        return sent


def only(kind: type[M], messages: Iterable[Message], to: ReplicaId | None = None) -> list[M]:
    """Those of `messages` of one kind, and to one peer if given."""
    return [m for m in messages if isinstance(m, kind) and (to is None or m.to == to)]


def indexes(entries: Iterable[Entry]) -> list[int]:
    return [e.index for e in entries]


def terms_of(entries: Iterable[Entry]) -> list[int]:
    return [e.term for e in entries]
