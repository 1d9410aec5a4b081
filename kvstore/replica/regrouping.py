"""Brings the members of the groups that are led here in line with the cluster map, and the map in
line with whose data are met.

Each step is decided by `cluster.partition.regrouping`. What the core refuses for now (another
change is under way, a learner is not ready) is tried again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import structlog

from cluster.errors import ProposalRefused
from cluster.ids import META_GROUP, ReplicaId, partition_of
from cluster.partition.map import ClusterMap
from cluster.partition.meta import RecordLives
from cluster.partition.regrouping import Members, membership_step
from cluster.raft import MembershipChange
from kvstore.codec.meta import encode_meta_command
from kvstore.replica.host import Host
from kvstore.replica.replica import Replica

_log: Final = structlog.get_logger(__name__)


class Regrouping:
    """See the module. Works by ticks."""

    __slots__ = ("_host", "_lives", "_period_ticks", "_recorded_at")

    def __init__(self, host: Host, lives: Mapping[ReplicaId, int]) -> None:
        """`lives`: the tokens of those that were met, and of this node."""
        self._host = host
        self._lives = lives
        # What was asked for last time has been taken in by then, as a rule.
        self._period_ticks = 2 * host.config.heartbeat_ticks
        self._recorded_at = -host.config.election_ticks_max

    def tick(self) -> None:
        """To be called after the host's own tick."""
        cluster_map = self._host.meta.map
        if cluster_map is None or self._host.ticks % self._period_ticks:
            return
        for group, replica in self._host.replicas.items():
            if not replica.is_leader:
                continue
            if group == META_GROUP:
                self._record_lives(cluster_map)
                self._follow(replica, cluster_map.members)
            else:
                self._follow(replica, cluster_map.replicas_of(partition_of(group)))

    def _follow(self, replica: Replica, wanted: Collection[ReplicaId]) -> None:
        configuration = replica.core.configuration
        if configuration.is_joint or configuration.members == set(wanted) == configuration.voters:
            return
        step = membership_step(
            Members(configuration.voters, configuration.learners),
            wanted,
            {peer.replica: peer.lag for peer in replica.core.status().peers},
            self._host.config.promotion_lag_max,
        )
        if step is None:
            return
        try:
            self._host.change_members(replica.group, MembershipChange(step.voters, step.learners))
        except ProposalRefused:
            return
        _log.info(
            "group is given other members",
            group=replica.group,
            voters=sorted(step.voters),
            learners=sorted(step.learners),
        )

    def _record_lives(self, cluster_map: ClusterMap) -> None:
        """Has the map say by which data the replicas are known that have shown theirs."""
        unrecorded = {
            replica: life
            for replica, life in sorted(self._lives.items())
            if (node := cluster_map.replica(replica)) is not None and not node.life
        }
        ticks = self._host.ticks
        if not unrecorded or ticks - self._recorded_at < self._host.config.election_ticks_max:
            return
        self._recorded_at = ticks
        try:
            self._host.propose_meta(encode_meta_command(RecordLives(unrecorded)))
        except ProposalRefused:
            return
