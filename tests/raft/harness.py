"""Whole groups in memory, in virtual time, from one seed: the same seed gives the same run.

The network loses, repeats, delays and so reorders; a disk finishes late, and a crash loses what it
had not finished, though by chance some of it may have got there. `Checker` watches every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from random import Random

from cluster.errors import NotLeader, ProposalRefused
from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    Configuration,
    Entry,
    EntryKind,
    HardState,
    MembershipChange,
    MemoryLogStorage,
    Message,
    Raft,
    RaftConfig,
    Ready,
    Role,
    SnapshotMeta,
    SnapshotRequest,
)
from tests.raft.checker import Checker
from tests.raft.member import Member

TICK = 10
"""Units of virtual time per tick; a unit is a millisecond."""


@dataclass(slots=True)
class Faults:
    """Chances per message, and times in units."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_max: int = 1
    persist_max: int = 1
    apply_max: int = 1
    snapshot_loss: float = 0.0
    snapshot_delay_max: int = 1


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
        self.now = 0
        self.cuts: set[tuple[ReplicaId, ReplicaId]] = set()
        """Links (from, to) that carry nothing."""
        self.drop: Callable[[Message], bool] = lambda message: False
        self.sent: int = 0
        self._events: list[tuple[int, int, Member | None, Callable[[], object]]] = []
        self._sequence = 0
        self._contexts = 0
        ids = [ReplicaId(i) for i in range(1, size + 1)]
        group = Configuration(frozenset(ids))
        self.checker = Checker(group, self.config.promotion_lag_max)
        lease = self.config.lease
        self._drift_ppm = 0 if lease is None else lease.drift_ppm
        self.members = {replica: self._made(replica, group) for replica in ids}
        self.graves: dict[ReplicaId, Member] = {}
        """Those that were destroyed: what they acknowledged before counts."""
        self._next_replica = size + 1
        for replica in ids:
            self.start(replica)

    # Lives

    def _made(self, replica: ReplicaId, base: Configuration) -> Member:
        drift = self.random.choice((-1, 1)) * self._drift_ppm
        return Member(replica, base, drift_ppm=drift)

    def start(self, replica: ReplicaId) -> None:
        member = self.members[replica]
        disk = member.disk
        # The commit index alone need not have survived.
        state = self.random.choice((disk.hard_state, disk.synced_hard_state))
        member.revive(state)
        member.raft = Raft(
            replica=replica,
            config=self.config,
            configuration=self.checker.configuration_at(disk.applied) or member.base,
            hard_state=state,
            storage=member.storage,
            applied=Index(disk.applied),
            random=Random(self.random.random()),
        )
        member.in_force = member.raft.configuration

    def join(self) -> ReplicaId:
        """Starts a replica that is new, under an id that was never used, and knows nobody."""
        replica = ReplicaId(self._next_replica)
        self._next_replica += 1
        self.members[replica] = self._made(replica, Configuration())
        self.start(replica)
        return replica

    def destroy(self, replica: ReplicaId) -> None:
        """The replica and all its data are gone for good."""
        member = self.graves[replica] = self.members.pop(replica)
        member.raft = None
        member.life += 1

    def crash(self, replica: ReplicaId) -> None:
        """Loses what is not on disk, except that some of it may have got there unseen."""
        member = self.members[replica]
        assert member.raft is not None
        self.flush(replica, self.random.randint(member.disk.applied, member.raft.applied))
        for _ in range(self.random.randint(0, len(member.pending))):
            member.disk.write(member.pending.popleft())
        member.raft = None
        member.life += 1

    def flush(self, replica: ReplicaId, applied: int) -> None:
        """The state as of `applied` reaches the disk."""
        disk = self.members[replica].disk
        disk.applied = max(disk.applied, applied)

    def compact(self, replica: int, through: int | None = None) -> None:
        """Drops the beginning of the log, up to `through` or all that is applied."""
        member = self.members[ReplicaId(replica)]
        raft = member.raft
        assert raft is not None
        if not raft.status().is_installing:
            self.flush(member.replica, raft.applied)
            member.compact(member.disk.applied if through is None else through)

    def replace_log(self, replica: int, terms: Sequence[int], *, term: int) -> None:
        """Starts `replica` anew with entries of these terms on its disk."""
        member = self.members[ReplicaId(replica)]
        member.disk.log = MemoryLogStorage()
        member.disk.log.append(
            [
                Entry(Index(index), Term(of), EntryKind.NORMAL, b"")
                for index, of in enumerate(terms, 1)
            ]
        )
        member.disk.hard_state = member.disk.synced_hard_state = HardState(Term(term))
        self.start(member.replica)

    # Events

    def _at(self, due: int, action: Callable[[], object], owner: Member | None = None) -> None:
        """`action` happens at `due`, or when `owner` is no longer paused."""
        self._sequence += 1
        heappush(self._events, (due, self._sequence, owner, action))

    def pause(self, replica: ReplicaId, ticks: int) -> None:
        """The replica does nothing for so long, and its clock goes on. Afterwards a client's read
        reaches it before anything else does."""
        member = self.members[replica]
        member.paused_until = max(member.paused_until, self.now + TICK * ticks)
        life = member.life

        def ask() -> None:
            if member.life == life and member.raft is not None:
                self.read(replica)

        self._sequence += 1
        heappush(self._events, (member.paused_until, -self._sequence, None, ask))

    def run(self, ticks: int) -> None:
        """Ticks everyone `ticks` times, by true time, and does all that falls due."""
        for _ in range(ticks):
            for member in list(self.members.values()):
                for _ in range(member.ticks_due()):
                    if member.is_running(self.now) and member.raft is not None:
                        self.checker.on_tick(member)
                        member.raft.tick(member.clock_us(self.now))
                        self._pump(member)
            self._run_until(self.now + TICK)

    def _run_until(self, end: int) -> None:
        events = self._events
        while events and events[0][0] <= end:
            self.now, sequence, owner, action = heappop(events)
            if owner is not None and owner.paused_until > self.now:
                heappush(events, (owner.paused_until, sequence, owner, action))
            else:
                action()
        self.now = end

    def _pump(self, member: Member) -> None:
        raft = member.raft
        assert raft is not None
        while raft.has_ready:
            bundle = raft.ready(member.clock_us(self.now))
            self.checker.on_bundle(self, member, bundle)
            member.take(bundle)
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

        self._at(due, persisted, member)

    def _apply_later(self, member: Member, index: Index) -> None:
        due = self.now + self.random.randint(0, self.faults.apply_max)
        member.apply_due = due = max(member.apply_due, due)
        life = member.life

        def applied() -> None:
            if member.life == life and member.raft is not None:
                member.raft.on_applied(index)
                self._pump(member)

        self._at(due, applied, member)

    def _send(self, member: Member, message: Message) -> None:
        self.checker.on_send(member, message, self.members.get(message.to))
        self.sent += 1
        faults = self.faults
        if isinstance(message, SnapshotRequest):
            self._send_snapshot(member, message)
            return
        if (message.sender, message.to) in self.cuts or self.drop(message):
            return
        copies = 1 + (self.random.random() < faults.duplication)
        for _ in range(copies):
            if self.random.random() >= faults.loss:
                due = self.now + self.random.randint(1, faults.delay_max)
                self._at(due, partial(self._deliver, message), self.members.get(message.to))

    def _deliver(self, message: Message) -> bool:
        member = self.members.get(message.to)
        if member is None or member.raft is None or (message.sender, message.to) in self.cuts:
            return False
        if member.paused_until > self.now:
            self._at(member.paused_until, partial(self._deliver, message), member)
            return True
        member.raft.step(message)
        self._pump(member)
        return True

    def deliver_later(self, message: Message, units: int, *, cut_off: bool) -> None:
        """`message` arrives after that time, whatever becomes of its sender: it may be `cut_off`
        right after."""
        due = self.now + units
        self._at(due, partial(self._deliver, message), self.members.get(message.to))
        if cut_off:
            self._at(due, lambda: self.cut(message.sender))

    def _send_snapshot(self, sender: Member, request: SnapshotRequest) -> None:
        """What the host does with it: streams the state, in its own time, and says if it failed."""
        life = sender.life

        def arrive() -> None:
            arrived = request
            raft = sender.raft
            if sender.life != life or raft is None:
                raft = None  # the stream may have ended just before the sender did
            elif self.random.random() < 0.3 and not raft.status().is_installing:
                arrived = replace(request, snapshot=self._state_of(sender, raft))
            lost = self.random.random() < self.faults.snapshot_loss or self.drop(arrived)
            failed = lost or not self._deliver(arrived)
            if failed and raft is not None and self.random.random() < 0.7:
                raft.report_snapshot_failed(request)
                self._pump(sender)

        for _ in range(1 + (self.random.random() < self.faults.duplication)):
            due = self.now + self.random.randint(1, self.faults.snapshot_delay_max)
            self._at(due, arrive, sender)

    def _state_of(self, member: Member, raft: Raft) -> SnapshotMeta:
        """The state that a host holds now: it may be later than the one it was asked for."""
        index = raft.applied
        configuration = self.checker.configuration_at(index) or self.checker.configurations[0][1]
        return SnapshotMeta(index, member.storage.term(index), configuration)

    # What clients and operators do

    def raft(self, replica: int) -> Raft:
        raft = self.members[ReplicaId(replica)].raft
        assert raft is not None
        return raft

    @property
    def leaders(self) -> list[Raft]:
        """All that think they lead and are not paused, the highest term last."""
        members = [m for m in self.members.values() if m.paused_until <= self.now]
        rafts = [m.raft for m in members if m.raft is not None]
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
            raft.tick(self.members[ReplicaId(replica)].clock_us(self.now))
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
        member = self.members[ReplicaId(replica)]
        self._contexts += 1
        try:
            self.raft(replica).read_index(self._contexts, member.clock_us(self.now))
        except NotLeader:
            return
        self.checker.on_read(self._contexts)
        if self._contexts % 2:
            self._ask_peers(member)
        self._pump(member)
        self.checker.on_asked(member, self._contexts)

    def _ask_peers(self, member: Member) -> None:
        """What a host of many groups does instead of heartbeats for a round of reads."""
        raft = member.raft
        assert raft is not None
        read_round = raft.begin_read_round()
        if not read_round:
            return
        term, life = raft.term, member.life

        def take(peer: ReplicaId) -> None:
            if member.life == life and member.raft is not None:
                member.raft.on_confirmed(peer, term, read_round)
                self._pump(member)

        def ask(peer: Member, commit: Index) -> None:
            if peer.raft is not None and peer.raft.confirm(member.replica, term, commit):
                self._pass(peer, member, partial(take, peer.replica))
                self._pump(peer)

        for replica in raft.peers:
            peer = self.members.get(replica)
            if peer is not None:
                self._pass(member, peer, partial(ask, peer, raft.commit_known_to(replica)))

    def _pass(self, sender: Member, to: Member, action: Callable[[], object]) -> None:
        """Lets something happen at `to` as a message would that `sender` sends."""
        faults = self.faults
        link = (sender.replica, to.replica)

        def arrive() -> None:
            if link not in self.cuts:
                action()

        if link in self.cuts:
            return
        for _ in range(1 + (self.random.random() < faults.duplication)):
            if self.random.random() >= faults.loss:
                self._at(self.now + self.random.randint(1, faults.delay_max), arrive, to)

    def read_everywhere(self, *, at: Iterable[int] = (0,)) -> None:
        """Whoever thinks that it leads is asked, so many units from now."""

        def ask() -> None:
            for replica, member in list(self.members.items()):
                if member.is_running(self.now) and self.raft(replica).role is Role.LEADER:
                    self.read(replica)

        for units in at:
            self._at(self.now + units, ask)

    def transfer(self, replica: int, to: int) -> None:
        self.raft(replica).transfer_leadership(ReplicaId(to))
        self._pump(self.members[ReplicaId(replica)])

    def change(self, replica: int, voters: Iterable[int], learners: Iterable[int] = ()) -> bool:
        """Whether the change was taken."""
        change = MembershipChange(
            frozenset(map(ReplicaId, voters)), frozenset(map(ReplicaId, learners))
        )
        try:
            self.raft(replica).propose_membership(change)
        except ProposalRefused:
            return False
        finally:
            self._pump(self.members[ReplicaId(replica)])
        return True

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
