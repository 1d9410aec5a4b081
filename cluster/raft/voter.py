"""Whether to give a vote (dissertation 3.4, 3.6.1), and whether to protect a leader from one."""

from __future__ import annotations

from cluster.raft.messages import VoteRequest, VoteResponse
from cluster.raft.ready import Role
from cluster.raft.state import ReplicaState


def protects_leader(state: ReplicaState, request: VoteRequest) -> bool:
    """Whether a leader was heard too recently to help replace it (6.4.1, 9.6).

    Not if that leader asks for it itself: by a handover, or because it restarted. While leases are
    on, the protection is kept by the clock as well, through terms and restarts (6.4.1).
    """
    if request.handover:
        return False
    if state.role is Role.LEADER or state.is_bound_against(request.sender):
        return True
    return (
        state.leader is not None
        and state.leader != request.sender
        and state.timer.elapsed < state.config.election_ticks_min
    )


def would_grant(state: ReplicaState, request: VoteRequest) -> bool:
    """Whether `request` may have this replica's vote, or for a pre-vote, would have it."""
    if request.term < state.term:
        return False
    if not request.handover and state.is_bound_against(request.sender):
        return False
    may_vote = (
        state.vote == request.sender
        or (state.vote is None and state.leader is None)
        or (request.pre_vote and request.term > state.term)
    )
    return may_vote and state.log.is_up_to_date(request.last_index, request.last_term)


def answer(state: ReplicaState, request: VoteRequest, *, granted: bool) -> None:
    """Answers `request`. A refusal carries this replica's term: the sender catches up with it."""
    term = request.term if granted else state.term
    state.send(VoteResponse(state.replica, request.sender, term, granted, request.pre_vote))
