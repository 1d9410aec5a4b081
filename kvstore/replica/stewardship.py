"""Who should lead: begins the cluster, brings leaders back to balance, hands over before a stop."""

from __future__ import annotations

from collections.abc import Callable

from cluster.ids import META_GROUP, GroupId, PartitionId, ReplicaId, group_of, partition_of
from cluster.partition.map import ClusterMap
from cluster.partition.meta import BootstrapCluster
from cluster.partition.placement import LedReplica, drain_targets, leaders_to_hand_over
from kvstore.codec.meta import encode_meta_command
from kvstore.replica.host import Host
from kvstore.replica.replica import Replica


class Stewardship:
    """See the module. Works by ticks; each decision is made by `cluster.partition.placement`."""

    __slots__ = (
        "_bootstrap",
        "_draining",
        "_handing_over",
        "_host",
        "_me",
        "_period_ticks",
        "_proposed_in",
        "_start_ticks",
    )

    def __init__(self, host: Host, me: ReplicaId, bootstrap: Callable[[], ClusterMap]) -> None:
        self._host = host
        self._me = me
        self._bootstrap = bootstrap
        # Once per longest election timeout: what was asked for last time has settled by then.
        self._period_ticks = host.config.election_ticks_max
        self._start_ticks = range(0, 2 * self._period_ticks, host.config.heartbeat_ticks)
        self._draining = False
        self._handing_over: dict[GroupId, Replica] = {}
        self._proposed_in = 0

    @property
    def is_handing_over(self) -> bool:
        """Whether something that was led here when draining began still is, and could be taken."""
        return bool(self._handing_over)

    def drain(self) -> None:
        """Hands over whatever is led here, once: what comes back, comes from a node that drains
        too, and the two would pass it to and fro."""
        self._draining = True
        self._handing_over = dict(self._host.replicas)
        self._hand_over()

    def tick(self) -> None:
        """To be called after the host's own tick."""
        if self._draining:
            if self._host.ticks % self._host.config.heartbeat_ticks == 0:
                self._hand_over()
            return
        cluster_map = self._host.meta.map
        if cluster_map is None:
            self._begin_cluster()
        elif self._host.ticks % self._period_ticks == 0:
            self._balance(cluster_map)
        if self._host.ticks in self._start_ticks:
            self._hasten_elections(cluster_map)

    def _begin_cluster(self) -> None:
        """Proposes the first map, once in each term in which this node leads the meta group."""
        core = self._host.replicas[META_GROUP].core
        if self._host.replicas[META_GROUP].is_leader and self._proposed_in != core.term:
            self._proposed_in = core.term
            self._host.propose_meta(encode_meta_command(BootstrapCluster(self._bootstrap())))

    def _hasten_elections(self, cluster_map: ClusterMap | None) -> None:
        """Just started, campaigns where this node is meant to lead and nobody is known to.

        After a start of the whole cluster that saves an election timeout, and the hand-overs that
        would follow. It disturbs nobody: pre-votes are refused by all who hear from a leader and by
        those whose log is longer. New groups are tried again until the other nodes have them too.
        """
        for group, replica in self._host.replicas.items():
            if replica.core.leader is not None:
                continue
            if group == META_GROUP:
                preferred = min(replica.voters, default=None)
            elif cluster_map is not None:
                preferred = cluster_map.replicas_of(partition_of(group))[0]
            else:
                continue
            if preferred == self._me:
                self._host.hasten_election(group)

    def _balance(self, cluster_map: ClusterMap) -> None:
        leads: dict[PartitionId, LedReplica] = {
            partition_of(group): led_replica(self._host, replica)
            for group, replica in self._host.replicas.items()
            if group != META_GROUP and replica.is_leader
        }
        for partition, to in leaders_to_hand_over(cluster_map, self._me, leads):
            self._host.transfer(group_of(partition), to)

    def _hand_over(self) -> None:
        leads: dict[GroupId, LedReplica] = {
            group: led_replica(self._host, replica)
            for group, replica in self._handing_over.items()
            if replica.is_leader
        }
        targets = dict(drain_targets(self._me, leads))
        self._handing_over = {group: self._host.replicas[group] for group in targets}
        for group, to in targets.items():
            self._host.transfer(group, to)


def led_replica(host: Host, replica: Replica) -> LedReplica:
    """The other voters of a group led here that were heard of lately and are fit to lead, and what
    they miss."""
    core = replica.core
    last = core.last_index
    recently = host.config.election_ticks_min
    return LedReplica(
        {
            peer.replica: last - peer.match
            for peer in core.status().peers
            if peer.replica in core.configuration.voters
            and host.contacts.is_fit(peer.replica)
            and host.admission.silence_ticks(peer.replica) < recently
        }
    )
