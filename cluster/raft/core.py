"""One replica of one Raft group, without I/O, clock or threads.

The algorithm is that of Ongaro, "Consensus: Bridging Theory and Practice" (2014), with pre-vote and
check-quorum (9.6, 6.2) always on. The host calls in; nothing is called out. After any call it may
ask `has_ready`, take `ready()`, and do what `Ready` says. Persisting and applying are answered
later, while the next bundles are already under way.

What a replica is at a time, and how it comes to be something else, is in roles.py.

A group whose replicas all hold the same committed log falls *quiet*: `tick()` does nothing until
something happens. The leader's last heartbeat says so and is not answered. If it is lost, the
follower campaigns in time, which wakes the leader and disturbs nobody. That a quiet leader's node
is gone is for the host to see, which then calls `wake`. Who has no vote, and so nothing to do when
its leader is silent, falls quiet by itself.
"""

from __future__ import annotations

from random import Random

from cluster.errors import InvariantViolation, NotLeader
from cluster.ids import Index, ReplicaId, Term
from cluster.raft.config import RaftConfig
from cluster.raft.configuration import Configuration, MembershipChange
from cluster.raft.leader import Leader
from cluster.raft.log import RaftLog
from cluster.raft.messages import (
    AppendRequest,
    AppendResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    SnapshotRequest,
    VoteRequest,
    VoteResponse,
)
from cluster.raft.ready import HardState, ReadState, Ready
from cluster.raft.roles import Roles
from cluster.raft.state import ReplicaState
from cluster.raft.storage import LogStorage
from cluster.raft.view import ReplicaView


