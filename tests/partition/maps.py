"""Maps for tests, and strategies that make them."""

from __future__ import annotations

from hypothesis import strategies as st

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, ClusterSettings
from cluster.partition.placement import initial_map
from kvstore.codec.routing import hash64


def settings_of(partitions: int = 16, replication_factor: int = 3) -> ClusterSettings:
    return ClusterSettings(partitions, replication_factor, 4096, 1 << 20)


def nodes_of(count: int) -> dict[NodeId, str]:
    return {NodeId(f"n{number}"): f"10.0.0.{number}:7400" for number in range(1, count + 1)}


def map_of(
    nodes: int = 3, partitions: int = 16, replication_factor: int = 3, cluster_id: str = "c-1"
) -> ClusterMap:
    settings = settings_of(partitions, replication_factor)
    return initial_map(cluster_id, nodes_of(nodes), settings, hash64)


partition_ids = st.integers(-1, 70).map(PartitionId)
replica_ids = st.integers(0, 10).map(ReplicaId)
lives = st.integers(0, (1 << 64) - 1)
node_ids = st.integers(1, 10).map(lambda number: NodeId(f"n{number}"))
node_counts = st.integers(1, 9)
partition_counts = st.integers(1, 64)
replication_factors = st.integers(1, 5)

maps = st.builds(
    map_of,
    nodes=node_counts,
    partitions=partition_counts,
    replication_factor=replication_factors,
    cluster_id=st.sampled_from(["c-1", "c-2", "Zürich ☃ \U0001f40c", '"\\']),
)
