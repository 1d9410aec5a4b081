"""The ring places replicas on distinct nodes, evenly, and moves little when nodes come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.ids import NodeId, PartitionId
from cluster.partition.ranges import HASH_SPACE, range_of_partition
from cluster.partition.ring import WEIGHT_MAX, Ring, RingNode
from kvstore.codec.routing import hash64

property_test = settings(deadline=None, max_examples=50)

points_of_space = st.integers(0, HASH_SPACE - 1)
zones = st.sampled_from([None, "a", "b", "c"])


@st.composite
def ring_nodes(draw: st.DrawFn, count_min: int = 1) -> list[RingNode]:
    names = draw(st.lists(st.integers(1, 99), min_size=count_min, max_size=9, unique=True))
    return [
        RingNode(NodeId(f"n{name}"), weight=draw(st.integers(1, 3)), zone=draw(zones))
        for name in names
    ]


def plain_nodes(count: int, prefix: str = "n") -> list[RingNode]:
    return [RingNode(NodeId(f"{prefix}{number}")) for number in range(count)]


def starts(partitions: int) -> list[int]:
    return [range_of_partition(PartitionId(number), partitions)[0] for number in range(partitions)]


def loads(placed: Sequence[Sequence[NodeId]]) -> Counter[NodeId]:
    return Counter(name for replicas in placed for name in replicas)


def moves(before: Sequence[Sequence[NodeId]], after: Sequence[Sequence[NodeId]]) -> int:
    """Replicas that a node holds after and did not hold before."""
    return sum(len(set(new) - set(old)) for old, new in zip(before, after, strict=True))


# Places on their own.


@property_test
@given(ring_nodes(), points_of_space, st.data())
def test_replicas_are_on_distinct_nodes(
    nodes: list[RingNode], point: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(nodes)))
    replicas = Ring(nodes, hash64).replicas_for(point, count)
    assert len(set(replicas)) == len(replicas) == count
    assert set(replicas) <= {node.node_id for node in nodes}


@property_test
@given(ring_nodes(), points_of_space, st.data())
def test_zones_are_used_as_evenly_as_their_nodes_allow(
    nodes: list[RingNode], point: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(nodes)))
    zone_of = {node.node_id: node.zone or f"own {node.node_id}" for node in nodes}
    size = Counter(zone_of.values())
    used = Counter(zone_of[name] for name in Ring(nodes, hash64).replicas_for(point, count))
    assert len(used) == min(count, len(size))
    most = max(used.values())
    assert all(used[zone] >= most - 1 for zone in size if used[zone] < size[zone])


def test_without_zones_replicas_are_the_nodes_as_the_circle_meets_them() -> None:
    spots = {"a#0": 10, "b#0": 20, "c#0": 30}
    # Every other virtual node stands together with the one that has a place of its own.
    ring = Ring(
        [RingNode(NodeId(name)) for name in "cab"], lambda key: spots[f"{key.decode()[0]}#0"]
    )
    assert ring.replicas_for(10, 3) == ("a", "b", "c")
    assert ring.replicas_for(11, 3) == ("b", "c", "a")
    assert ring.replicas_for(30, 2) == ("c", "a")
    assert ring.replicas_for(31, 2) == ("a", "b")


def test_a_zone_met_twice_is_passed_over() -> None:
    spots = {"a": 10, "b": 20, "c": 30}
    nodes = [RingNode(NodeId(name), zone=zone) for name, zone in zip("abc", "xxy", strict=True)]
    ring = Ring(nodes, lambda key: spots[key.decode()[0]])
    assert ring.replicas_for(0, 2) == ("a", "c")
    assert ring.replicas_for(0, 3) == ("a", "c", "b")
    assert ring.replicas_for(15, 2) == ("b", "c")


def test_with_fewer_zones_than_replicas_the_emptier_zone_is_next() -> None:
    spots = {"a": 10, "b": 20, "c": 30, "d": 40, "e": 50}
    nodes = [RingNode(NodeId(name), zone=zone) for name, zone in zip("abcde", "xxxyy", strict=True)]
    ring = Ring(nodes, lambda key: spots[key.decode()[0]])
    assert ring.replicas_for(0, 5) == ("a", "d", "b", "e", "c")
    assert ring.replicas_for(35, 3) == ("d", "a", "e")


def test_nodes_whose_points_all_collide_are_still_told_apart() -> None:
    names = ("n0", "n1", "n2", "n3", "n4")
    for nodes in (plain_nodes(5), plain_nodes(5)[::-1]):
        ring = Ring(nodes, lambda _key: 7)
        assert ring.replicas_for(7, 5) == names
        assert ring.replicas_for(8, 5) == names


@property_test
@given(ring_nodes(), st.randoms(use_true_random=False))
def test_the_order_in_which_nodes_are_named_does_not_matter(
    nodes: list[RingNode], random: Random
) -> None:
    shuffled = list(nodes)
    random.shuffle(shuffled)
    count = min(3, len(nodes))
    one, other = Ring(nodes, hash64), Ring(shuffled, hash64)
    capacities = one.capacities(32, count)
    assert capacities == other.capacities(32, count)
    assert one.assign(starts(32), count, capacities) == other.assign(starts(32), count, capacities)


# Nodes that come and go.


@property_test
@given(ring_nodes(count_min=2), st.data())
def test_only_the_node_that_joins_gains_and_only_the_one_that_leaves_loses(
    nodes: list[RingNode], data: st.DataObject
) -> None:
    joining = data.draw(st.sampled_from(nodes)).node_id
    count = data.draw(st.integers(1, len(nodes) - 1))
    before = Ring([node for node in nodes if node.node_id != joining], hash64)
    after = Ring(nodes, hash64)
    for point in starts(64):
        old, new = before.replicas_for(point, count), after.replicas_for(point, count)
        if joining in new:
            assert set(new) <= {*old, joining}
        else:
            assert new == old


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("nodes", [3, 5, 9, 20])
@pytest.mark.parametrize("prefix", ["n", "node-", "kv.example.org/"])
def test_a_node_that_joins_or_leaves_moves_about_its_share(
    nodes: int, count: int, prefix: str
) -> None:
    points = starts(512)
    large, small = plain_nodes(nodes + 1, prefix), plain_nodes(nodes, prefix)
    with_it, without_it = Ring(large, hash64), Ring(small, hash64)
    many = with_it.assign(points, count, with_it.capacities(len(points), count))
    few = without_it.assign(points, count, without_it.capacities(len(points), count))
    share = len(points) * count / (nodes + 1)
    assert 0.6 * share <= moves(few, many) <= 1.4 * share
    assert 0.6 * share <= moves(many, few) <= 1.4 * share


# Bounded load.


@property_test
@given(
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 64),
    st.sampled_from([0, 5, 25, 100]),
)
def test_no_node_holds_more_than_its_share_and_the_slack(
    nodes: int, count: int, partitions: int, slack_percent: int
) -> None:
    count = min(count, nodes)
    ring = Ring(plain_nodes(nodes), hash64)
    capacities = ring.capacities(partitions, count, slack_percent)
    held = loads(ring.assign(starts(partitions), count, capacities))
    bound = -(-partitions * count * (100 + slack_percent) // (100 * nodes))
    assert max(held.values()) <= bound
    assert held.total() == partitions * count


@property_test
@given(ring_nodes(), st.integers(1, 5), st.integers(1, 64), st.sampled_from([0, 25]))
def test_weights_and_zones_never_make_the_bounds_impossible(
    nodes: list[RingNode], count: int, partitions: int, slack_percent: int
) -> None:
    count = min(count, len(nodes))
    ring = Ring(nodes, hash64)
    capacities = ring.capacities(partitions, count, slack_percent)
    placed = ring.assign(starts(partitions), count, capacities)
    assert all(len(set(replicas)) == count for replicas in placed)
    assert all(held <= capacities[name] for name, held in loads(placed).items())


@pytest.mark.parametrize(
    ("weights", "points", "count", "slack_percent", "expected"),
    [
        ((1, 1, 1), 16, 1, 0, (6, 6, 6)),
        ((1, 1, 1), 16, 1, 25, (7, 7, 7)),
        ((1, 1, 1), 16, 3, 25, (16, 16, 16)),
        ((2, 1, 1), 16, 1, 0, (8, 4, 4)),
        ((2, 1, 1), 16, 1, 25, (10, 5, 5)),
        # The heavy node can hold each place once; the others share what is left.
        ((64, 1, 1), 16, 2, 0, (16, 8, 8)),
        ((64, 3, 1), 16, 2, 0, (16, 12, 4)),
        ((64, 64, 1), 16, 3, 0, (16, 16, 16)),
    ],
)
def test_capacity_follows_weight_up_to_each_place_once(
    weights: tuple[int, ...], points: int, count: int, slack_percent: int, expected: tuple[int, ...]
) -> None:
    nodes = [RingNode(NodeId(f"n{place}"), weight) for place, weight in enumerate(weights)]
    capacities = Ring(nodes, hash64).capacities(points, count, slack_percent)
    assert tuple(capacities[node.node_id] for node in nodes) == expected


def test_a_node_of_twice_the_weight_holds_about_twice_as_much() -> None:
    nodes = [*plain_nodes(6), RingNode(NodeId("heavy"), weight=2)]
    ring = Ring(nodes, hash64)
    held = Counter(ring.replicas_for(point, 1)[0] for point in starts(4096))
    assert 0.8 * 4096 / 4 <= held[NodeId("heavy")] <= 1.2 * 4096 / 4


@property_test
@given(st.integers(1, 4), st.integers(1, 12), st.data())
def test_capacities_that_can_suffice_do_and_others_are_refused(
    count: int, partitions: int, data: st.DataObject
) -> None:
    nodes = plain_nodes(data.draw(st.integers(count, 6)))
    rooms = data.draw(
        st.lists(st.integers(0, partitions + 1), min_size=len(nodes), max_size=len(nodes))
    )
    capacities = {node.node_id: room for node, room in zip(nodes, rooms, strict=True)}
    ring = Ring(nodes, hash64)
    if sum(min(room, partitions) for room in rooms) < partitions * count:
        with pytest.raises(ValueError, match="too small"):
            ring.assign(starts(partitions), count, capacities)
        return
    placed = ring.assign(starts(partitions), count, capacities)
    assert all(len(set(replicas)) == count for replicas in placed)
    assert all(held <= capacities[name] for name, held in loads(placed).items())


def test_room_enough_for_all_gives_each_place_what_it_would_get_alone() -> None:
    ring = Ring(plain_nodes(7), hash64)
    placed = ring.assign(
        starts(64), 3, dict.fromkeys([node.node_id for node in plain_nodes(7)], 64)
    )
    assert placed == [ring.replicas_for(point, 3) for point in starts(64)]


def test_equal_zones_are_kept_apart_even_without_slack() -> None:
    nodes = [RingNode(NodeId(f"{zone}{number}"), zone=zone) for zone in "abc" for number in (1, 2)]
    ring = Ring(nodes, hash64)
    placed = ring.assign(starts(64), 3, ring.capacities(64, 3, 0))
    assert all({name[0] for name in replicas} == {"a", "b", "c"} for replicas in placed)
    assert set(loads(placed).values()) == {32}


# What cannot be.


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([], "at least one node"),
        ([RingNode(NodeId("a")), RingNode(NodeId("a"))], "node a is named twice"),
        ([RingNode(NodeId(name)) for name in "aba"], "node a is named twice"),
        ([RingNode(NodeId("a"), weight=0)], "node a: weight 0 is not 1 to 64"),
        ([RingNode(NodeId("a"), weight=WEIGHT_MAX + 1)], "weight 65"),
    ],
)
def test_a_ring_refuses_nodes_that_make_none(nodes: list[RingNode], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Ring(nodes, hash64)


@pytest.mark.parametrize("count", [0, 4])
def test_more_replicas_than_nodes_are_refused(count: int) -> None:
    ring = Ring(plain_nodes(3), hash64)
    with pytest.raises(ValueError, match=f"{count} replicas: there are 3 nodes"):
        ring.replicas_for(0, count)
    with pytest.raises(ValueError, match=f"{count} replicas: there are 3 nodes"):
        ring.capacities(16, count)


def test_negative_slack_is_refused() -> None:
    with pytest.raises(ValueError, match="slack_percent is -1"):
        Ring(plain_nodes(3), hash64).capacities(16, 3, -1)
