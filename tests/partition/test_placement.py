"""The first map: the same on every node, and as even as can be."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cluster.ids import NodeId
from cluster.partition.map import ClusterMap, InvalidMap
from cluster.partition.placement import initial_map, natural_order
from kvstore.codec.routing import hash64
from tests.partition.maps import (
    map_of,
    node_counts,
    nodes_of,
    partition_counts,
    replication_factors,
    settings_of,
)

property_test = settings(deadline=None, max_examples=100)


def held(cluster_map: ClusterMap) -> list[int]:
    return [len(cluster_map.partitions_of(node.replica)) for node in cluster_map.nodes]


def led(cluster_map: ClusterMap) -> list[int]:
    counts = Counter(info.preferred_leader for info in cluster_map.partitions)
    return [counts[node.replica] for node in cluster_map.nodes]


@property_test
@given(node_counts, partition_counts, replication_factors)
@example(9, 64, 5)
@example(9, 1, 5)
@example(2, 64, 5)
def test_every_node_holds_and_leads_its_share_or_one_more(
    nodes: int, partitions: int, replication_factor: int
) -> None:
    cluster_map = map_of(nodes, partitions, replication_factor)
    count = min(replication_factor, nodes)
    assert all(len(info.replicas) == count for info in cluster_map.partitions)
    share = partitions * count // nodes
    assert set(held(cluster_map)) <= {share, share + 1}
    assert sum(held(cluster_map)) == partitions * count
    share = partitions // nodes
    assert set(led(cluster_map)) <= {share, share + 1}


def test_the_shares_are_even_for_every_small_cluster() -> None:
    for nodes in range(1, 10):
        for replication_factor in range(1, 6):
            for partitions in (1, 2, 3, 7, 12, 16, 31, 64):
                cluster_map = map_of(nodes, partitions, replication_factor)
                assert max(held(cluster_map)) - min(held(cluster_map)) <= 1
                assert max(led(cluster_map)) - min(led(cluster_map)) <= 1


@pytest.mark.parametrize(("nodes", "partitions", "factor"), [(64, 4096, 5), (100, 64, 3)])
def test_large_clusters_are_even_too(nodes: int, partitions: int, factor: int) -> None:
    cluster_map = map_of(nodes, partitions, factor)
    assert max(held(cluster_map)) - min(held(cluster_map)) <= 1
    assert max(led(cluster_map)) - min(led(cluster_map)) <= 1


@property_test
@given(node_counts, partition_counts, st.randoms(use_true_random=False))
def test_the_order_in_which_nodes_are_named_does_not_matter(
    nodes: int, partitions: int, random: Random
) -> None:
    named = list(nodes_of(nodes).items())
    random.shuffle(named)
    shuffled = initial_map("c-1", dict(named), settings_of(partitions), hash64)
    assert shuffled == map_of(nodes, partitions)


def test_the_placement_of_three_nodes_and_sixteen_partitions_stays_as_it_is() -> None:
    # Every node of a new cluster works this out for itself, perhaps by another release: a change
    # here is a change of the protocol.
    assert [info.replicas for info in map_of(3, 16).partitions] == [
        (3, 2, 1),
        (2, 1, 3),
        (1, 2, 3),
        (3, 2, 1),
        (1, 2, 3),
        (2, 1, 3),
        (3, 2, 1),
        (1, 3, 2),
        (2, 3, 1),
        (1, 2, 3),
        (3, 2, 1),
        (2, 3, 1),
        (3, 1, 2),
        (1, 3, 2),
        (2, 1, 3),
        (3, 2, 1),
    ]


def test_the_placement_of_five_nodes_and_eight_partitions_stays_as_it_is() -> None:
    assert [info.replicas for info in map_of(5, 8).partitions] == [
        (4, 5, 3),
        (2, 5, 3),
        (1, 2, 4),
        (3, 5, 2),
        (5, 4, 1),
        (4, 3, 1),
        (3, 1, 2),
        (1, 4, 2),
    ]


def test_replica_ids_follow_the_natural_order_of_names() -> None:
    cluster_map = map_of(nodes=12)
    assert [(node.replica, node.node_id) for node in cluster_map.nodes] == [
        (number, f"n{number}") for number in range(1, 13)
    ]
    assert cluster_map.nodes[9].address == "10.0.0.10:7400"


@pytest.mark.parametrize(
    "ordered",
    [
        ["n1", "n2", "n10", "n20", "n100"],
        ["1", "2", "10", "a", "b"],
        ["a", "a1", "a1b", "a01b2", "a1b10", "b"],
        ["n01", "n1", "n1-1", "n02", "n2"],
        ["eu-1-n9", "eu-1-n10", "eu-2-n1", "us-1-n1"],
    ],
)
def test_numbers_in_names_count_as_numbers(ordered: list[NodeId]) -> None:
    turned = ordered[::-1]
    assert sorted(turned, key=natural_order) == ordered


@given(st.lists(st.text("n-é٣0129"), unique=True))
def test_any_names_have_one_order(names: list[NodeId]) -> None:
    turned = names[::-1]
    assert sorted(turned, key=natural_order) == sorted(names, key=natural_order)


def test_a_first_map_is_of_epoch_one_and_carries_the_settings() -> None:
    cluster_map = map_of(cluster_id="c-9")
    assert (cluster_map.cluster_id, cluster_map.epoch) == ("c-9", 1)
    assert cluster_map.settings == settings_of()


def test_a_cluster_without_nodes_is_refused() -> None:
    with pytest.raises(InvalidMap, match="at least one"):
        initial_map("c-1", {}, settings_of(), hash64)


def test_two_nodes_at_one_address_are_refused() -> None:
    nodes = {NodeId("n1"): "h:1", NodeId("n2"): "h:1"}
    with pytest.raises(InvalidMap, match="'h:1' is the address of two nodes"):
        initial_map("c-1", nodes, settings_of(), hash64)
