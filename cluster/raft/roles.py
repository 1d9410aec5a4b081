"""The role of a replica, and every way from one to another (dissertation 3.3, 3.4).

| role | file | leaves it for |
| --- | --- | --- |
| FOLLOWER | follower.py | PRE_CANDIDATE: election timeout; CANDIDATE: TimeoutNow |
| PRE_CANDIDATE | candidate.py | CANDIDATE: majority would vote; FOLLOWER: it would not |
| CANDIDATE | candidate.py | LEADER: majority; FOLLOWER: it lost; PRE_CANDIDATE: timeout |
| LEADER | leader.py | FOLLOWER: no majority heard for an election timeout, removed, or asked to |

Any role becomes FOLLOWER when it sees a higher term, and any but LEADER when it hears its term's
leader. Who has no vote stays a FOLLOWER.
"""

from __future__ import annotations

from cluster.errors import InvariantViolation
from cluster.ids import ReplicaId, Term
from cluster.raft import voter
from cluster.raft.candidate import Candidate
from cluster.raft.follower import Follower
from cluster.raft.leader import Leader
from cluster.raft.messages import AppendResponse, HeartbeatResponse, VoteRequest, VoteResponse
from cluster.raft.quorum import Tally
from cluster.raft.ready import Role
from cluster.raft.state import ReplicaState


class Roles:
    """What one replica is now."""

    __slots__ = ("_candidate", "_state", "follower", "leader")

    def __init__(self, state: ReplicaState) -> None:
        self._state = state
        self.follower = Follower(state)
        self._candidate: Candidate | None = None
        self.leader: Leader | None = None
        """Not None while it leads."""

    def become_follower(self, term: Term, leader: ReplicaId | None) -> None:
        """Follows `leader` in `term`, or waits for whoever comes."""
        state = self._state
        if term > state.term:
            state.set_vote(term, None)
        if state.role is not Role.FOLLOWER:
            # A follower's timer runs on: who refuses a vote may be the better candidate.
            state.timer.redraw()
        self._candidate = None
        self.leader = None
        state.quiet = False
        state.set_leader(Role.FOLLOWER, leader)
        self.follower.start()

    def follow(self, leader: ReplicaId, term: Term) -> None:
        """`leader` was heard and leads `term`, which is not below this replica's."""
        state = self._state
        if term > state.term:
            self.become_follower(term, leader)
        elif state.leader != leader:
            if state.leader is not None:
                raise InvariantViolation(
                    f"replicas {state.leader} and {leader} both lead term {term}"
                )
            self.become_follower(term, leader)
        state.timer.restart()
        if state.protection is not None:
            state.protection.renew(leader)

    def step_down(self) -> None:
        """The leader's removal is committed (4.2.2), or its host wants it to lead no more."""
        if self.leader is not None:
            self.leader.resign()
            self.become_follower(self._state.term, None)

    def on_response(self, response: AppendResponse | HeartbeatResponse) -> None:
        """A peer has answered, not in an older term: this leader, or one that it was before."""
        leader = self.leader
        if response.term > self._state.term:
            self.become_follower(response.term, None)
        elif leader is None:
            return
        elif isinstance(response, AppendResponse):
            leader.on_append_response(response)
            if leader.has_left:
                self.step_down()
        else:
            leader.on_heartbeat_response(response)

    # Votes

    def on_vote_request(self, request: VoteRequest) -> None:
        """Grants or refuses; a pre-vote changes nothing here (9.6)."""
        state = self._state
        if request.term > state.term:
            if voter.protects_leader(state, request):
                if request.pre_vote:
                    voter.answer(state, request, granted=False)
                return
            if not request.pre_vote:
                self.become_follower(request.term, None)
        granted = voter.would_grant(state, request)
        if granted and not request.pre_vote:
            if state.vote is None:
                if state.role is not Role.FOLLOWER:  # two campaigns would only split the vote
                    self.become_follower(state.term, None)
                state.set_vote(state.term, request.sender)
            state.timer.restart()
        voter.answer(state, request, granted=granted)

    def on_vote_response(self, response: VoteResponse) -> None:
        """Counts it, if it answers the campaign that is under way."""
        state = self._state
        campaign = self._candidate
        is_pre_vote = state.role is Role.PRE_CANDIDATE
        if response.pre_vote and response.granted:
            # Repeats the term that was asked for, which nobody is in yet.
            current = is_pre_vote and response.term == state.term + 1
        elif response.term > state.term:
            self.become_follower(response.term, None)
            return
        else:
            current = response.term == state.term and response.pre_vote == is_pre_vote
        if current and campaign is not None:
            self._settle(campaign.count(response.sender, response.granted))

    # Campaigns

    def campaign(self, *, handover: bool = False) -> None:
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
            self.become_follower(state.term, None)
        elif tally is Tally.WON:
            if state.role is Role.PRE_CANDIDATE:
                self._stand()
            else:
                self._candidate = None
                state.set_leader(Role.LEADER, state.replica)
                self.leader = Leader(state)
