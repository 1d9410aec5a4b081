"""One replica of one Raft group, without I/O, clock or threads.

The algorithm is that of Ongaro, "Consensus: Bridging Theory and Practice" (2014), with pre-vote and
check-quorum (9.6, 6.2) always on. The host calls in; nothing is called out. After any call it may
ask `has_ready`, take `ready()`, and do what `Ready` says. Persisting and applying are answered
later, while the next bundles are already under way.

| role | file | leaves it for |
| --- | --- | --- |
| FOLLOWER | follower.py | PRE_CANDIDATE: election timeout; CANDIDATE: TimeoutNow |
| PRE_CANDIDATE | candidate.py | CANDIDATE: majority would vote; FOLLOWER: it would not |
| CANDIDATE | candidate.py | LEADER: majority; FOLLOWER: it lost; PRE_CANDIDATE: timeout |
| LEADER | leader.py | FOLLOWER: no majority was heard for an election timeout |

Any role becomes FOLLOWER when it sees a higher term, and any but LEADER when it hears its term's
leader.

A group whose replicas all hold the same committed log falls *quiet*: `tick()` does nothing until
something happens. The leader's last heartbeat says so and is not answered. If it is lost, the
follower campaigns in time, which wakes the leader and disturbs nobody. That a quiet leader's node
is gone is for the host to see, which then calls `wake`.
"""

from __future__ import annotations

from random import Random

