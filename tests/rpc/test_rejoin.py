"""How a node asks for a new place: again and again, until somebody can say yes or no."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, cast

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from cluster.ids import NodeId, ReplicaId
from kvstore.client.channel import Channel
from kvstore.errors import ConfigurationError
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.generated.kvstore.v1 import map_pb2
from kvstore.rpc import rejoin
from kvstore.rpc.rejoin import Place, Question, ask_for_place

QUESTION = Question(NodeId("n2"), ReplicaId(2), life=22, new_life=44)
PLACE = pb.RejoinResponse(
    replica_id=4,
    map=map_pb2.ClusterMap(
        cluster_id="the cluster",
        epoch=3,
        nodes=[
            map_pb2.Node(replica_id=1, node_id="n1", address="a:1"),
            map_pb2.Node(replica_id=4, node_id="n2", address="b:1"),
        ],
        partitions=[map_pb2.Partition(partition_id=0, replica_ids=[1, 4])],
        key_bytes_max=4096,
        value_bytes_max=1 << 20,
    ),
)

Answer = Callable[[pb.RejoinRequest], pb.RejoinResponse]


def fails(code: grpc.StatusCode, details: str) -> Answer:
    def answer(_request: pb.RejoinRequest) -> pb.RejoinResponse:
        raise AioRpcError(code, Metadata(), Metadata(), details, None)

    return answer


class Nodes:
    """Those that can be asked; each gives its answers in turn, the last one for ever."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, pb.RejoinRequest]] = []
        self.is_open = 0

    def open(self, address: str) -> Channel:
        self.is_open += 1
        return cast("Channel", _Way(self, address))


class _Way:
    def __init__(self, nodes: Nodes, address: str) -> None:
        self._nodes = nodes
        self._address = address

    async def connected(self, timeout_s: float) -> bool:
        assert timeout_s > 0
        return self._address in self._nodes.answers

    async def rejoin(self, request: pb.RejoinRequest, **_options: Any) -> pb.RejoinResponse:
        self._nodes.asked.append((self._address, request))
        answers = self._nodes.answers[self._address]
        return (answers.pop(0) if len(answers) > 1 else answers[0])(request)

    async def close(self) -> None:
        self._nodes.is_open -= 1


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejoin, "_PAUSE_S", 0.0)


async def ask(nodes: Nodes, *endpoints: str) -> Place:
    return await ask_for_place(QUESTION, endpoints, nodes.open, Random(1))


async def test_whoever_knows_gives_the_place_and_says_who_the_others_are() -> None:
    nodes = Nodes(a=[lambda _request: PLACE])
    place = await ask(nodes, "a", "nobody")
    assert place == Place("the cluster", ReplicaId(4), {ReplicaId(1): "a:1", ReplicaId(4): "b:1"})
    assert nodes.asked[-1][1] == pb.RejoinRequest(node_id="n2", replica_id=2, life=22, new_life=44)
    assert nodes.is_open == 0


async def test_it_asks_until_there_is_an_answer() -> None:
    unavailable = fails(grpc.StatusCode.UNAVAILABLE, "no leader")
    silent = fails(grpc.StatusCode.DEADLINE_EXCEEDED, "")
    old = fails(grpc.StatusCode.UNIMPLEMENTED, "an older node")
    nodes = Nodes(a=[unavailable, silent, unavailable, lambda _request: PLACE], b=[old])
    assert (await ask(nodes, "a", "b", "nobody")).replica == 4
    assert len({request.new_life for _, request in nodes.asked}) == 1, "always for the same life"
    assert nodes.is_open == 0


async def test_a_refusal_ends_it() -> None:
    refusal = fails(grpc.StatusCode.FAILED_PRECONDITION, "it may be the last copy")
    nodes = Nodes(a=[refusal])
    with pytest.raises(
        ConfigurationError, match="gives this node no new place: it may be the last"
    ):
        await ask(nodes, "a")
    assert nodes.is_open == 0


async def test_where_there_is_nobody_to_ask_it_may_be_the_last_copy() -> None:
    with pytest.raises(ConfigurationError, match="may be the last copy"):
        await ask(Nodes())
