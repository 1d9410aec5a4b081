"""The host: runs all replicas of a node together, in rounds.

A round collects what came in since the last one, hands it to the cores, starts one write to the
commit log, sends one message per peer, applies what is committed with one engine write, serves the
reads that were confirmed, and answers.

```
 clients ─▶ Intake ─┐                        ┌─▶ Outbox ─▶ peers
 peers ────────────▶│ Agenda ─▶ Rounds ─▶ Bundles ─▶ commit log, engine
 ticks ─▶ WakeGroups┘                        └─▶ states to and from elsewhere
```

Everything happens on the event loop; only the log's writes do not (`LogPipeline`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from cluster.errors import ProposalRefused
from cluster.ids import META_GROUP, GroupId, ReplicaId
from cluster.membership import PeerContacts
from cluster.raft.config import RaftConfig
from cluster.raft.configuration import MembershipChange
from cluster.raft.messages import AppendRequest, AppendResponse, Entry
from kvstore.codec.fitness import UnfitToLead
from kvstore.codec.leadership import LeadershipAnswer, LeadershipQuestion
from kvstore.codec.read_points import PointAnswer, PointQuestion
from kvstore.codec.scrub import ScrubHash, ScrubReply
from kvstore.codec.state_transfer import StateAck, StateChunk
from kvstore.environment import GroupMessage, HostMessage, PeerMessage, Transport
from kvstore.replica.admission import STOPPED, Admission, AdmissionLimits
from kvstore.replica.agenda import Agenda
from kvstore.replica.bundles import Bundles, Stores
from kvstore.replica.follower_reads import FollowerReads, LevelRead
from kvstore.replica.intake import Intake
from kvstore.replica.leadership_checks import LeadershipChecks
from kvstore.replica.lifetimes import Lifetimes
from kvstore.replica.outbox import Outbox, has_payload
from kvstore.replica.participation import Participation
from kvstore.replica.read_server import ReadServer
from kvstore.replica.replica import Replica
from kvstore.replica.requests import ReadRequest, WriteRequest
from kvstore.replica.rounds import Rounds
from kvstore.replica.scan_views import GONE, ScanViews
from kvstore.replica.scrubber import Scrubber, ScrubPolicy
from kvstore.replica.space import Space, SpaceWatch
from kvstore.replica.wake_groups import WakeGroups


@dataclass(frozen=True, slots=True)
class HostHooks:
    """Whom the host tells, and who runs its rounds."""

    call_soon: Callable[[Callable[[], None]], object]
    """Runs a function once, later in this turn or in the next one of the event loop."""
    monotonic_s: Callable[[], float]
    """The node's clock, for the age of states that are read from, and for the end of keys."""
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
        stores: Stores,
        random: Random,
        scrub: ScrubPolicy,
        contacts: PeerContacts,
        space: SpaceWatch,
        hooks: HostHooks,
    ) -> None:
        self.config: Final = config
        """Of the groups; the host keeps the same times."""
        self.meta: Final = stores.meta
        self.contacts: Final = contacts
        self.space: Final = space
        self.replicas: Final[dict[GroupId, Replica]] = {}
        self.ticks = 0
        self.admission: Final = Admission(me, contacts, limits, config.election_ticks_min)
        self._participation = Participation(self._close, hooks.on_failure)
        self.guard: Final = self._participation.guard
        """For work on the host that is done elsewhere: an exception in it stops the node, too."""
        self._agenda = Agenda(self._participation, hooks.call_soon, self._run_round)
        self._awake = WakeGroups(self.replicas, self._agenda)
        self._outbox = Outbox(transport, contacts, self._agenda)
        self._checks = LeadershipChecks(me, self.replicas, self._outbox, self._agenda)
        self._lifetimes = Lifetimes(self.replicas, hooks.monotonic_s, self._agenda.touch)
        majority_within_ticks = 2 * config.heartbeat_ticks + 1
        self._intake = Intake(
            replicas=self.replicas,
            admission=self.admission,
            agenda=self._agenda,
            checks=self._checks,
            participation=self._participation,
            space=space,
            clock_ms=self._lifetimes.clock_ms,
            majority_within_ticks=majority_within_ticks,
            open_write_ticks=config.election_ticks_max,
        )
        self.scrubber: Final = Scrubber(
            me=me,
            policy=scrub,
            within_ticks=majority_within_ticks,
            engine=stores.engine,
            replicas=self.replicas,
            admission=self.admission,
            say=self._outbox.say,
            touch=self._agenda.touch,
            leave=self._leave,
        )
        self.follower_reads: Final = FollowerReads(
            admission=self.admission,
            replicas=self.replicas,
            heartbeat_ticks=config.heartbeat_ticks,
            monotonic_s=hooks.monotonic_s,
            random=random,
            read=self.read,
            say=self._outbox.say,
            catch_up=self._catch_up,
        )
        """Those that need no leader."""
        self._bundles = Bundles(
            me=me,
            stores=stores,
            random=random,
            replicas=self.replicas,
            participation=self._participation,
            agenda=self._agenda,
            outbox=self._outbox,
            has_room=lambda: space.space is Space.ENOUGH,
            is_awaited=self._is_awaited,
            on_applied=self._on_applied,
            on_replaced=self.follower_reads.on_applied,
            on_map=hooks.on_map,
        )
        self.pipeline: Final = self._bundles.pipeline
        """The way to the commit log."""
        self.applies: Final = self._bundles.applies
        """The way to the engine."""
        self.states: Final = self._bundles.states
        """Whole states on their way to this node and from it."""
        self.scan_views: Final = ScanViews()
        self._rounds = Rounds(
            agenda=self._agenda,
            awake=self._awake,
            intake=self._intake,
            checks=self._checks,
            bundles=self._bundles,
            outbox=self._outbox,
            reads=ReadServer(self.scan_views, self.replicas),
            monotonic_s=hooks.monotonic_s,
        )

    @property
    def rounds(self) -> int:
        """How many it has run."""
        return self._rounds.count

    def take_longest_round_s(self) -> float:
        """How long the longest round took since this was last asked, in seconds."""
        return self._rounds.take_longest_s()

    @property
    def messages_sent(self) -> int:
        """To peers, greetings not counted."""
        return self._outbox.messages_sent

    # What comes in

    def add_replica(self, replica: Replica) -> None:
        """Takes over `replica`, whose group is new here."""
        self.replicas[replica.group] = replica
        self.scrubber.add_replica(replica)
        if replica.completes_installation:
            self._bundles.complete_installation(replica)
        self._agenda.touch(replica)

    def receive(self, sender: ReplicaId, messages: Iterable[GroupMessage]) -> None:
        """Takes a round of `sender`. Messages for groups that are not here are dropped: Raft
        sends them again, and by then the map that brings the group may have arrived."""
        if self.is_stopped:
            return
        self.contacts.heard(sender)
        with self.guard:
            for group, message in messages:
                # What there is most of is told from the rest by a look at two types.
                if not isinstance(message, (AppendRequest, AppendResponse)) and isinstance(
                    message, HostMessage
                ):
                    self._receive_own(sender, group, message)
                    continue
                replica = self.replicas.get(group)
                if replica is not None and self._has_room_for(message):
                    replica.core.step(message)
                    self._agenda.touch(replica)

    def _receive_own(self, sender: ReplicaId, group: GroupId, message: HostMessage) -> None:
        if isinstance(message, (LeadershipQuestion, LeadershipAnswer)):
            self._checks.receive(message)
        elif isinstance(message, (StateChunk, StateAck)):
            self.states.receive(group, message)
        elif isinstance(message, (ScrubHash, ScrubReply)):
            self.scrubber.receive(group, message)
        elif isinstance(message, (PointQuestion, PointAnswer)):
            self.follower_reads.receive(group, message)
        else:
            self.contacts.says_unfit(
                sender,
                takes_entries=message.takes_entries,
                for_ticks=self.config.election_ticks_max,
            )

    def _has_room_for(self, message: PeerMessage) -> bool:
        """Entries that cannot be stored are as good as lost on their way: their leader sends them
        again. Empty ones, as a new leader begins with, always find room."""
        return self.space.space is not Space.NONE or not has_payload(message)

    def meet(self, peer: ReplicaId) -> None:
        """`peer` has connected: it started, or was cut off."""
        with self.guard:
            self.states.meet(peer)
            self._awake.on_met(peer)

    def write(self, group: GroupId, request: WriteRequest, expires_in_ticks: int) -> None:
        """Takes a command that was checked; answers it at the latest when it expires."""
        self._intake.write(group, request, expires_in_ticks)

    def read(self, group: GroupId, request: ReadRequest, expires_in_ticks: int) -> None:
        """Takes a linearizable read; answers it at the latest when it expires."""
        if request.goes_on:
            self._go_on(group, request)
        else:
            self._intake.read(group, request, expires_in_ticks)

    def _go_on(self, group: GroupId, request: ReadRequest) -> None:
        """Answers from a view. Who has none and does not lead sends the caller to who does: a call
        that failed may have led it here, away from its view."""
        if not self.is_stopped and request.scan is not None:
            with self.guard:
                answer = self.scan_views.answer(group, request.scan)
                replica = self.replicas.get(group)
                if answer is GONE and (replica is None or not replica.is_leader):
                    answer = self.admission.refusal(replica)
                request.settle(answer)
        if not request.is_settled:
            request.settle(STOPPED)

    def read_anywhere(self, group: GroupId, request: LevelRead, expires_in_ticks: int) -> None:
        """Takes a read that needs no leader; answers it within a few ticks."""
        with self.guard:
            self.follower_reads.read(group, request, expires_in_ticks)
        if self.is_stopped:
            request.settle(STOPPED)

    def refuse_writes(self) -> None:
        """Refuses the writes that were taken in and not proposed: there is no room for them."""
        self._intake.refuse_writes()

    def tick(self) -> None:
        """Time passes: one tick for every group that is not quiet."""
        self.ticks += 1
        self.admission.tick()
        if self.is_stopped:
            self._participation.tick()
            return
        with self.guard:
            for peer in self.contacts.tick():
                self._awake.on_silent(peer, self.contacts.silent_ticks(peer))
            self._awake.tick()
            if self.ticks % self.config.heartbeat_ticks == 0:
                self._outbox.greet()
            if self._intake.has_writes:
                self._agenda.schedule()
            self._bundles.tick()
            self.scrubber.tick()
            self._lifetimes.tick(
                may_propose=self._bundles.are_keeping_up and self.space.space is Space.ENOUGH
            )
            self.follower_reads.tick()
            self.scan_views.tick()

    # What others want of the groups

    def transfer(self, group: GroupId, to: ReplicaId) -> None:
        """Starts to hand the leadership of `group` over; nothing happens where we do not lead, or
        while it is being handed to another."""
        replica = self.replicas[group]
        with contextlib.suppress(ProposalRefused):
            replica.core.transfer_leadership(to)
            self._agenda.touch(replica)

    def step_down(self, group: GroupId) -> None:
        """Leads `group` no more."""
        replica = self.replicas[group]
        replica.core.step_down()
        self._agenda.touch(replica)

    def declare_unfit(self) -> None:
        """Tells all peers that this node should not lead for now."""
        for peer in self.contacts.peers:
            takes_entries = self.space.space is not Space.NONE
            self._outbox.say(META_GROUP, UnfitToLead(self.admission.me, peer, takes_entries))

    def propose_meta(self, command: bytes) -> None:
        """Proposes a command to the meta group; raises ProposalRefused where we do not lead it."""
        replica = self.replicas[META_GROUP]
        replica.core.propose(command)
        self._agenda.touch(replica)

    def change_members(self, group: GroupId, change: MembershipChange) -> None:
        """Begins to change the members of `group`; raises ProposalRefused where that is not
        possible now."""
        replica = self.replicas[group]
        try:
            replica.core.propose_membership(change)
        finally:
            self._agenda.touch(replica)  # refused or not, a quiet group was woken

    def hasten_election(self, group: GroupId) -> None:
        """Lets the group campaign at the next tick, if others would vote for it."""
        replica = self.replicas[group]
        replica.core.wake(self.config.election_ticks_max)
        self._agenda.touch(replica)

    # The end

    @property
    def is_stopped(self) -> bool:
        """Whether it takes no further part."""
        return self._participation.is_over

    def stop(self) -> None:
        """Takes no further part: what was under way ends as if the node had crashed here."""
        self._participation.stop()

    def fail(self, problem: BaseException) -> None:
        """Stops for a reason, and says so once."""
        self._participation.fail(problem)

    def _leave(self, problem: BaseException) -> None:
        if not self.is_stopped:
            self._outbox.send()
            self._participation.leave(problem)

    def _close(self) -> None:
        self.states.close()
        self.scrubber.close()
        self.follower_reads.close()
        self.scan_views.close()

    def _catch_up(self, group: GroupId) -> None:
        self.applies.catch_up(group)

    def _is_awaited(self, replica: Replica) -> bool:
        return replica.is_awaited or self.follower_reads.has_waiting(replica.group)

    def _on_applied(self, replica: Replica, last: Entry) -> None:
        self.scrubber.on_applied(replica, last)
        self.follower_reads.on_applied(replica)

    def _run_round(self) -> None:
        self._rounds.run()
