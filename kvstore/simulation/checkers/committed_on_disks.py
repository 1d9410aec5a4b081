"""An entry is committed only once it is on the disks of a majority (dissertation 3.3, 10.2.1).

Looked at when a commit index is seen for the first time, whoever is the first to know. With log
matching, the entry at that index stands for all before it.
"""

from __future__ import annotations

from cluster.ids import GroupId, Index, ReplicaId, Term
from kvstore.simulation.checkers.disk_record import DiskRecord
from kvstore.simulation.checkers.observed import electorate
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation

Electorate = tuple[frozenset[ReplicaId], ...]


class CommittedOnDisks(ReplicaChecker):
    """See the module."""

    def __init__(self, disk: DiskRecord) -> None:
        self._disk = disk
        self._highest: dict[GroupId, Index] = {}
        self._electorates: dict[tuple[ReplicaId, GroupId], Electorate] = {}

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        key = (change.node, change.group)
        now = electorate(change.replica)
        # It may have begun a change of members right after the commit.
        before = self._electorates.get(key, now)
        self._electorates[key] = now
        # The core may know of commits beyond what it has handed to its log.
        commit = min(change.now.commit, change.now.last_index)
        has_yet_to_join = not now[0]
        if has_yet_to_join or commit <= self._highest.get(change.group, 0):
            return
        self._highest[change.group] = commit
        term = change.replica.log.term(commit)
        if not any(self._is_on_disks(change.group, commit, term, each) for each in (before, now)):
            raise Violation(
                "committed on disks",
                f"{change.place} knows entry {commit} of term {term} to be committed, but it is on"
                f" the disks of {sorted(self._holders(change.group, commit, term, now))} only",
            )

    def _is_on_disks(self, group: GroupId, index: Index, term: Term, electors: Electorate) -> bool:
        holders = self._holders(group, index, term, electors)
        return all(2 * len(holders & voters) > len(voters) for voters in electors)

    def _holders(
        self, group: GroupId, index: Index, term: Term, electors: Electorate
    ) -> set[ReplicaId]:
        holders = set()
        for replica in frozenset().union(*electors):
            disk = self._disk.log(replica, group)
            if disk is not None and disk.term(index) == term:
                holders.add(replica)
        return holders
