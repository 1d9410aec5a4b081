"""Who is taken for a peer, by which data, and where peers are reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, ClusterSettings, NodeInfo, PartitionInfo
from cluster.partition.meta import ReplaceReplica, apply
from kvstore.rpc.introductions import Introductions
from kvstore.wire.peer import Introduction

NODES = {"n1": "a:1", "n2": "b:1", "n3": "c:1"}
ONE, TWO, THREE, FOUR, FIVE = map(ReplicaId, (1, 2, 3, 4, 5))
ADDRESSES = {ONE: "a:1", TWO: "b:1", THREE: "c:1"}
LIVES = {ONE: 11, TWO: 22, THREE: 33}
FIRST_MAP = ClusterMap(
    "the cluster",
    1,
    tuple(
        NodeInfo(replica, NodeId(f"n{replica}"), address, LIVES[replica])
        for replica, address in ADDRESSES.items()
    ),
    (PartitionInfo(PartitionId(0), (ONE, TWO, THREE)),),
    ClusterSettings(1, 3, 4096, 1 << 20),
)


def replaced(cluster_map: ClusterMap, node: str, life: int) -> ClusterMap:
    """The map in which a node has a new life."""
    info = cluster_map.node(NodeId(node))
    assert info is not None
    state = apply(cluster_map, ReplaceReplica(info.node_id, info.replica, life)).state
    assert state is not None
    return state


SECOND_MAP = replaced(FIRST_MAP, "n2", 44)
THIRD_MAP = replaced(SECOND_MAP, "n3", 55)


class Door:
    """The introductions of replica 1."""

    def __init__(
        self,
        cluster_id: str = "",
        nodes: dict[str, str] = NODES,
        cluster_map: ClusterMap | None = None,
    ) -> None:
        self.unknown: list[str] = []
        self.introductions = Introductions(
            me=ONE,
            life=LIVES[ONE],
            addresses=ADDRESSES,
            initial_nodes=nodes,
            cluster_id=lambda: cluster_id if cluster_map is None else cluster_map.cluster_id,
            on_unknown=self.unknown.append,
        )
        if cluster_map is not None:
            self.introductions.follow(cluster_map)

    def says(self, to: ReplicaId = TWO) -> Introduction:
        return self.introductions.own(to)

    def takes(self, sender: ReplicaId, said: Introduction, to: ReplicaId = ONE) -> str | None:
        """Why not, and in capitals where it is for good; None: it does."""
        objection = self.introductions.objection(sender, to, said)
        if objection is None:
            self.introductions.meet(sender, said)
            return None
        return objection.sentence.upper() if objection.is_final else objection.sentence


def of(replica: ReplicaId, life: int, cluster: str = "the cluster") -> Introduction:
    """What a replica says of itself."""
    return Introduction(cluster, life, LIVES[ONE], f"{'abcbc'[replica - 1]}:1")


FIRST_START = Door().says().cluster
ELSEWHERE = Door(nodes={**NODES, "n3": "d:1"}).says().cluster


@pytest.mark.parametrize(
    ("known", "said", "fits"),
    [
        ("", FIRST_START, True),
        ("", ELSEWHERE, False),
        ("", "the cluster", True),  # it has begun, and this node has not heard yet
        ("the cluster", "the cluster", True),
        ("the cluster", FIRST_START, True),  # the sender has not heard yet
        ("the cluster", ELSEWHERE, False),
        ("the cluster", "another", False),
    ],
)
def test_only_nodes_of_the_same_cluster_are_peers(known: str, said: str, fits: bool) -> None:
    assert (Door(known).takes(TWO, of(TWO, 22, said)) is None) is fits


@pytest.mark.parametrize(("sender", "to"), [(TWO, THREE), (FOUR, ONE), (ONE, ONE)])
def test_a_peer_that_counts_the_nodes_otherwise_is_refused(
    sender: ReplicaId, to: ReplicaId
) -> None:
    for door in (Door(), Door(cluster_map=FIRST_MAP)):
        said = door.takes(sender, of(sender, 22, FIRST_START), to)
        assert said is not None
        assert "different --initial-nodes" in said


def test_whoever_was_replaced_is_told_so_for_good_whomever_it_means() -> None:
    """A node that has lost its data knows the others only as they were in the beginning, and by now
    each of them may be another replica."""
    said = Door(cluster_map=SECOND_MAP).takes(TWO, of(TWO, 99, FIRST_START), to=THREE)
    assert said == "CLUSTER THE CLUSTER HAS REPLACED REPLICA 2 BY ANOTHER"


def test_the_order_in_which_nodes_are_named_makes_no_difference() -> None:
    turned = dict(reversed(NODES.items()))
    assert Door(nodes=turned).says().cluster == FIRST_START


def test_a_node_says_its_life_its_address_and_by_which_life_it_knows_the_other() -> None:
    assert Door(cluster_map=FIRST_MAP).says(TWO) == Introduction("the cluster", 11, 22, "a:1")
    assert Door("the cluster").says(TWO) == Introduction("the cluster", 11, 0, "a:1")
    assert Door(cluster_map=SECOND_MAP).says(FOUR).receiver_life == 44


@pytest.mark.parametrize(
    ("cluster_map", "sender", "life", "refusal"),
    [
        (FIRST_MAP, TWO, 22, None),
        (FIRST_MAP, TWO, 99, "THE CLUSTER KNOWS REPLICA 2 BY OTHER DATA"),
        (
            replace(FIRST_MAP, nodes=(replace(FIRST_MAP.nodes[0], life=0), *FIRST_MAP.nodes[1:])),
            THREE,
            33,
            None,
        ),
        (SECOND_MAP, TWO, 22, "HAS REPLACED REPLICA 2"),
        (SECOND_MAP, FOUR, 44, None),
        (SECOND_MAP, FOUR, 22, "KNOWS REPLICA 4 BY OTHER DATA"),
        (FIRST_MAP, FOUR, 44, None),  # of a newer map than is known here
        (None, TWO, 99, None),  # nothing is known yet: the window that remains
        (None, FIVE, 55, None),
    ],
)
def test_a_replica_is_known_by_its_data(
    cluster_map: ClusterMap | None, sender: ReplicaId, life: int, refusal: str | None
) -> None:
    said = Door(cluster_map=cluster_map).takes(sender, of(sender, life))
    assert said is None if refusal is None else refusal in str(said)


def test_a_life_that_is_not_recorded_yet_is_taken_and_remembered() -> None:
    unrecorded = replace(FIRST_MAP, nodes=tuple(replace(node, life=0) for node in FIRST_MAP.nodes))
    door = Door(cluster_map=unrecorded)
    assert door.takes(TWO, of(TWO, 99)) is None
    assert door.introductions.lives == {ONE: 11, TWO: 99}
    before = door.introductions.version
    door.introductions.follow(FIRST_MAP)
    assert door.introductions.version > before, "streams that were taken are looked at again"
    assert "BY OTHER DATA" in str(door.takes(TWO, of(TWO, 99)))


def test_a_node_that_others_know_by_other_data_takes_nothing_and_says_so() -> None:
    door = Door(cluster_map=FIRST_MAP)
    assert door.takes(TWO, replace(of(TWO, 22), receiver_life=0)) is None
    assert door.unknown == []
    said = door.takes(TWO, replace(of(TWO, 22), receiver_life=12))
    assert said == "cluster the cluster knows replica 1 by other data"
    assert door.unknown == [said]


@pytest.mark.parametrize(
    ("cluster_map", "wrong"),
    [
        (FIRST_MAP, None),
        (replaced(FIRST_MAP, "n1", 66), "has replaced replica 1"),
        (
            replace(FIRST_MAP, nodes=(replace(FIRST_MAP.nodes[0], life=12), *FIRST_MAP.nodes[1:])),
            "knows replica 1 by other data",
        ),
    ],
)
def test_the_map_says_whether_this_node_is_still_who_it_was(
    cluster_map: ClusterMap, wrong: str | None
) -> None:
    said = Door(cluster_map=cluster_map).introductions.objection_to_this_node()
    assert said is None if wrong is None else wrong in str(said)


def test_peers_are_where_the_map_says_and_newer_ones_where_they_say_themselves() -> None:
    door = Door()
    assert door.introductions.addresses() == {TWO: "b:1", THREE: "c:1"}
    door.introductions.follow(SECOND_MAP)
    assert door.introductions.addresses() == {THREE: "c:1", FOUR: "b:1"}
    assert door.takes(FIVE, of(FIVE, 55)) is None
    assert door.introductions.addresses() == {THREE: "c:1", FOUR: "b:1", FIVE: "c:1"}
    door.introductions.follow(THIRD_MAP)
    assert door.introductions.addresses() == {FOUR: "b:1", FIVE: "c:1"}


def test_one_that_joined_and_knows_only_older_maps_goes_by_what_it_was_told() -> None:
    introductions = Introductions(
        me=FIVE,
        life=55,
        addresses={ONE: "a:1", FOUR: "b:1", FIVE: "c:1"},
        initial_nodes=NODES,
        cluster_id=lambda: "the cluster",
        on_unknown=lambda _reason: None,
    )
    introductions.follow(FIRST_MAP)
    assert introductions.addresses() == {ONE: "a:1", FOUR: "b:1"}
    assert introductions.objection_to_this_node() is None
    said = Introduction("the cluster", 44, 55, "b:1")
    assert introductions.objection(FOUR, FIVE, said) is None
