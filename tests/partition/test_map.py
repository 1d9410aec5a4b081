"""A cluster map that exists is valid, and answers look-ups at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.map import (
    ClusterMap,
    ClusterSettings,
    InvalidMap,
    NodeInfo,
    PartitionInfo,
)

N1 = NodeInfo(ReplicaId(1), NodeId("n1"), "10.0.0.1:7400")
N2 = NodeInfo(ReplicaId(2), NodeId("n2"), "10.0.0.2:7400")
N5 = NodeInfo(ReplicaId(5), NodeId("n3"), "10.0.0.3:7400")


def info(partition: int, *replicas: int) -> PartitionInfo:
    return PartitionInfo(PartitionId(partition), tuple(ReplicaId(number) for number in replicas))


MAP = ClusterMap(
    cluster_id="c-1",
    epoch=4,
    nodes=(N1, N2, N5),
    partitions=(info(0, 2, 1), info(1, 5, 2), info(2, 1, 5)),
    settings=ClusterSettings(3, 2, 4096, 1 << 20),
)


def test_nodes_are_found_by_replica_id_and_by_name() -> None:
    assert MAP.replica(ReplicaId(5)) is N5
    assert MAP.replica(ReplicaId(3)) is None
    assert MAP.node(NodeId("n3")) is N5
    assert MAP.node(NodeId("n5")) is None


def test_partitions_are_found_by_replica_and_replicas_by_partition() -> None:
    assert MAP.partitions_of(ReplicaId(1)) == (0, 2)
    assert MAP.partitions_of(ReplicaId(5)) == (1, 2)
    assert MAP.partitions_of(ReplicaId(3)) == ()
    assert MAP.replicas_of(PartitionId(1)) == (5, 2)
    assert MAP.partitions[1].preferred_leader == 5


@pytest.mark.parametrize("partition", [-1, 3])
def test_a_partition_that_is_not_there_is_an_index_error(partition: int) -> None:
    with pytest.raises(IndexError):
        MAP.replicas_of(PartitionId(partition))


def test_equal_parts_make_equal_maps() -> None:
    assert replace(MAP) == MAP
    assert hash(replace(MAP)) == hash(MAP)
    assert replace(MAP, epoch=5) != MAP


def test_a_node_without_partitions_is_fine() -> None:
    lone = replace(MAP, partitions=(info(0, 2), info(1, 2), info(2, 2)))
    assert lone.partitions_of(ReplicaId(1)) == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(MAP, cluster_id=""), "cluster_id is ''"),
        (lambda: replace(MAP, cluster_id="x" * 256), "cluster_id"),
        (lambda: replace(MAP, cluster_id="a\nb"), "cluster_id"),
        (lambda: replace(MAP, epoch=0), "epoch is 0"),
        (lambda: replace(MAP, epoch=1 << 64), "epoch"),
        (lambda: replace(MAP, nodes=()), "nodes: 0 of them"),
        (lambda: replace(MAP, nodes=(N2, N1, N5)), "replica 1 follows 2; they must rise"),
        (lambda: replace(MAP, nodes=(N1, N1, N2, N5)), "replica 1 follows 1"),
        (lambda: replace(MAP, nodes=(N1, replace(N2, node_id=NodeId("n1")), N5)), "two nodes"),
        (lambda: replace(MAP, nodes=(N1, replace(N2, address=N1.address), N5)), "two nodes"),
        (lambda: replace(MAP, nodes=(N1, N2)), "partition 1: replica 5 is not one of the nodes"),
        (lambda: replace(MAP, partitions=MAP.partitions[:2]), "2 of them; the settings say 3"),
        (lambda: replace(MAP, partitions=(info(0, 1), info(2, 1), info(1, 1))), "2 stands at"),
        (lambda: info(0), "partition 0: replicas \\[\\]"),
        (lambda: info(7, 1, 2, 1), "partition 7: replicas \\[1, 2, 1\\]"),
        (lambda: info(-1, 1), "partition is -1; it must be 0 to 4095"),
        (lambda: info(4096, 1), "partition is 4096"),
        (lambda: replace(N1, replica=ReplicaId(0)), "replica is 0"),
        (lambda: replace(N1, node_id=NodeId("")), "node_id is ''"),
        (lambda: replace(N1, address=""), "address is ''"),
        (lambda: ClusterSettings(0, 3, 1, 1), "partitions is 0; it must be 1 to 4096"),
        (lambda: ClusterSettings(4097, 3, 1, 1), "partitions is 4097"),
        (lambda: ClusterSettings(1, 0, 1, 1), "replication_factor is 0; it must be 1 to 7"),
        (lambda: ClusterSettings(1, 8, 1, 1), "replication_factor is 8"),
        (lambda: ClusterSettings(1, 1, 0, 1), "key_bytes_max is 0"),
        (lambda: ClusterSettings(1, 1, 1, 1 << 32), "value_bytes_max is 4294967296"),
    ],
)
def test_parts_that_do_not_fit_are_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidMap, match=message):
        make()
