"""Whatever a message claims is on the sender's disk when it is sent (dissertation 3.8, 10.2.1).

| message | claims |
| --- | --- |
| VoteRequest; VoteResponse, granted; not of a pre-vote | the term, and the vote in it |
| AppendResponse, accepted | the term, and the entries up to `index` as they are in its log |
| VoteRequest, VoteResponse granted, of a pre-vote | nothing: nobody is in that term yet |
| LeadershipQuestion, LeadershipAnswer | the term of each group |
| UnfitToLead | nothing: it is of the node |
| PointQuestion, PointAnswer | nothing of the disk: what is committed is on others, too |
| all others | the term |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cluster.ids import GroupId, ReplicaId, Term
from cluster.raft.messages import AppendResponse, VoteRequest, VoteResponse
from cluster.raft.ready import HardState
from kvstore.codec.fitness import UnfitToLead
from kvstore.codec.leadership import LeadershipAnswer, LeadershipQuestion, groups_and_terms
from kvstore.codec.read_points import PointAnswer, PointQuestion
from kvstore.environment import GroupMessage, PeerMessage
from kvstore.simulation.checkers.checker import Checker
from kvstore.simulation.checkers.disk_record import DiskRecord, hard_state_on_disk
from kvstore.simulation.checkers.observed import Node, Replica
from kvstore.simulation.checkers.violation import Violation

_INVARIANT: Final = "persisted before sent"
_UNCHECKED: Final = (
    *(UnfitToLead, PointQuestion, PointAnswer),  # without a term
    *(LeadershipQuestion, LeadershipAnswer),  # with many
)


def _is_current_ack(message: AppendResponse, state: HardState) -> bool:
    """Whether it acknowledges entries, in the term that the disk knows."""
    return message.accepted and message.term == state.term


class PersistedBeforeSent(Checker):
    """See the module."""

    def __init__(self, disk: DiskRecord) -> None:
        self._disk = disk

    def on_send(self, node: Node, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """See Checker."""
        commit_log = node.commit_log
        states: dict[GroupId, HardState] = {}
        for group, message in messages:
            if isinstance(message, (LeadershipQuestion, LeadershipAnswer)):
                for each, term in groups_and_terms(message):
                    on_disk = hard_state_on_disk(commit_log, each)
                    self._require_term(node, each, message, term, on_disk)
                continue
            state = states.get(group)
            if state is None:
                state = states[group] = hard_state_on_disk(commit_log, group)
            self._check_vote(node, group, message, state)
            if isinstance(message, AppendResponse) and _is_current_ack(message, state):
                self._check_entries(node, group, message)

    def _check_vote(
        self, node: Node, group: GroupId, message: PeerMessage, state: HardState
    ) -> None:
        if isinstance(message, _UNCHECKED):
            return
        vote: ReplicaId | None = None
        if isinstance(message, VoteRequest):
            if message.pre_vote:
                return
            vote = node.replica_id
        elif isinstance(message, VoteResponse) and message.granted:
            if message.pre_vote:
                return
            vote = message.to
        self._require_term(node, group, message, message.term, state)
        if vote is not None and message.term == state.term and state.vote != vote:
            raise Violation(
                _INVARIANT,
                f"replica {node.replica_id} sends {message} of group {group}; on its disk is a vote"
                f" for {state.vote}",
            )

    def _require_term(
        self, node: Node, group: GroupId, message: PeerMessage, term: Term, state: HardState
    ) -> None:
        if term > state.term:
            raise Violation(
                _INVARIANT,
                f"replica {node.replica_id} sends {message} of group {group}; on its disk is term"
                f" {state.term}",
            )

    def _check_entries(self, node: Node, group: GroupId, message: AppendResponse) -> None:
        disk = self._disk.log(node.replica_id, group)
        replica = node.host.replicas.get(group)
        index = message.index
        if disk is None or replica is None or index < replica.log.first_index():
            return
        on_disk = disk.term(index)
        if on_disk is None or on_disk != self._acknowledged_term(replica, message, on_disk):
            raise Violation(
                _INVARIANT,
                f"replica {node.replica_id} sends {message} of group {group}; on its disk is"
                f" {'nothing' if on_disk is None else f'an entry of term {on_disk}'} there",
            )

    def _acknowledged_term(self, replica: Replica, message: AppendResponse, on_disk: Term) -> Term:
        """The term of the entry at the message's index when it was made: still in the log, unless
        the replica is in a later term by now and has lost it to others."""
        if replica.core.term > message.term:
            return on_disk
        return replica.log.term(message.index)
