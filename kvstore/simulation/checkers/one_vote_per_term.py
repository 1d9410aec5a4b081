"""A replica votes for one candidate in a term (dissertation 3.4): in what it sends, and on disk."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.ids import GroupId, ReplicaId, Term
from cluster.raft.messages import VoteRequest, VoteResponse
from kvstore.environment import GroupMessage
from kvstore.simulation.checkers.checker import Checker
from kvstore.simulation.checkers.disk_record import hard_state_on_disk
from kvstore.simulation.checkers.observed import Node
from kvstore.simulation.checkers.violation import Violation


class OneVotePerTerm(Checker):
    """See the module. What is on disk is looked at when a vote is sent and when a life ends: a vote
    that never came to that binds nobody but by what follows it there."""

    def __init__(self) -> None:
        self._votes: dict[tuple[ReplicaId, GroupId], dict[Term, ReplicaId]] = {}

    def on_send(self, node: Node, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """See Checker."""
        for group, message in messages:
            if isinstance(message, VoteRequest):
                if not message.pre_vote:
                    self._cast(node, group, message.term, node.replica_id)
            elif isinstance(message, VoteResponse) and message.granted and not message.pre_vote:
                self._cast(node, group, message.term, message.to)

    def on_start(self, node: Node) -> None:
        """See Checker."""
        self._look_at_disk(node)

    def on_crash(self, node: Node) -> None:
        """See Checker."""
        self._look_at_disk(node)

    def _look_at_disk(self, node: Node) -> None:
        for group in node.host.replicas:
            state = hard_state_on_disk(node.commit_log, group)
            if state.vote is not None:
                self._cast(node, group, state.term, state.vote)

    def _cast(self, node: Node, group: GroupId, term: Term, candidate: ReplicaId) -> None:
        votes = self._votes.setdefault((node.replica_id, group), {})
        known = votes.setdefault(term, candidate)
        if known != candidate:
            raise Violation(
                "one vote per term",
                f"replica {node.replica_id} votes for {known} and for {candidate} in term {term} of"
                f" group {group}",
            )
