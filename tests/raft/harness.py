"""Whole groups in memory, in virtual time, from one seed: the same seed gives the same run.

The network loses, repeats, delays and so reorders; a disk finishes late, and a crash loses what it
had not finished, though by chance some of it may have got there. `Checker` watches every step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from cluster.errors import NotLeader, ProposalRefused
from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    MemoryLogStorage,
    Message,
    Raft,
    RaftConfig,
    Ready,
    Role,
)
from tests.raft.checker import Checker

TICK = 10
"""Units of virtual time per tick."""


@dataclass(slots=True)
class Faults:
    """Chances per message, and times in units."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_max: int = 1
    persist_max: int = 1
    apply_max: int = 1


@dataclass(slots=True)
class Disk:
    """What survives a crash."""

    hard_state: HardState = field(default_factory=HardState)
    synced_hard_state: HardState = field(default_factory=HardState)
    log: list[Entry] = field(default_factory=list)
    applied: int = 0

    def write(self, bundle: Ready) -> None:
        """One atomic step."""
        if bundle.entries:
            del self.log[bundle.entries[0].index - 1 :]
            self.log.extend(bundle.entries)
        if bundle.hard_state is not None:
            self.hard_state = bundle.hard_state
            if bundle.must_sync:
                self.synced_hard_state = bundle.hard_state


class Member:
    """A replica with its host."""

    def __init__(self, replica: ReplicaId) -> None:
        self.replica = replica
        self.raft: Raft | None = None
        self.disk = Disk()
        self.life = 0
        self.storage = MemoryLogStorage()
        self.pending: deque[Ready] = deque()
        self.last_seen: Entry | None = None
        self.hard_state = HardState()
        self.handed_out = 0
        self.led_term = Term(0)
        self.persist_due = 0
        self.apply_due = 0

    def term_before(self, entry: Entry) -> Term:
        """The term of the entry before `entry`, of which the log may not know yet."""
        last = self.last_seen
        if last is not None and last.index == entry.index - 1:
            return last.term
        return self.storage.term(Index(entry.index - 1))


