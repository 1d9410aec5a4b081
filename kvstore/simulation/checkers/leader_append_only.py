"""Leader append-only (dissertation 3.2): a leader neither overwrites nor deletes its entries."""

from __future__ import annotations

from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation


class LeaderAppendOnly(ReplicaChecker):
    """See the module."""

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        before, now = change.before, change.now
        if (
            before is not None
            and before.is_leader
            and now.is_leader
            and before.term == now.term
            and change.kept < before.last_index
        ):
            raise Violation(
                "leader append-only",
                f"{change.place} leads term {now.term} and had {before.last_index} entries; of"
                f" these only {change.kept} are as they were",
            )
