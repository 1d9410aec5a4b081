"""The cluster map on the wire: proto/kvstore/v1/map.proto."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, ClusterSettings, NodeInfo, PartitionInfo
from kvstore.codec.limits import Limits
from kvstore.generated.kvstore.v1 import map_pb2


def map_to_wire(
    cluster_map: ClusterMap, limits: Limits, leaders: Mapping[PartitionId, ReplicaId]
) -> map_pb2.ClusterMap:
    """The message for `cluster_map`, with who leads as far as the sender knows."""
    return map_pb2.ClusterMap(
        cluster_id=cluster_map.cluster_id,
        epoch=cluster_map.epoch,
        nodes=[
            map_pb2.Node(replica_id=node.replica, node_id=node.node_id, address=node.address)
            for node in cluster_map.nodes
        ],
        partitions=[
            map_pb2.Partition(
                partition_id=partition.partition,
                replica_ids=partition.replicas,
                leader_replica_id=leaders.get(partition.partition, ReplicaId(0)),
            )
            for partition in cluster_map.partitions
        ],
        key_bytes_max=limits.key_bytes_max,
        value_bytes_max=limits.value_bytes_max,
        batch_bytes_max=limits.batch_bytes_max,
    )


def map_from_wire(message: map_pb2.ClusterMap) -> ClusterMap:
    """The map in `message`; raises InvalidMap where it contradicts itself."""
    nodes = tuple(
        NodeInfo(ReplicaId(node.replica_id), NodeId(node.node_id), node.address)
        for node in message.nodes
    )
    partitions = tuple(
        PartitionInfo(
            PartitionId(partition.partition_id), tuple(map(ReplicaId, partition.replica_ids))
        )
        for partition in message.partitions
    )
    settings = ClusterSettings(
        partitions=len(partitions),
        replication_factor=max((len(partition.replicas) for partition in partitions), default=1),
        key_bytes_max=message.key_bytes_max,
        value_bytes_max=message.value_bytes_max,
    )
    return ClusterMap(message.cluster_id, message.epoch, nodes, partitions, settings)


def leaders_from_wire(message: map_pb2.ClusterMap) -> dict[PartitionId, ReplicaId]:
    """Who leads which partition, as far as the sender of `message` knew."""
    return {
        PartitionId(partition.partition_id): ReplicaId(partition.leader_replica_id)
        for partition in message.partitions
        if partition.leader_replica_id
    }
