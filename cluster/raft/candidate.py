"""A campaign: first whether it could be won (pre-vote, dissertation 9.6), then the vote (3.4)."""

from __future__ import annotations

from cluster.ids import ReplicaId, Term
from cluster.raft.messages import VoteRequest
from cluster.raft.quorum import Tally, tally
from cluster.raft.ready import Role
from cluster.raft.state import ReplicaState


class Candidate:
    """One campaign, with votes of its own: none are carried over from another."""

    __slots__ = ("_state", "_votes")

    def __init__(self, state: ReplicaState) -> None:
        self._state = state
        self._votes: dict[ReplicaId, bool] = {state.replica: True}

    def ask(self, *, handover: bool = False) -> Tally:
        """Asks whoever has a vote, as the state's role says. Alone, the vote is won with that.

        Whose votes count is for the candidate's own configuration to say (4.1); its own does not if
        it is no longer in it.
        """
        state = self._state
        log = state.log
        pre_vote = state.role is Role.PRE_CANDIDATE
        term = Term(state.term + 1) if pre_vote else state.term
        for peer in sorted(state.configuration.electors - {state.replica}):
            state.send(
                VoteRequest(
                    state.replica, peer, term, log.last_index, log.last_term, pre_vote, handover
                )
            )
        return self._tally()

    def count(self, voter: ReplicaId, granted: bool) -> Tally:
        """One answer to this campaign; a voter's first answer stands."""
        self._votes.setdefault(voter, granted)
        return self._tally()

    def _tally(self) -> Tally:
        return tally(self._state.configuration, self._votes)