from cluster.errors import InvariantViolation, NotLeader
from cluster.ids import Index, ReplicaId, Term
from cluster.raft import voter
from cluster.raft.candidate import Candidate
from cluster.raft.config import RaftConfig
from cluster.raft.configuration import Configuration
from cluster.raft.follower import Follower
from cluster.raft.leader import Leader
from cluster.raft.log import RaftLog
from cluster.raft.messages import (
    AppendRequest,
    AppendResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from cluster.raft.quorum import Tally
from cluster.raft.ready import HardState, ReadState, Ready, Role
from cluster.raft.state import ReplicaState
from cluster.raft.status import Status, status_of
from cluster.raft.storage import LogStorage


class Raft:
    """One replica. Every method returns at once.

    `hard_state`, `storage` and `applied` are what survived; a new replica has HardState(), an empty
    log and 0. Raises InvariantViolation when they do not belong together, and later whenever
    something is seen that must never be: the host then stops.
    """

    __slots__ = ("_candidate", "_follower", "_leader", "_log", "_state")

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
        if replica not in configuration.voters:
            raise ValueError(f"replica {replica} is not a voter of this group")
        log = RaftLog(storage, commit=hard_state.commit, applied=applied)
        if log.last_term > hard_state.term:
            raise InvariantViolation(
                f"the log ends in term {log.last_term}, but the term is {hard_state.term}"
            )
        self._log = log
        self._state = ReplicaState(
            replica=replica,
            config=config,
            configuration=configuration,
            hard_state=hard_state,
            log=log,
            random=random,
        )
        self._follower = Follower(self._state)
        self._candidate: Candidate | None = None
        self._leader: Leader | None = None

    # What it is

    @property
    def role(self) -> Role:
        """What this replica is in its term."""
        return self._state.role

    @property
    def term(self) -> Term:
        """The current term."""
        return self._state.term

    @property
    def vote(self) -> ReplicaId | None:
        """Who got this replica's vote in the current term."""
        return self._state.vote

    @property
    def leader(self) -> ReplicaId | None:
        """The leader of the current term, as far as it is known."""
        return self._state.leader

    @property
    def commit(self) -> Index:
        """All up to here is known to be committed."""
        return self._log.commit

    @property
    def applied(self) -> Index:
        """All up to here was applied, by the host's word."""
        return self._log.applied

    @property
    def last_index(self) -> Index:
        """The last index of the log, persisted or not."""
        return self._log.last_index

    @property
    def persisted(self) -> Index:
        """The log is on stable storage, as it is now, up to here."""
        return self._log.persisted

    @property
    def is_quiet(self) -> bool:
        """Whether `tick()` does nothing."""
        return self._state.quiet

    def status(self) -> Status:
        """All of it, for operators."""
        return status_of(self._state, self._leader)

    # What the host wants

    def propose(self, data: bytes) -> Index:
        """Appends `data` to the log; the entry's term is `term`. It may yet be lost.

        Raises NotLeader, TransferInProgress or TooManyUncommitted: then nothing was appended.
        """
        index = self._require_leader().propose(data)
        if self._state.quiet:
            self.wake()
        return index

    def read_index(self, context: int) -> None:
        """Asks for a ReadState with `context`; lost when leadership is.

        Raises NotLeader or TooManyReads.
        """
        self._require_leader().read_index(context)
        if self._state.quiet:
            self.wake()

    def transfer_leadership(self, to: ReplicaId) -> None:
        """Begins to hand leadership to `to`; given up after the shortest election timeout.

        Raises NotLeader, TransferInProgress (to another) or ValueError (not a voter).
        """
        self._require_leader().transfer(to)
        if self._state.quiet:
            self.wake()

    def _require_leader(self) -> Leader:
        if self._leader is None:
            state = self._state
            raise NotLeader(
                f"replica {state.replica} is {state.role.name} in term {state.term}; "
                f"its leader is {state.leader or 'not known'}"
            )
        return self._leader

    # Time

    def tick(self) -> None:
        """One tick passed."""
        state = self._state
        if state.quiet:
            return
        if self._leader is None:
            if state.timer.tick():
                self._campaign()
        elif not self._leader.tick():
            self._become_follower(state.term, None)

    def wake(self, silent_ticks: int = 0) -> None:
        """Ends quiet. `silent_ticks`: how long the host has not heard the leader's node; a follower
        takes it as that many ticks without its leader."""
        state = self._state
        timer = state.timer
        if self._leader is None:
            state.quiet = False
            timer.elapsed = max(timer.elapsed, silent_ticks)
        elif state.quiet:
            state.quiet = False
            self._leader.wake()

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
            self._on_vote_request(message)
        elif isinstance(message, VoteResponse):
            self._on_vote_response(message)
        elif term < state.term:
            self._answer_stale(message)
        elif isinstance(message, (AppendResponse, HeartbeatResponse)):
            self._on_response(message)
        else:
            self._follow(message.sender, term)
            if isinstance(message, AppendRequest):
                self._follower.on_append(message)
            elif isinstance(message, HeartbeatRequest):
                self._follower.on_heartbeat(message)
            else:
                self._campaign(handover=True)

    def _answer_stale(
        self,
        message: AppendRequest | AppendResponse | HeartbeatRequest | HeartbeatResponse | TimeoutNow,
    ) -> None:
        """Tells a leader of an older term that its time is over.

        It may be that it leads a majority, and that this replica campaigned alone: without an
        answer the two would never come together again, as terms do not fall.
        """
        if isinstance(message, (AppendRequest, HeartbeatRequest)):
            state = self._state
            state.send(HeartbeatResponse(state.replica, message.sender, state.term))

    def _on_response(self, response: AppendResponse | HeartbeatResponse) -> None:
        if response.term > self._state.term:
            self._become_follower(response.term, None)
        elif self._leader is None:
            return
        elif isinstance(response, AppendResponse):
            self._leader.on_append_response(response)
        else:
            self._leader.on_heartbeat_response(response)

    def _follow(self, leader: ReplicaId, term: Term) -> None:
        """`leader` was heard and leads `term`, which is not below this replica's."""
        state = self._state
        if term > state.term:
            self._become_follower(term, leader)
        elif state.leader != leader:
            if state.leader is not None:
                raise InvariantViolation(
                    f"replicas {state.leader} and {leader} both lead term {term}"
                )
            self._become_follower(term, leader)
        state.timer.restart()

    def _on_vote_request(self, request: VoteRequest) -> None:
        """Grants or refuses; a pre-vote changes nothing here (9.6)."""
        state = self._state
        if request.term > state.term:
            if voter.protects_leader(state, request):
                if request.pre_vote:
                    voter.answer(state, request, granted=False)
                return
            if not request.pre_vote:
                self._become_follower(request.term, None)
        granted = voter.would_grant(state, request)
        if granted and not request.pre_vote:
            if state.vote is None:
                if state.role is not Role.FOLLOWER:  # two campaigns would only split the vote
                    self._become_follower(state.term, None)
                state.set_vote(state.term, request.sender)
            state.timer.restart()
        voter.answer(state, request, granted=granted)

    def _on_vote_response(self, response: VoteResponse) -> None:
        state = self._state
        campaign = self._candidate
        is_pre_vote = state.role is Role.PRE_CANDIDATE
        if response.pre_vote and response.granted:
            # Repeats the term that was asked for, which nobody is in yet.
            current = is_pre_vote and response.term == state.term + 1
        elif response.term > state.term:
            self._become_follower(response.term, None)
            return
        else:
            current = response.term == state.term and response.pre_vote == is_pre_vote
        if current and campaign is not None:
            self._settle(campaign.count(response.sender, response.granted))

    # Roles

    def _become_follower(self, term: Term, leader: ReplicaId | None) -> None:
        state = self._state
        if term > state.term:
            state.set_vote(term, None)
        if state.role is not Role.FOLLOWER:
            # A follower's timer runs on: who refuses a vote may be the better candidate.
            state.timer.redraw()
        self._candidate = None
        self._leader = None
        state.quiet = False
        state.set_leader(Role.FOLLOWER, leader)
        self._follower.start()

    def _campaign(self, *, handover: bool = False) -> None:
        """The time of this term's leader is over; only a handover goes without a pre-vote."""
        state = self._state
        state.timer.redraw()
        if handover:
            self._stand(handover=True)
            return
        state.set_leader(Role.PRE_CANDIDATE, None)
        self._candidate = Candidate(state)
        self._settle(self._candidate.ask())

    def _stand(self, *, handover: bool = False) -> None:
        """Asks for votes in the next term, with its own as the first."""
        state = self._state
        state.set_vote(Term(state.term + 1), state.replica)
        state.set_leader(Role.CANDIDATE, None)
        self._candidate = Candidate(state)
        self._settle(self._candidate.ask(handover=handover))

    def _settle(self, tally: Tally) -> None:
        state = self._state
        if tally is Tally.LOST:
            self._become_follower(state.term, None)
        elif tally is Tally.WON:
            if state.role is Role.PRE_CANDIDATE:
                self._stand()
            else:
                self._candidate = None
                state.set_leader(Role.LEADER, state.replica)
                self._leader = Leader(state)

    # Work for the host

    @property
    def has_ready(self) -> bool:
        """Whether `ready()` has something to hand out."""
        state, log, leader = self._state, self._log, self._leader
        return bool(
            state.messages
            or state.messages_after_persist
            or log.has_unstable
            or log.has_committed
            or state.changed
            or state.has_hard_state
            or (leader is not None and leader.has_work)
        )

    def ready(self) -> Ready:
        """Hands out all there is to do, as the next bundle."""
        state, log, leader = self._state, self._log, self._leader
        if leader is not None:
            leader.collect()
        state.number += 1
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
            entries=entries,
            hard_state=hard_state,
            must_sync=must_sync or bool(entries),
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
        """Bundle `number` and all below it are persisted."""
        state = self._state
        if not state.persisted_number < number <= state.number:
            raise InvariantViolation(
                f"bundle {number} persisted after {state.persisted_number}, "
                f"of {state.number} handed out"
            )
        state.persisted_number = number
        self._log.on_persisted(number)
        if self._leader is not None:
            self._leader.advance_commit()

    def on_applied(self, index: Index) -> None:
        """All committed entries up to `index` were applied."""
        self._log.on_applied(index)
