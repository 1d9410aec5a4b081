"""Leaders are gathered and spread by whoever leads the meta group, and then waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import grpc.aio
import pytest

from cluster.ids import PartitionId, ReplicaId
from cluster.partition.map import ClusterMap
from cluster.partition.meta import SetPreferredLeaders, apply
from cluster.partition.placement import gathered_leaders
from kvstore.client.connection import Connections
from kvstore.client.leaders import LeaderPlacement, LeaderRun
from kvstore.codec.limits import Limits
from kvstore.errors import InvalidArgument, KVStoreError, OutcomeUnknown, Unavailable
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.wire.map import map_to_wire
from tests.partition.maps import map_of
from tests.support.virtual_time import run

TIMEOUT_S = 10.0
Answer = Callable[[pb.PreferLeadersRequest], pb.PreferLeadersResponse]


def failing(code: grpc.StatusCode, details: str, outcome: str = "definite") -> Answer:
    def answer(_request: pb.PreferLeadersRequest) -> pb.PreferLeadersResponse:
        trailing = grpc.aio.Metadata(("kvstore-outcome", outcome))
        raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details, None)

    return answer


class Nodes:
    """Three of them; n1 leads the meta group at first. `answers` are used up before honest ones."""

    def __init__(self, *answers: Answer, follow_after_s: float = 1.0) -> None:
        self.map: ClusterMap = map_of(3, 6)
        self.leaders = [info.preferred_leader for info in self.map.partitions]
        self.meta_leader: ReplicaId | None = ReplicaId(1)
        self.answers = deque(answers)
        self.asked: list[str] = []
        self._follow_after_s = follow_after_s

    def to(self, address: str) -> Any:
        node = next(node for node in self.map.nodes if node.address == address)

        async def status(_request: pb.StatusRequest, **_options: float) -> pb.StatusResponse:
            leads = {n + 1: leader for n, leader in enumerate(self.leaders)} | {0: self.meta_leader}
            replicas = [
                pb.ReplicaStatus(
                    group_id=group, role="leader" if leader == node.replica else "follower"
                )
                for group, leader in leads.items()
            ]
            return pb.StatusResponse(replica_id=node.replica, replicas=replicas)

        async def prefer(
            request: pb.PreferLeadersRequest, **_options: float
        ) -> pb.PreferLeadersResponse:
            self.asked.append(node.node_id)
            answer = self.answers.popleft() if self.answers else self._honest
            return answer(request)

        return SimpleNamespace(status=status, prefer_leaders=prefer)

    def _honest(self, request: pb.PreferLeadersRequest) -> pb.PreferLeadersResponse:
        replica = next(n.replica for n in self.map.nodes if n.node_id == request.node_id)
        command = SetPreferredLeaders(gathered_leaders(self.map, replica))
        self.map = apply(self.map, command).state or self.map
        asyncio.get_running_loop().call_later(self._follow_after_s, self._follow)
        return pb.PreferLeadersResponse(map=map_to_wire(self.map, Limits(), {}))

    def _follow(self) -> None:
        self.leaders = [info.preferred_leader for info in self.map.partitions]

    async def newest_map(self) -> ClusterMap:
        return self.map

    def gather(self, node_id: str = "n2") -> LeaderPlacement:
        async def asking() -> LeaderPlacement:
            deadline_s = asyncio.get_running_loop().time() + TIMEOUT_S
            newest_map: Callable[[], Awaitable[ClusterMap]] = self.newest_map
            return await LeaderRun(cast("Connections", self), newest_map, deadline_s).run(node_id)

        return run(asking())


def test_the_leader_of_the_meta_group_is_asked_and_the_leaders_waited_for() -> None:
    nodes = Nodes()
    placement = nodes.gather()
    assert nodes.asked == ["n1"]
    assert placement.preferred == placement.leaders == ("n2",) * 6
    assert placement.unsettled == ()


def test_what_has_not_followed_in_time_is_said() -> None:
    placement = Nodes(follow_after_s=60.0).gather()
    assert placement.preferred == ("n2",) * 6
    pairs = list(enumerate(placement.leaders))
    assert placement.unsettled == tuple(PartitionId(n) for n, leader in pairs if leader != "n2")
    assert placement.unsettled


def test_a_refusal_for_now_is_tried_again_at_the_next_leader() -> None:
    nodes = Nodes()

    def hand_over(_request: pb.PreferLeadersRequest) -> pb.PreferLeadersResponse:
        nodes.meta_leader = ReplicaId(3)
        return failing(grpc.StatusCode.UNAVAILABLE, "does not lead")(_request)

    nodes.answers.append(hand_over)
    assert nodes.gather().unsettled == ()
    assert nodes.asked == ["n1", "n3"]


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (
            failing(grpc.StatusCode.INVALID_ARGUMENT, "node is 'n9'"),
            InvalidArgument,
            "node is 'n9'",
        ),
        (failing(grpc.StatusCode.UNIMPLEMENTED, ""), Unavailable, "is this a kvstore node"),
        (
            failing(grpc.StatusCode.UNAVAILABLE, "handed over"),
            Unavailable,
            "handed over; nothing was changed",
        ),
        (
            failing(grpc.StatusCode.DEADLINE_EXCEEDED, "no majority", "unknown"),
            OutcomeUnknown,
            "It may hold from now on; asking again is harmless",
        ),
        (
            lambda _request: pb.PreferLeadersResponse(),
            OutcomeUnknown,
            "answered no map",
        ),
    ],
)
def test_what_is_not_answered_well_says_whether_it_may_hold(
    answer: Answer, error: type[KVStoreError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        Nodes(*[answer] * 1000).gather()


def test_without_a_leader_of_the_meta_group_nothing_is_changed() -> None:
    nodes = Nodes()
    nodes.meta_leader = None
    with pytest.raises(Unavailable, match="no node leads the meta group; nothing was changed"):
        nodes.gather()
    assert nodes.asked == []
