"""Nothing of a replica grows without bound: proposals, windows, reads, what is not yet committed.

Bounds that are too high to be reached in a small run are worth little there. So it is also checked
that a count falls to nothing when nothing is left to count: one that leaks is a queue that some day
stays full.
"""

from __future__ import annotations

from cluster.ids import GroupId, ReplicaId
from cluster.raft import PeerStatus, RaftConfig, Status
from kvstore.simulation.checkers.observed import Node
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation


class BoundedReplicas(ReplicaChecker):
    """See the module."""

    def __init__(self) -> None:
        self._config = RaftConfig()
        self._highest: dict[tuple[ReplicaId, GroupId], int] = {}
        """The highest index that a log had in this life: no proposal stands above."""

    def on_start(self, node: Node) -> None:
        """See Checker."""
        self._config = node.host.config

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        key = (change.node, change.group)
        highest = int(change.now.last_index)
        if change.before is not None:
            highest = max(highest, self._highest[key])
        self._highest[key] = highest
        not_applied = highest - change.now.applied
        if change.replica.proposed > not_applied:
            raise Violation(
                "bounded replicas",
                f"{change.place} waits for {change.replica.proposed} proposals, with {not_applied}"
                " entries to apply",
            )
        if change.now.is_leader:
            is_at_rest = change.now.applied == change.now.last_index
            problem = self._problem_of_leader(change.status, is_at_rest)
            if problem is not None:
                raise Violation("bounded replicas", f"{change.place}, leader: {problem}")

    def _problem_of_leader(self, status: Status, is_at_rest: bool) -> str | None:
        config = self._config
        if is_at_rest and status.uncommitted_bytes:
            return f"all is applied, and {status.uncommitted_bytes} bytes count as uncommitted"
        if status.reads_waiting > config.reads_waiting_max:
            return f"{status.reads_waiting} reads wait"
        for peer in status.peers:
            problem = self._problem_of_peer(status, peer)
            if problem is not None:
                return f"{problem} to {peer.replica}"
        return None

    def _problem_of_peer(self, status: Status, peer: PeerStatus) -> str | None:
        config = self._config
        count, size = peer.inflight_messages, peer.inflight_bytes
        if count > config.inflight_messages_max:
            return f"{count} messages are under way"
        if count > 1 and size > config.inflight_bytes_max:
            return f"{size} bytes are under way"
        if peer.match == status.last_index and (count or size):
            return f"it has everything, and {count} messages, {size} bytes count as under way"
        return None
