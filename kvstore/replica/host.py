"""The host: runs all replicas of a node together, in rounds.

A round collects what came in since the last one, hands it to the cores, starts one write to the
commit log, sends one message per peer, applies what is committed with one engine write, serves the
reads that were confirmed, and answers. It runs once per turn of the event loop in which anything
happened, so its cost grows with the work there is, not with the groups there are.

Everything happens on the event loop; only the log's writes do not (`LogPipeline`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Final

from cluster.errors import ProposalRefused
from cluster.ids import META_GROUP, GroupId, ReplicaId
from cluster.membership import PeerContacts
from cluster.raft.config import RaftConfig
from cluster.raft.configuration import MembershipChange
from cluster.raft.messages import AppendRequest, Entry, SnapshotRequest
from cluster.raft.ready import Ready
from kvstore.codec.byteslist import encode_optional_list
from kvstore.codec.fitness import UnfitToLead
from kvstore.codec.scan import encode_page
from kvstore.codec.scrub import ScrubHash, ScrubReply
from kvstore.codec.state_transfer import StateAck, StateChunk
from kvstore.environment import GroupMessage, PeerMessage, Transport, Worker
from kvstore.replica.admission import STOPPED, Admission, AdmissionLimits
from kvstore.replica.apply_queue import ApplyQueue
from kvstore.replica.log_pipeline import AppendLog, LogPipeline, Pending
from kvstore.replica.meta_machine import MetaMachine
from kvstore.replica.replica import Replica
from kvstore.replica.requests import Answer, ReadRequest, Status, WriteRequest
from kvstore.replica.scrubber import Scrubber, ScrubPolicy
from kvstore.replica.space import Space, SpaceWatch
from kvstore.replica.state_transfers import StateTransfers
from kvstore.storage.applier import RoundWork
from kvstore.storage.engine import Engine

_LEAVING_TICKS: Final = 10
"""What was said reaches the peers meanwhile, and operators may ask why."""


@dataclass(frozen=True, slots=True)
class HostHooks:
    """Whom the host tells, and who runs its rounds."""

    call_soon: Callable[[Callable[[], None]], object]
    """Runs a function once, later in this turn or in the next one of the event loop."""
    on_map: Callable[[], None]
    """The meta group has applied a new map."""
    on_failure: Callable[[BaseException], None]
    """The host takes no further part: a disk failed or an invariant broke. Called once."""


class Host:
    """See the module. Exceptions inside it are not survived: they stop the node."""

    def __init__(
        self,
        *,
        me: ReplicaId,
        config: RaftConfig,
        limits: AdmissionLimits,
        transport: Transport,
        log: AppendLog,
        log_worker: Worker,
        engine: Engine,
        snapshot_chunk_bytes: int,
        flush_worker: Worker,
        random: Random,
        apply_round: Callable[[RoundWork], list[list[bytes]]],
        meta: MetaMachine,
        scrub: ScrubPolicy,
        contacts: PeerContacts,
        space: SpaceWatch,
        hooks: HostHooks,
    ) -> None:
        self.config: Final = config
        """Of the groups; the host keeps the same times."""
        self.meta: Final = meta
        self.contacts: Final = contacts
        self.space: Final = space
        self.replicas: Final[dict[GroupId, Replica]] = {}
        self._majority_within_ticks = 2 * config.heartbeat_ticks + 1
        self.guard: Final = Guard(self.fail)
        """For work on the host that is done elsewhere: an exception in it stops the node, too."""
        self.admission: Final = Admission(me, contacts, limits, config.election_ticks_min)
        self.applies: Final = ApplyQueue(
            self.replicas, apply_round, meta, self._on_applied, hooks.on_map
        )
        self.pipeline: Final = LogPipeline(log, log_worker, self._on_persisted, self.fail)
        self.states: Final = StateTransfers(
            me=me,
            engine=engine,
            chunk_bytes=snapshot_chunk_bytes,
            flush_worker=flush_worker,
            random=random,
            replicas=self.replicas,
            pipeline=self.pipeline,
            send=self._send_soon,
            arrived=self._on_state_arrived,
            switched=self._on_state_switched,
            has_room=lambda: space.space is Space.ENOUGH,
            guard=self.guard,
            fail=self.fail,
        )
        self.scrubber: Final = Scrubber(
            me=me,
            policy=scrub,
            within_ticks=self._majority_within_ticks,
            engine=engine,
            replicas=self.replicas,
            admission=self.admission,
            say=self._send_soon,
            touch=self._touch,
            leave=self._leave,
        )
        self._transport = transport
        self._hooks = hooks
        self._stopped = False
        self._leaving: tuple[int, BaseException] | None = None
        self._scheduled = False
        # Ordered sets: the order of work must not depend on hashes.
        self._dirty: dict[GroupId, Replica] = {}
        self._writers: dict[GroupId, Replica] = {}
        self._awake: dict[GroupId, Replica] = {}
        self._outgoing: dict[ReplicaId, list[GroupMessage]] = {}
        self._spoke_to: set[ReplicaId] = set()
        self._next_context = 1
        self.ticks = 0
        self.rounds = 0
        self.messages_sent = 0

    # What comes in

    def add_replica(self, replica: Replica) -> None:
        """Takes over `replica`, whose group is new here."""
        self.replicas[replica.group] = replica
        self.scrubber.add_replica(replica)
        if replica.completes_installation:
            self.pipeline.add_bounds([(replica.group, replica.log.bounds)], lambda: None)
            self.pipeline.flush()
        self._touch(replica)

    def receive(self, sender: ReplicaId, messages: Iterable[GroupMessage]) -> None:
        """Takes a round of `sender`. Messages for groups that are not here are dropped: Raft
        sends them again, and by then the map that brings the group may have arrived."""
        if self._stopped:
            return
        self.contacts.heard(sender)
        with self.guard:
            for group, message in messages:
                replica = self.replicas.get(group)
                if isinstance(message, (StateChunk, StateAck)):
                    self.states.receive(group, message)
                elif isinstance(message, (ScrubHash, ScrubReply)):
                    self.scrubber.receive(group, message)
                elif isinstance(message, UnfitToLead):
                    self.contacts.says_unfit(
                        sender,
                        takes_entries=message.takes_entries,
                        for_ticks=self.config.election_ticks_max,
                    )
                elif replica is not None and self._has_room_for(message):
                    replica.core.step(message)
                    self._touch(replica)

    def meet(self, peer: ReplicaId) -> None:
        """`peer` has connected: it started, or was cut off. The groups led here that it belongs to
        may be quiet, and it may not know that they have a leader: they speak up."""
        with self.guard:
            self.states.meet(peer)
            for replica in self.replicas.values():
                if replica.is_leader and peer in replica.members:
                    replica.core.wake()
                    self._awake[replica.group] = replica

    def write(self, group: GroupId, request: WriteRequest, expires_in_ticks: int) -> None:
        """Takes a command that was checked; answers it at the latest when it expires."""
        replica = self._led(group, request)
        if replica is None:
            return
        if self.space.space is not Space.ENOUGH:
            request.settle(self._out_of_space())
            return
        self.admission.expire_in(request, expires_in_ticks)
        replica.waiting_writes.append(request)
        self._writers[group] = replica
        self._schedule()

    def read(self, group: GroupId, request: ReadRequest, expires_in_ticks: int) -> None:
        """Takes a linearizable read; answers it at the latest when it expires."""
        replica = self._led(group, request)
        if replica is None:
            return
        self.admission.expire_in(request, expires_in_ticks)
        replica.waiting_reads.append(request)
        self._touch(replica)

    def _led(self, group: GroupId, request: WriteRequest | ReadRequest) -> Replica | None:
        """The replica of `group` if it leads; else None, and `request` is refused."""
        replica = self.replicas.get(group)
        if self._stopped:
            request.settle(STOPPED)
            return None
        if replica is None or not replica.is_leader:
            request.settle(self.admission.refusal(replica))
            return None
        return replica

    def tick(self) -> None:
        """Time passes: one tick for every group that is not quiet."""
        self.ticks += 1
        self.admission.tick()
        if self._stopped:
            self._end_leaving()
            return
        with self.guard:
            for peer in self.contacts.tick():
                self._wake_groups_with(peer)
            for group, replica in list(self._awake.items()):
                replica.core.tick()
                if replica.core.has_ready:
                    self._touch(replica)
                elif replica.core.is_quiet:
                    del self._awake[group]
            if self.ticks % self.config.heartbeat_ticks == 0:
                self._greet()
            if self._writers:
                self._schedule()
            self.states.tick()
            self.pipeline.tick()
            self.applies.tick()
            self.scrubber.tick()

    def transfer(self, group: GroupId, to: ReplicaId) -> None:
        """Starts to hand the leadership of `group` over; nothing happens where we do not lead, or
        while it is being handed to another."""
        replica = self.replicas[group]
        with contextlib.suppress(ProposalRefused):
            replica.core.transfer_leadership(to)
            self._touch(replica)

    def step_down(self, group: GroupId) -> None:
        """Leads `group` no more."""
        replica = self.replicas[group]
        replica.core.step_down()
        self._touch(replica)

    def declare_unfit(self) -> None:
        """Tells all peers that this node should not lead for now."""
        for peer in self.contacts.peers:
            takes_entries = self.space.space is not Space.NONE
            message = UnfitToLead(self.admission.me, peer, takes_entries)
            self._address(META_GROUP, message)
        self._schedule()

    def refuse_writes(self) -> None:
        """Refuses the writes that were taken in and not proposed: there is no room for them."""
        for replica in self._writers.values():
            replica.refuse_writes(self._out_of_space())
        self._writers.clear()

    def _out_of_space(self) -> Answer:
        return Answer(Status.OVERLOADED, detail=self.space.reason)

    def _has_room_for(self, message: PeerMessage) -> bool:
        """Entries that cannot be stored are as good as lost on their way: their leader sends them
        again. Empty ones, as a new leader begins with, always find room."""
        return self.space.space is not Space.NONE or not _has_payload(message)

    def propose_meta(self, command: bytes) -> None:
        """Proposes a command to the meta group; raises ProposalRefused where we do not lead it."""
        replica = self.replicas[META_GROUP]
        replica.core.propose(command)
        self._touch(replica)

    def change_members(self, group: GroupId, change: MembershipChange) -> None:
        """Begins to change the members of `group`; raises ProposalRefused where that is not
        possible now."""
        replica = self.replicas[group]
        try:
            replica.core.propose_membership(change)
        finally:
            self._touch(replica)  # refused or not, a quiet group was woken

    def hasten_election(self, group: GroupId) -> None:
        """Lets the group campaign at the next tick, if others would vote for it."""
        replica = self.replicas[group]
        replica.core.wake(self.config.election_ticks_max)
        self._touch(replica)

    def stop(self) -> None:
        """Takes no further part: what was under way ends as if the node had crashed here."""
        self._stopped = True
        self.states.close()
        self.scrubber.close()

    @property
    def is_stopped(self) -> bool:
        """Whether it takes no further part."""
        return self._stopped

    def fail(self, problem: BaseException) -> None:
        """Stops for a reason, and says so once."""
        if not self._stopped:
            self.stop()
            self._hooks.on_failure(problem)

    def _leave(self, problem: BaseException) -> None:
        """Takes no further part from this moment: what is here must not be used. Fails some ticks
        later, so that what was said of it still goes out."""
        if not self._stopped:
            self._send()
            self.stop()
            self._leaving = (self.ticks + _LEAVING_TICKS, problem)

    def _end_leaving(self) -> None:
        if self._leaving is not None and self.ticks >= self._leaving[0]:
            problem, self._leaving = self._leaving[1], None
            self._hooks.on_failure(problem)

    # Rounds

    def _touch(self, replica: Replica) -> None:
        self._dirty[replica.group] = replica
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            self._hooks.call_soon(self._run_round)

    def _run_round(self) -> None:
        self._scheduled = False
        if not self._stopped:
            with self.guard:
                self._round()

    def _round(self) -> None:
        self.rounds += 1
        if self._writers and not self.pipeline.is_busy and not self.applies.is_refused:
            self._propose()
        dirty, self._dirty = self._dirty, {}
        for group, replica in dirty.items():
            if replica.waiting_reads:
                replica.ask_waiting_reads(self._next_context)
                self._next_context += 1
            core = replica.core
            if core.has_ready:
                self._collect(replica, core.ready())
                if core.has_ready:
                    self._touch(replica)
            if not core.is_quiet:
                self._awake[group] = replica
        self.pipeline.flush()
        self._send()
        self.applies.run()
        for replica in dirty.values():
            if replica.has_readable:
                self._serve(replica)

    def _propose(self) -> None:
        """Proposes for every group with waiting writes that has a majority within reach.

        Without one the writes wait: should the leader step down, they can still be refused as
        certainly not applied.
        """
        for group, replica in list(self._writers.items()):
            if self.admission.reaches_majority(replica, self._majority_within_ticks):
                replica.propose_waiting()
                if replica.core.has_ready:
                    self._touch(replica)
            if not replica.waiting_writes:
                del self._writers[group]

    def _collect(self, replica: Replica, ready: Ready) -> None:
        group = replica.group
        if ready.snapshot is not None:
            self.states.install(replica, ready)
        elif self.states.are_arriving:
            self.states.not_asked_for(group)
        if ready.entries:
            replica.log.append(ready.entries)
        for message in ready.messages:
            self._address(group, message)
        for request in replica.on_ready(ready):
            self.admission.expire_in(request, self.config.election_ticks_max)
        settled = self.pipeline.add(group, ready)
        if settled is not None:
            self._settle_persisted(replica, settled)
        if ready.committed:
            self.applies.add(group, ready.committed)

    def _send_soon(
        self, group: GroupId, message: StateChunk | StateAck | ScrubHash | ScrubReply
    ) -> None:
        self._address(group, message)
        self._schedule()

    def _address(self, group: GroupId, message: PeerMessage) -> None:
        if isinstance(message, SnapshotRequest):
            self.states.send(self.replicas[group], message)
            return
        if not self.contacts.takes_entries(message.to) and _has_payload(message):
            return  # it would only be thrown away there
        outgoing = self._outgoing.get(message.to)
        if outgoing is None:
            self._outgoing[message.to] = [(group, message)]
        else:
            outgoing.append((group, message))

    def _send(self) -> None:
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, {}
        for peer, messages in outgoing.items():
            self.messages_sent += len(messages)
            self._spoke_to.add(peer)
            self._transport.send(peer, messages)

    def _greet(self) -> None:
        """Says "I am here" to peers that nothing was sent to since the last heartbeat."""
        for peer in self.contacts.peers:
            if peer not in self._spoke_to:
                self._transport.send(peer, ())
        self._spoke_to.clear()

    def _wake_groups_with(self, peer: ReplicaId) -> None:
        """A peer fell silent: the groups it may lead have to find out, and those led here too."""
        silent = self.contacts.silent_ticks(peer)
        for replica in self.replicas.values():
            if peer in replica.members:
                # Only silence of its own leader is a follower's reason to campaign soon.
                replica.core.wake(silent if replica.core.leader == peer else 0)
                self._awake[replica.group] = replica

    # Persisted, applied, served

    def _on_persisted(self, persisted: Sequence[Pending]) -> None:
        if self._stopped:
            return
        with self.guard:
            for pending in persisted:
                self._settle_persisted(self.replicas[pending.group], pending)
            self.pipeline.flush()
            self._schedule()

    def _settle_persisted(self, replica: Replica, pending: Pending) -> None:
        for run, position in zip(pending.runs, pending.positions, strict=False):
            if run is not None:
                replica.log.persisted(run, position)
        for message in pending.messages:
            self._address(replica.group, message)
        replica.core.on_persisted(pending.number)
        self._touch(replica)

    def _on_applied(self, replica: Replica, last: Entry) -> None:
        replica.core.on_applied(last.index)
        replica.log.trim(last.index)
        self.scrubber.on_applied(replica, last)
        if replica.core.has_ready:
            self._touch(replica)

    def _on_state_arrived(self, replica: Replica, request: SnapshotRequest) -> None:
        replica.core.step(request)
        self._touch(replica)

    def _on_state_switched(self, replica: Replica) -> None:
        # The new state covers what waited to be applied to the old one.
        self.applies.drop(replica.group)
        if replica.group == META_GROUP:
            before = self.meta.map
            self.meta.reload()
            if self.meta.map != before:
                self._hooks.on_map()

    def _serve(self, replica: Replica) -> None:
        """Answers the reads that may be served, with one multi-get."""
        state = replica.state
        if state is None:
            return
        requests = list(replica.readable())
        keys = [key for request in requests for key in request.keys]
        records = state.get_many(keys) if keys else []
        position = 0
        for request in requests:
            if request.scan is not None:
                result = encode_page(state.scan(request.scan))
            else:
                end = position + len(request.keys)
                result = encode_optional_list(records[position:end])
                position = end
            request.settle(Answer(Status.OK, result))


def _has_payload(message: PeerMessage) -> bool:
    """Whether it brings entries that hold something."""
    return isinstance(message, AppendRequest) and any(entry.data for entry in message.entries)


class Guard:
    """Hands whatever is raised inside it to `fail`, and ends it there: the node stops."""

    __slots__ = ("_fail",)

    def __init__(self, fail: Callable[[BaseException], None]) -> None:
        self._fail = fail

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if problem is not None:
            self._fail(problem)
        return isinstance(problem, Exception)
