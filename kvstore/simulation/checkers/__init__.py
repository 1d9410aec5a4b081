"""What must hold in every cluster, at every moment: one invariant a file.

The safety properties of Raft are those of figure 3.2 of Ongaro, "Consensus: Bridging Theory and
Practice" (2014), here called the dissertation.
"""

from __future__ import annotations

from kvstore.simulation.checkers.applied_before_answered import AppliedBeforeAnswered
from kvstore.simulation.checkers.bounded_hosts import BoundedHosts
from kvstore.simulation.checkers.bounded_replicas import BoundedReplicas
from kvstore.simulation.checkers.bounded_sessions import BoundedSessions
from kvstore.simulation.checkers.checker import Checker
from kvstore.simulation.checkers.committed_on_disks import CommittedOnDisks
from kvstore.simulation.checkers.configuration_overlap import ConfigurationOverlap
from kvstore.simulation.checkers.disk_record import DiskRecord
from kvstore.simulation.checkers.election_safety import ElectionSafety
from kvstore.simulation.checkers.leader_append_only import LeaderAppendOnly
from kvstore.simulation.checkers.leader_completeness import LeaderCompleteness
from kvstore.simulation.checkers.log_matching import LogMatching
from kvstore.simulation.checkers.no_way_back import NoWayBack
from kvstore.simulation.checkers.one_vote_per_term import OneVotePerTerm
from kvstore.simulation.checkers.persisted_before_applied import PersistedBeforeApplied
from kvstore.simulation.checkers.persisted_before_sent import PersistedBeforeSent
from kvstore.simulation.checkers.replica_watch import ReplicaChecker, ReplicaWatch
from kvstore.simulation.checkers.state_machine_safety import StateMachineSafety
from kvstore.simulation.checkers.violation import Violation

__all__ = ["Checker", "Violation", "all_checkers"]


def all_checkers() -> list[Checker]:
    """Every checker, new, for one run; to be called in this order."""
    disk = DiskRecord()
    of_replicas: list[ReplicaChecker] = [
        ElectionSafety(),
        LeaderAppendOnly(),
        LogMatching(),
        LeaderCompleteness(),
        StateMachineSafety(),
        CommittedOnDisks(disk),
        PersistedBeforeApplied(disk),
        AppliedBeforeAnswered(),
        NoWayBack(),
        ConfigurationOverlap(),
        BoundedReplicas(),
        BoundedSessions(),
    ]
    return [
        disk,
        ReplicaWatch(of_replicas),
        OneVotePerTerm(),
        PersistedBeforeSent(disk),
        BoundedHosts(),
    ]
