"""What is applied is on disk, and what is committed is on most disks."""

from __future__ import annotations

import pytest

from cluster.ids import Index, ReplicaId
from kvstore.commitlog.commit_log import Record
from kvstore.replica.log_records import RecordKind, encode_entries
from kvstore.simulation.checkers.committed_on_disks import CommittedOnDisks
from kvstore.simulation.checkers.disk_record import DiskRecord
from kvstore.simulation.checkers.persisted_before_applied import PersistedBeforeApplied
from kvstore.simulation.checkers.replica_watch import ReplicaWatch
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import GROUP, ONE, THREE, TWO, FakeNode, entry

LOG = [entry(1, 1), entry(2, 2)]


class Group:
    """Three replicas with two entries each, in memory only."""

    def __init__(self, kind: type[PersistedBeforeApplied] | type[CommittedOnDisks]) -> None:
        self.nodes = {me: FakeNode(me) for me in (ONE, TWO, THREE)}
        self.disk = DiskRecord()
        self.watch = ReplicaWatch([kind(self.disk)])
        for node in self.nodes.values():
            self.disk.on_start(node)
            self.watch.on_start(node)
            node.log.held = [*LOG]

    def write(self, me: ReplicaId, *, term: int = 2) -> None:
        payload = encode_entries([LOG[0], entry(2, term)])
        self.nodes[me].host.pipeline._log.append([Record(GROUP, RecordKind.ENTRIES, payload)])

    def round(self, me: ReplicaId, *, commit: int = 0, applied: int = 0) -> None:
        core = self.nodes[me].core
        core.commit, core.applied = Index(commit), Index(applied)
        self.watch.on_round(self.nodes[me])


def test_what_is_on_disk_may_be_applied() -> None:
    group = Group(PersistedBeforeApplied)
    group.round(ONE, commit=2)
    group.write(ONE)
    group.round(ONE, commit=2, applied=2)


def test_what_is_applied_and_not_on_disk_is_found() -> None:
    group = Group(PersistedBeforeApplied)
    with pytest.raises(Violation, match="applied entry 2 of term 2; on its disk is nothing there"):
        group.round(ONE, commit=2, applied=2)


def test_what_is_applied_while_another_entry_is_on_disk_is_found() -> None:
    group = Group(PersistedBeforeApplied)
    group.write(ONE, term=1)
    with pytest.raises(Violation, match="on its disk is one of term 1 there"):
        group.round(ONE, commit=2, applied=2)


def test_what_is_on_most_disks_may_be_committed() -> None:
    group = Group(CommittedOnDisks)
    group.write(ONE)
    group.write(THREE)
    group.round(TWO, commit=2)


def test_a_disk_whose_node_is_down_counts() -> None:
    group = Group(CommittedOnDisks)
    group.write(ONE)
    group.write(THREE)
    for checker in (group.disk, group.watch):
        checker.on_crash(group.nodes[THREE])
    group.round(ONE, commit=2)


@pytest.mark.parametrize("others_term", [None, 1])
def test_what_is_committed_and_not_on_most_disks_is_found(others_term: int | None) -> None:
    group = Group(CommittedOnDisks)
    group.write(ONE)
    if others_term is not None:
        group.write(TWO, term=others_term)
    with pytest.raises(Violation, match=r"but it is on the disks of \[1\] only"):
        group.round(ONE, commit=2)