class Cluster:
    """`size` replicas of one group, and all that lies between them."""

    def __init__(
        self,
        size: int = 3,
        *,
        seed: int = 0,
        config: RaftConfig | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.random = Random(seed)
        self.config = config or RaftConfig()
        self.faults = faults or Faults()
        self.checker = Checker()
        self.now = 0
        self.cuts: set[tuple[ReplicaId, ReplicaId]] = set()
        """Links (from, to) that carry nothing."""
        self.drop: Callable[[Message], bool] = lambda message: False
        self.sent: int = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0
        self._contexts = 0
        ids = [ReplicaId(i) for i in range(1, size + 1)]
        self.members = {replica: Member(replica) for replica in ids}
        for replica in ids:
            self.start(replica)

    # Lives

    def start(self, replica: ReplicaId) -> None:
        member = self.members[replica]
        disk = member.disk
        # The commit index alone need not have survived.
        state = self.random.choice((disk.hard_state, disk.synced_hard_state))
        disk.hard_state = disk.synced_hard_state = state
        member.storage = MemoryLogStorage()
        member.storage.append(disk.log)
        member.pending.clear()
        member.last_seen = None
        member.hard_state = state
        member.handed_out = disk.applied
        member.led_term = Term(0)
        member.persist_due = member.apply_due = 0
        member.life += 1
        member.raft = Raft(
            replica=replica,
            config=self.config,
            configuration=Configuration(frozenset(self.members)),
            hard_state=state,
            storage=member.storage,
            applied=Index(disk.applied),
            random=Random(self.random.random()),
        )

    def crash(self, replica: ReplicaId) -> None:
        """Loses what is not on disk, except that some of it may have got there unseen."""
        member = self.members[replica]
        assert member.raft is not None
        for _ in range(self.random.randint(0, len(member.pending))):
            member.disk.write(member.pending.popleft())
        member.disk.applied = self.random.randint(member.disk.applied, member.raft.applied)
        member.raft = None
        member.life += 1

    def replace_log(self, replica: int, terms: Sequence[int], *, term: int) -> None:
        """Starts `replica` anew with entries of these terms on its disk."""
        member = self.members[ReplicaId(replica)]
        member.disk.log = [
            Entry(Index(index), Term(of), EntryKind.NORMAL, b"")
            for index, of in enumerate(terms, 1)
        ]
        member.disk.hard_state = member.disk.synced_hard_state = HardState(Term(term))
        self.start(member.replica)

    # Events

    def _at(self, due: int, action: Callable[[], None]) -> None:
        self._sequence += 1
        heappush(self._events, (due, self._sequence, action))

    def run(self, ticks: int) -> None:
        """Ticks everyone `ticks` times, and does all that falls due."""
        for _ in range(ticks):
            for member in self.members.values():
                if member.raft is not None:
                    self.checker.on_tick(member)
                    member.raft.tick()
                    self._pump(member)
            self._run_until(self.now + TICK)

    def _run_until(self, end: int) -> None:
        events = self._events
        while events and events[0][0] <= end:
            self.now, _, action = heappop(events)
            action()
        self.now = end

    def _pump(self, member: Member) -> None:
        raft = member.raft
        assert raft is not None
        while raft.has_ready:
            bundle = raft.ready()
            self.checker.on_bundle(self, member, bundle)
            member.storage.append(bundle.entries)
            for message in bundle.messages:
                self._send(member, message)
            self._persist_later(member, bundle)
            if bundle.committed:
                self._apply_later(member, bundle.committed[-1].index)

    def _persist_later(self, member: Member, bundle: Ready) -> None:
        member.pending.append(bundle)
        due = self.now + self.random.randint(0, self.faults.persist_max)
        member.persist_due = due = max(member.persist_due, due)
        life = member.life

        def persisted() -> None:
            if member.life != life or member.raft is None:
                return
            sent: list[Message] = []
            while member.pending and member.pending[0].number <= bundle.number:
                done = member.pending.popleft()
                member.disk.write(done)
                sent.extend(done.messages_after_persist)
            for message in sent:
                self._send(member, message)
            member.raft.on_persisted(bundle.number)
            self._pump(member)

        self._at(due, persisted)

    def _apply_later(self, member: Member, index: Index) -> None:
        due = self.now + self.random.randint(0, self.faults.apply_max)
        member.apply_due = due = max(member.apply_due, due)
        life = member.life

        def applied() -> None:
            if member.life == life and member.raft is not None:
                member.raft.on_applied(index)
                self._pump(member)

        self._at(due, applied)

    def _send(self, member: Member, message: Message) -> None:
        self.checker.on_send(member, message)
        self.sent += 1
        faults = self.faults
        if (message.sender, message.to) in self.cuts or self.drop(message):
            return
        copies = 1 + (self.random.random() < faults.duplication)
        for _ in range(copies):
            if self.random.random() >= faults.loss:
                due = self.now + self.random.randint(1, faults.delay_max)
                self._at(due, lambda: self._deliver(message))

    def _deliver(self, message: Message) -> None:
        member = self.members[message.to]
        if member.raft is not None and (message.sender, message.to) not in self.cuts:
            member.raft.step(message)
            self._pump(member)

    # What clients and operators do

    def raft(self, replica: int) -> Raft:
        raft = self.members[ReplicaId(replica)].raft
        assert raft is not None
        return raft

    @property
    def leaders(self) -> list[Raft]:
        """All that think they lead, the highest term last."""
        rafts = [m.raft for m in self.members.values() if m.raft is not None]
        return sorted((r for r in rafts if r.role is Role.LEADER), key=lambda r: r.term)

    @property
    def leader(self) -> Raft:
        return self.leaders[-1]

    def leader_id(self) -> ReplicaId:
        return next(m.replica for m in self.members.values() if m.raft is self.leader)

    def elect(self, replica: int = 1) -> Raft:
        """Makes `replica` the leader of a group that has none yet: time passes only for it."""
        raft = self.raft(replica)
        while raft.role is not Role.LEADER:
            raft.tick()
            self._pump(self.members[ReplicaId(replica)])
            self._run_until(self.now + TICK)
        self.run(2 * self.config.heartbeat_ticks)
        return raft

    def has_leader(self) -> bool:
        return bool(self.leaders)

    def led_by(self, *replicas: int) -> bool:
        """Whether the leader of the highest term is one of `replicas`."""
        return self.has_leader() and self.leader_id() in replicas

    def run_until(self, condition: Callable[[], bool], ticks_max: int = 500) -> None:
        for _ in range(ticks_max):
            if condition():
                return
            self.run(1)
        raise AssertionError(f"not reached in {ticks_max} ticks")

    def wake(self, replica: int, silent_ticks: int = 0) -> None:
        self.raft(replica).wake(silent_ticks)
        self._pump(self.members[ReplicaId(replica)])

    def propose(self, replica: int, data: bytes) -> Index | None:
        """The index, or None if it was refused."""
        try:
            index = self.raft(replica).propose(data)
        except ProposalRefused:
            return None
        self._pump(self.members[ReplicaId(replica)])
        return index

    def read(self, replica: int) -> None:
        raft = self.raft(replica)
        self._contexts += 1
        try:
            raft.read_index(self._contexts)
        except NotLeader:
            return
        self.checker.on_read(self._contexts)
        self._pump(self.members[ReplicaId(replica)])

    def transfer(self, replica: int, to: int) -> None:
        self.raft(replica).transfer_leadership(ReplicaId(to))
        self._pump(self.members[ReplicaId(replica)])

    def cut(self, *replicas: int) -> None:
        """Cuts `replicas` off from all others, not from each other."""
        inside = {ReplicaId(i) for i in replicas}
        for one in self.members:
            for other in self.members:
                if (one in inside) != (other in inside):
                    self.cuts.add((one, other))

    def heal(self) -> None:
        self.cuts.clear()

    def all_applied(self, index: int) -> bool:
        return all(m.raft is not None and m.raft.applied >= index for m in self.members.values())

    def all_quiet(self) -> bool:
        return all(m.raft is not None and m.raft.is_quiet for m in self.members.values())