class Raft(ReplicaView):
    """One replica. Every method returns at once.

    `hard_state`, `storage` and `applied` are what survived; a new replica has HardState(), an empty
    log and 0. `configuration` is the one that the state has as of `applied`: later ones are found
    in the log. A replica that joins a group has Configuration(), and learns who belongs to it from
    its leader. Raises InvariantViolation when they do not belong together, and later whenever
    something is seen that must never be: the host then stops.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        replica: ReplicaId,
        config: RaftConfig,
        configuration: Configuration,
        hard_state: HardState,
        storage: LogStorage,
        applied: Index,
        random: Random,
    ) -> None:
        log = RaftLog(
            storage, commit=hard_state.commit, applied=applied, configuration=configuration
        )
        if log.last_term > hard_state.term:
            raise InvariantViolation(
                f"the log ends in term {log.last_term}, but the term is {hard_state.term}"
            )
        self._log = log
        self._state = ReplicaState(
            replica=replica,
            config=config,
            hard_state=hard_state,
            log=log,
            random=random,
        )
        self._roles = Roles(self._state)

    # What the host wants

    def propose(self, data: bytes) -> Index:
        """Appends `data` to the log; the entry's term is `term`. It may yet be lost.

        Raises NotLeader, TransferInProgress or TooManyUncommitted: then nothing was appended.
        """
        index = self._require_leader().propose(data)
        if self._state.quiet:
            self.wake()
        return index

    def propose_membership(self, change: MembershipChange) -> Index:
        """Begins to change the group's members; returns the index of the entry that does.

        If the voters change, that entry begins joint consensus, which the leader leaves by itself
        (dissertation 4.3). The change is completed once `configuration` is what was asked for and
        the entry that says so is committed; a leader that is not a voter any more then steps down.

        Raises NotLeader, TransferInProgress, ChangeTooEarly, ChangeInProgress, LearnerNotReady,
        VotersNotHeard or NothingToChange: then nothing was appended. A quiet group does not know
        whom it could hear: asked to change its voters, it wakes and may refuse. It stays awake for
        an election timeout then, for whoever asks again.
        """
        leader = self._require_leader()
        if self._state.quiet:
            self.wake()
        return leader.propose_membership(change)

    def report_snapshot_failed(self, request: SnapshotRequest) -> None:
        """The snapshot of `request`, a message of this replica, will not arrive: another is sent
        once its receiver is heard of. Without effect when it no longer leads or waits for it."""
        leader = self._roles.leader
        if leader is not None and request.term == self._state.term:
            leader.on_snapshot_failed(request.to, request.snapshot.index)

    def read_index(self, context: int, now_us: int | None = None) -> None:
        """Asks for a ReadState with `context`; lost when leadership is.

        `now_us`: the time, read after the read came in; for a lease, if leases are on (lease.py).
        Raises NotLeader or TooManyReads.
        """
        self._require_leader().read_index(context, now_us)
        if self._state.quiet:
            self.wake()

    def begin_read_round(self) -> int:
        """Puts the reads that wait into a round about which the caller asks every peer itself, to
        `confirm` this leader. Returns the round's number; 0: there is nothing to ask, or heartbeats
        do, as they do again where an answer is lost."""
        leader = self._roles.leader
        return 0 if leader is None else leader.begin_read_round()

    def commit_known_to(self, peer: ReplicaId) -> Index:
        """What `peer` may be told to be committed, by this leader: that it has for certain."""
        return self._require_leader().commit_known_to(peer)

    def confirm(self, leader: ReplicaId, term: Term, commit: Index) -> bool:
        """Whether this replica follows `leader` in `term`, and so has helped nobody to a later one:
        what its answer to a heartbeat would say (6.4). It then learns what is committed, too. Where
        it does not, or not yet for certain, a heartbeat finds out why."""
        state = self._state
        if state.term != term or state.leader != leader or state.owes_vote:
            return False
        self._roles.follower.on_commit(leader, commit)
        return True

    def on_confirmed(self, peer: ReplicaId, term: Term, read_round: int) -> None:
        """`peer` confirmed the leader of `term`, asked on account of `read_round`."""
        leader = self._roles.leader
        if leader is not None and term == self._state.term:
            leader.on_confirmed(peer, read_round)

    def take_read_states(self) -> tuple[ReadState, ...]:
        """The reads that were confirmed since this was last asked, or `ready()`, which hands them
        out, too."""
        leader = self._roles.leader
        return () if leader is None else leader.take_read_states()

    def transfer_leadership(self, to: ReplicaId) -> None:
        """Begins to hand leadership to `to`; given up after the shortest election timeout.

        Raises NotLeader, TransferInProgress (to another) or ValueError (not a voter: learners do
        not lead).
        """
        self._require_leader().transfer(to)
        if self._state.quiet:
            self.wake()

    def step_down(self) -> None:
        """Leads no more, if it does: the host cannot go on as a leader. The voter that has most of
        its log is asked to campaign (dissertation 3.10); else the others find out by themselves."""
        self._roles.step_down()

    def _require_leader(self) -> Leader:
        leader = self._roles.leader
        if leader is None:
            state = self._state
            raise NotLeader(
                f"replica {state.replica} is {state.role.name} in term {state.term}; "
                f"its leader is {state.leader or 'not known'}"
            )
        return leader

    # Time

    def tick(self, now_us: int | None = None) -> None:
        """One tick passed. `now_us`: the time; has to be given if leases are on (lease.py)."""
        state = self._state
        if state.quiet:
            return
        if state.protection is not None:
            if now_us is None:
                raise ValueError("leases need the time of each tick")
            state.protection.tick(now_us)
        leader = self._roles.leader
        if leader is None:
            if state.timer.tick():
                if state.may_campaign:
                    if not state.is_bound_against(state.replica):
                        self._roles.campaign()
                elif not state.has_vote:
                    state.quiet = True
        elif not leader.tick():
            self._roles.become_follower(state.term, None)

    def wake(self, silent_ticks: int = 0) -> None:
        """Ends quiet. `silent_ticks`: how long the host has not heard the leader's node; a follower
        takes it as that many ticks without its leader."""
        state = self._state
        timer = state.timer
        leader = self._roles.leader
        if leader is None:
            state.quiet = False
            timer.elapsed = max(timer.elapsed, silent_ticks)
        elif state.quiet:
            state.quiet = False
            leader.wake()

    # Messages

    def step(self, message: Message) -> None:
        """Takes in one message; what is not for this replica is dropped."""
        state = self._state
        if message.to != state.replica or message.sender == state.replica:
            return
        term = message.term
        if state.quiet and not (term == state.term and isinstance(message, HeartbeatResponse)):
            self.wake()
        if isinstance(message, VoteRequest):
            self._roles.on_vote_request(message)
        elif isinstance(message, VoteResponse):
            self._roles.on_vote_response(message)
        elif term < state.term:
            self._answer_stale(message)
        elif isinstance(message, (AppendResponse, HeartbeatResponse)):
            self._roles.on_response(message)
        else:
            roles = self._roles
            roles.follow(message.sender, term)
            if isinstance(message, AppendRequest):
                roles.follower.on_append(message)
            elif isinstance(message, HeartbeatRequest):
                roles.follower.on_heartbeat(message)
            elif isinstance(message, SnapshotRequest):
                roles.follower.on_snapshot(message)
            elif state.may_campaign:
                roles.campaign(handover=True)

    def _answer_stale(self, message: Message) -> None:
        """Tells a leader of an older term that its time is over.

        It may be that it leads a majority, and that this replica campaigned alone: without an
        answer the two would never come together again, as terms do not fall.
        """
        if isinstance(message, (AppendRequest, HeartbeatRequest, SnapshotRequest)):
            state = self._state
            state.send(HeartbeatResponse(state.replica, message.sender, state.term))

    # Work for the host

    @property
    def has_ready(self) -> bool:
        """Whether `ready()` has something to hand out. Asked more often than all else."""
        leader = self._roles.leader
        return (
            self._state.has_news or self._log.has_news or (leader is not None and leader.has_work)
        )

    def ready(self, now_us: int | None = None) -> Ready:
        """Hands out all there is to do, as the next bundle. `now_us`: the time, for a lease."""
        state, log, leader = self._state, self._log, self._roles.leader
        if leader is not None:
            leader.collect(now_us)
        state.number += 1
        snapshot = log.hand_out_snapshot(state.number) if log.snapshot is not None else None
        entries = log.hand_out(state.number)
        hard_state, must_sync = state.hand_out_hard_state()
        committed = log.hand_out_committed(state.config.committed_bytes_max)
        read_states: tuple[ReadState, ...] = ()
        if leader is not None:
            read_states = leader.take_read_states()
            if committed:
                leader.release(committed)
        bundle = Ready(
            number=state.number,
            snapshot=snapshot,
            entries=entries,
            hard_state=hard_state,
            must_sync=must_sync or bool(entries) or snapshot is not None,
            messages=tuple(state.messages),
            messages_after_persist=tuple(state.messages_after_persist),
            committed=committed,
            read_states=read_states,
            role=state.role,
            term=state.term,
            leader=state.leader,
        )
        state.messages.clear()
        state.messages_after_persist.clear()
        state.changed = False
        return bundle

    def on_persisted(self, number: int) -> None:
        """Bundle `number` and all below it are persisted, and their snapshots installed."""
        state = self._state
        if not state.persisted_number < number <= state.number:
            raise InvariantViolation(
                f"bundle {number} persisted after {state.persisted_number}, "
                f"of {state.number} handed out"
            )
        state.persisted_number = number
        self._log.on_persisted(number)
        leader = self._roles.leader
        if leader is not None and self._log.persisted > self._log.commit:
            leader.advance_commit()  # never that of its removal: it does not count itself then

    def on_applied(self, index: Index) -> None:
        """All committed entries up to `index` were applied. Without effect if a snapshot that
        covers them was installed since."""
        self._log.on_applied(index)
