"""Election safety (dissertation 3.2): a term has one leader at most.

A leader is one that takes itself for it, and one that speaks as one: it may have been elected and
deposed between two looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cluster.ids import GroupId, ReplicaId, Term
from cluster.raft.messages import AppendRequest, HeartbeatRequest, SnapshotRequest, TimeoutNow
from kvstore.codec.leadership import LeadershipQuestion, groups_and_terms
from kvstore.environment import GroupMessage
from kvstore.simulation.checkers.observed import Node
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation

_ONLY_A_LEADER_SENDS: Final = (AppendRequest, HeartbeatRequest, SnapshotRequest, TimeoutNow)


class ElectionSafety(ReplicaChecker):
    """See the module."""

    def __init__(self) -> None:
        self._leaders: dict[tuple[GroupId, Term], ReplicaId] = {}

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        if change.now.is_leader:
            self._claim(change.group, change.now.term, change.node)

    def on_send(self, node: Node, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """See Checker."""
        for group, message in messages:
            if isinstance(message, _ONLY_A_LEADER_SENDS):
                self._claim(group, message.term, node.replica_id)
            elif isinstance(message, LeadershipQuestion):
                for each, term in groups_and_terms(message):
                    self._claim(each, term, node.replica_id)

    def _claim(self, group: GroupId, term: Term, leader: ReplicaId) -> None:
        known = self._leaders.setdefault((group, term), leader)
        if known != leader:
            raise Violation(
                "election safety",
                f"replicas {known} and {leader} both lead group {group} in term {term}",
            )
