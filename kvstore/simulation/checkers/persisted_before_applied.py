"""A replica applies only what is on its own disk.

Else its state could be ahead of the log that it was made from, after a crash.
"""

from __future__ import annotations

from kvstore.simulation.checkers.disk_record import DiskRecord
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation


class PersistedBeforeApplied(ReplicaChecker):
    """See the module. With log matching, the last entry that was applied stands for all."""

    def __init__(self, disk: DiskRecord) -> None:
        self._disk = disk

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        applied, log = change.now.applied, change.replica.log
        if change.before is None or applied == change.before.applied or applied < log.first_index():
            return
        disk = self._disk.log(change.node, change.group)
        on_disk = None if disk is None else disk.term(applied)
        if on_disk != log.term(applied):
            raise Violation(
                "persisted before applied",
                f"{change.place} applied entry {applied} of term {log.term(applied)}; on its disk"
                f" is {'nothing' if on_disk is None else f'one of term {on_disk}'} there",
            )
