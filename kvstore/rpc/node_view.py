"""What the services show of the node: its identity, its map, who leads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.ids import META_GROUP, NodeId, PartitionId, ReplicaId, partition_of
from kvstore.codec.limits import Limits
from kvstore.generated.kvstore.v1 import map_pb2
from kvstore.replica.host import Host
from kvstore.tick_times import TickTimes
from kvstore.wire.map import map_to_wire


@dataclass(frozen=True, slots=True)
class NodeView:
    """See the module."""

    host: Host
    node_id: NodeId
    me: ReplicaId
    version: str
    uptime_s: Callable[[], float]
    log_bytes: Callable[[], int]
    tick_ms: int
    """Of the host."""
    loop_lag: TickTimes
    round_times: TickTimes
    slowest_log_write_s: Callable[[], float]
    unfit_reason: Callable[[], str]
    rebuilds: Callable[[], int]
    """How often in a row its data were got anew."""

    @property
    def cluster_id(self) -> str:
        """Empty while the cluster has not begun, as far as this node knows."""
        cluster_map = self.host.meta.map
        return "" if cluster_map is None else cluster_map.cluster_id

    @property
    def limits(self) -> Limits:
        """Those of the cluster, which its first start has fixed."""
        cluster_map = self.host.meta.map
        if cluster_map is None:
            return Limits()
        settings = cluster_map.settings
        return Limits(settings.value_bytes_max, settings.key_bytes_max)

    @property
    def epoch(self) -> int:
        """Of the map; 0 before there is one."""
        cluster_map = self.host.meta.map
        return 0 if cluster_map is None else cluster_map.epoch

    @property
    def partitions(self) -> int:
        """How many there are; 0 before there is a map."""
        cluster_map = self.host.meta.map
        return 0 if cluster_map is None else len(cluster_map.partitions)

    def leaders(self) -> dict[PartitionId, ReplicaId]:
        """Who leads the partitions of which this node has a replica, where it is known."""
        return {
            partition_of(group): replica.core.leader
            for group, replica in self.host.replicas.items()
            if group != META_GROUP and replica.core.leader is not None
        }

    def serves(self) -> bool:
        """Whether the map is known and every partition with a replica here has a leader."""
        cluster_map = self.host.meta.map
        # One that has just joined may know a map only in which it is not yet.
        is_in = cluster_map is not None and cluster_map.replica(self.me) is not None
        return (
            cluster_map is not None
            and is_in
            and len(self.leaders()) == len(cluster_map.partitions_of(self.me))
        )

    def map_message(self) -> map_pb2.ClusterMap | None:
        """The map for clients; None before there is one."""
        cluster_map = self.host.meta.map
        return (
            None if cluster_map is None else map_to_wire(cluster_map, self.limits, self.leaders())
        )
