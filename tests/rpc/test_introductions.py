"""Who is taken for a peer."""

from __future__ import annotations

import pytest

from cluster.ids import ReplicaId
from kvstore.rpc.introductions import Introductions

NODES = {"n1": "a:1", "n2": "b:1", "n3": "c:1"}
ONE, TWO, THREE, FOUR = map(ReplicaId, (1, 2, 3, 4))


def introductions(cluster_id: str = "", nodes: dict[str, str] = NODES) -> Introductions:
    return Introductions(ONE, {ONE, TWO, THREE}, nodes, lambda: cluster_id)


FIRST_START = introductions().own()
ELSEWHERE = introductions(nodes={**NODES, "n3": "d:1"}).own()


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
    assert (introductions(known).objection(TWO, ONE, said) is None) is fits


@pytest.mark.parametrize(("sender", "to"), [(TWO, THREE), (FOUR, ONE), (ONE, ONE)])
def test_a_peer_that_counts_the_nodes_otherwise_is_refused(
    sender: ReplicaId, to: ReplicaId
) -> None:
    said = introductions("the cluster").objection(sender, to, "the cluster")
    assert said is not None
    assert "different --initial-nodes" in said


def test_the_order_in_which_nodes_are_named_makes_no_difference() -> None:
    turned = dict(reversed(NODES.items()))
    assert introductions(nodes=turned).own() == FIRST_START
