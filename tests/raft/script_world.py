"""The group that a script drives: bare cores, their disks, and the messages between them.

Nothing here happens by itself. Whatever is done is written down as lines of output, and `Ledger`
sees every bundle: a script that is rewritten in place cannot bless a broken promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import partial

from cluster.errors import InvariantViolation, ProposalRefused
from cluster.ids import Index, ReplicaId
from cluster.raft import (
    Configuration,
    HardState,
    Message,
    Raft,
    RaftConfig,
    Role,
    SnapshotRequest,
)
from tests.raft.script_file import ScriptError
from tests.raft.script_ledger import Ledger
from tests.raft.script_member import Member
from tests.raft.script_network import Network
from tests.raft.script_print import (
    bundle_lines,
    change_line,
    entries_line,
    features,
    kind_of,
    message_line,
)

CAMPAIGNS_MAX = 3

VOTES = frozenset({"prevote", "prevote-reply", "vote", "vote-reply"})


class World:
    """All replicas of the group, and what is under way between them."""

    def __init__(self) -> None:
        self.members: dict[ReplicaId, Member] = {}
        self.config = RaftConfig()
        self.configuration: Configuration | None = None
        self.network = Network()
        self.ledger = Ledger()
        self.lines: list[str] = []

    # Looking

    def say(self, line: str, depth: int = 0) -> None:
        self.lines.append("  " * depth + line)

    def member(self, replica: ReplicaId) -> Member:
        if replica not in self.members:
            raise ScriptError(f"there is no replica {replica}")
        return self.members[replica]

    def raft(self, replica: ReplicaId) -> Raft:
        raft = self.member(replica).raft
        if raft is None:
            raise ScriptError(f"replica {replica} is down")
        return raft

    def running(self) -> list[ReplicaId]:
        return [replica for replica, member in sorted(self.members.items()) if member.raft]

    def act(self, replica: ReplicaId, action: Callable[[Raft], object], depth: int = 0) -> None:
        """Calls the core, and says what that changed. A broken invariant stops the replica."""
        raft = self.raft(replica)
        before = features(raft)
        try:
            action(raft)
        except ProposalRefused as refusal:
            self.say(f"{replica} refuses: {type(refusal).__name__}: {refusal}", depth)
        except ValueError as mistake:
            self.say(f"{replica} refuses: {mistake}", depth)
        except InvariantViolation as violation:
            self.say(f"{replica} stops: InvariantViolation: {violation}", depth)
            self.crash(replica, through=0)
            return
        change = change_line(replica, before, features(raft))
        if change is not None:
            self.say(change, depth)

    # Time

    @property
    def tick_us(self) -> int:
        """What a tick adds to a clock."""
        return self.config.lease.tick_us if self.config.lease is not None else 1

    def tick(self, replica: ReplicaId, count: int = 1, *, until_ready: bool = False) -> None:
        """`until_ready`: a campaign leaves something to do behind, in whatever role it ends."""
        member = self.member(replica)

        def ticks(raft: Raft) -> None:
            for _ in range(count):
                member.now_us += self.tick_us
                raft.tick(member.now_us)
                if until_ready and raft.has_ready:
                    return

        self.act(replica, ticks)

    # Lives

    def restart(self, replica: ReplicaId, hard_state: HardState) -> None:
        """Begins a life with what is on the disk."""
        member = self.member(replica)
        if member.raft is not None:
            raise ScriptError(f"replica {replica} is running")
        disk = member.disk
        disk.hard_state = disk.synced = hard_state
        member.storage = deepcopy(disk.storage)
        try:
            member.raft = Raft(
                replica=replica,
                config=self.config,
                configuration=disk.configurations[-1][1],
                hard_state=hard_state,
                storage=member.storage,
                applied=disk.applied,
                random=member.timeouts,
            )
        except InvariantViolation as violation:
            self.say(f"{replica} does not start: InvariantViolation: {violation}")

    def crash(self, replica: ReplicaId, *, through: int) -> None:
        """Ends a life. Bundles up to `through` had reached the disk although it did not say so."""
        member = self.member(replica)
        self.raft(replica)
        while member.bundles and member.bundles[0].number <= through:
            member.disk.write(member.bundles.popleft())
        member.bundles.clear()
        member.unapplied.clear()
        member.raft = None

    # The host's part

    def take(self, replica: ReplicaId) -> None:
        """Takes a bundle: what may go is sent, its entries are visible, nothing is persisted."""
        member, raft = self.member(replica), self.raft(replica)
        if not raft.has_ready:
            self.say(f"{replica} has nothing to do")
            return
        bundle = raft.ready(member.now_us)
        if bundle.snapshot is not None:
            member.storage.install(bundle.snapshot.index, bundle.snapshot.term)
            member.unapplied.clear()
        member.storage.append(bundle.entries)
        self.ledger.see(replica, raft, bundle)
        for line in bundle_lines(replica, bundle):
            self.say(line)
        self.send(bundle.messages)
        member.bundles.append(bundle)
        member.unapplied.extend(bundle.committed)

    def persist(self, replica: ReplicaId, through: int | None) -> None:
        """The disk has done all bundles up to `through`; None: all."""
        member = self.member(replica)
        numbers = [b.number for b in member.bundles if through is None or b.number <= through]
        if not numbers:
            raise ScriptError(f"replica {replica} has no such bundle under way")
        self.say(f"{replica} persisted bundle {numbers[-1]}")
        for _ in numbers:
            bundle = member.bundles.popleft()
            member.disk.write(bundle)
            for message in bundle.messages_after_persist:
                self.say(f"send {message_line(message)}", 1)
            self.send(bundle.messages_after_persist)
        self.act(replica, lambda raft: raft.on_persisted(numbers[-1]), 1)

    def apply(self, replica: ReplicaId, through: int | None) -> None:
        """The state machine has applied what was handed out, up to index `through`; None: all."""
        member = self.member(replica)
        done = [e for e in member.unapplied if through is None or e.index <= through]
        if not done:
            raise ScriptError(f"replica {replica} has nothing to apply")
        del member.unapplied[: len(done)]
        member.disk.apply(done)
        self.say(f"{replica} applied {entries_line(done)}")
        self.act(replica, lambda raft: raft.on_applied(done[-1].index), 1)

    def compact(self, replica: ReplicaId, through: Index) -> None:
        """The host drops what it has applied from the beginning of its log."""
        member = self.member(replica)
        if through > self.raft(replica).applied:
            raise ScriptError(f"replica {replica} has not applied {through}")
        member.storage.compact(through)
        member.disk.storage.compact(through)

    # The network

    def send(self, messages: Iterable[Message]) -> None:
        """What is sent while its link is cut is lost; what was under way waits for the link."""
        for message in messages:
            if self.network.is_cut(message):
                self.say(f"lost {message_line(message)}", 1)
            else:
                self.network.messages.append(message)

    def fail(self, request: Message) -> None:
        """A snapshot does not arrive, and its sender's host is told."""
        if not isinstance(request, SnapshotRequest):
            raise ScriptError(f"not a snapshot: {message_line(request)}")
        self.network.take(request)
        self.say(f"lost {message_line(request)}, and reported")
        if self.member(request.sender).raft is not None:
            self.act(request.sender, partial(Raft.report_snapshot_failed, request=request), 1)

    def deliver(self, message: Message) -> None:
        self.network.take(message)
        member = self.members.get(message.to)
        if member is None or member.raft is None:
            self.say(f"lost {message_line(message)}: {message.to} is down")
            return
        self.say(message_line(message))
        self.act(message.to, lambda raft: raft.step(message), 1)

    # All at once

    def campaign(self, replica: ReplicaId) -> None:
        """Time passes for one replica until its election timeout ends."""
        raft = self.raft(replica)
        if raft.has_ready or raft.is_quiet:
            raise ScriptError(f"replica {replica} is quiet or has something to do")
        self.tick(replica, self.config.election_ticks_max, until_ready=True)

    def elect(self, replica: ReplicaId, voters: list[ReplicaId]) -> None:
        """Makes `replica` lead with the votes of `voters`, who persist at once; no other votes are
        heard. It campaigns again if it only learned the term. Its first bundle is not taken."""
        raft = self.raft(replica)
        for _ in range(CAMPAIGNS_MAX):
            self._settle(replica)
            self.campaign(replica)
            while raft.role is not Role.LEADER:
                for voter in voters:
                    self._settle(voter)
                votes = [
                    m
                    for m in self.network.messages
                    if kind_of(m) in VOTES and not self.network.is_cut(m)
                ]
                if not votes:
                    break
                for vote in votes:
                    if {vote.sender, vote.to} <= {replica, *voters}:
                        self.deliver(vote)
                    else:
                        self.network.take(vote)
            if raft.role is Role.LEADER:
                return
        raise ScriptError(f"replica {replica} is not elected")

    def stabilize(self, replicas: list[ReplicaId]) -> None:
        """Persists, applies and delivers at once, until `replicas` have nothing left to do."""
        for _ in range(100):
            for replica in replicas:
                self._settle(replica)
            deliverable = [
                message
                for message in self.network.messages
                if message.to in replicas
                and message.sender in replicas
                and not self.network.is_cut(message)
            ]
            if not deliverable:
                return
            for message in deliverable:
                self.deliver(message)
        raise ScriptError("there is always something to do")

    def _settle(self, replica: ReplicaId) -> None:
        member = self.member(replica)
        while member.raft is not None:
            if member.bundles:
                bundle = member.bundles[0]
                # A bundle with nothing to persist is answered without a line.
                before = len(self.lines)
                self.persist(replica, bundle.number)
                if len(self.lines) == before + 1:
                    self.lines.pop()
            elif member.unapplied:
                self.apply(replica, None)
            elif member.raft.has_ready:
                self.take(replica)
            else:
                return
