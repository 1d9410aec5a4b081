"""What all checkers have in common."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.ids import ReplicaId
from kvstore.environment import GroupMessage
from kvstore.simulation.checkers.observed import Cluster, Node


class Checker:
    """Watches a cluster through hooks, and raises Violation. Each hook may be called many thousand
    times a run: what it costs has to grow with what changed, not with what there is."""

    def on_start(self, node: Node) -> None:
        """A life of `node` begins; its host has not yet had a round."""

    def on_round(self, node: Node) -> None:
        """Its host has had a round."""

    def on_send(self, node: Node, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """It hands `messages` to the network."""

    def on_persisted(self, node: Node) -> None:
        """A write to its commit log has ended, and its host was told."""

    def on_crash(self, node: Node) -> None:
        """Its life ends here; what it wrote and did not sync may be lost."""

    def on_done(self, key: bytes, value: bytes) -> None:
        """A client hears that `value`, which nobody else writes, was put under `key`."""

    def at_end(self, cluster: Cluster) -> None:
        """Everything has come to rest: no faults, no requests, all written and sent."""
