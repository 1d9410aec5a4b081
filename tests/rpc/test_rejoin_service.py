"""Whom the leader of the meta group gives a new place, and whom it does not."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import grpc
import pytest

from cluster.ids import META_GROUP, ReplicaId
from cluster.partition.map import ClusterMap
from cluster.partition.meta import RecordLives, apply
from kvstore.client.channel import Channel
from kvstore.codec.limits import Limits
from kvstore.codec.meta import decode_meta_command
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.rpc.node_view import NodeView
from kvstore.rpc.rejoin_service import RejoinService
from kvstore.wire.map import map_to_wire
from tests.partition.maps import map_of

LIVES = {ReplicaId(1): 11, ReplicaId(2): 22, ReplicaId(3): 33}


def recorded(cluster_map: ClusterMap) -> ClusterMap:
    state = apply(cluster_map, RecordLives(LIVES)).state
    assert state is not None
    return state


THREE_NODES = recorded(map_of(3, 2))
ASKS = pb.RejoinRequest(node_id="n2", replica_id=2, life=22, new_life=44)


class Ended(Exception):
    """A call has ended with a status."""


class Context:
    async def abort(self, code: grpc.StatusCode, details: str, _trailing: Any) -> NoReturn:
        raise Ended(f"{code.name}: {details}")


class Leader:
    """The leader of the meta group, replica 1, which leads all else, too, and the other nodes."""

    def __init__(self, cluster_map: ClusterMap | None = THREE_NODES) -> None:
        self.map = cluster_map
        self.is_leader = True
        self.leader: ReplicaId | None = ReplicaId(1)
        self.silence = {ReplicaId(2): 100, ReplicaId(3): 0}
        self.voters: dict[int, list[int]] = {group: [1, 2, 3] for group in range(3)}
        self.changing: set[int] = set()
        self.proposed = 0
        self.passed_on: list[pb.RejoinRequest] = []
        host = SimpleNamespace(
            replicas={META_GROUP: self},
            core=self,
            meta=self,
            config=SimpleNamespace(election_ticks_min=12),
            admission=SimpleNamespace(
                silence_ticks=self.silence.__getitem__,
                is_silent=lambda replica: self.silence.get(replica, 0) > 12,
            ),
            propose_meta=self.propose_meta,
        )
        view = SimpleNamespace(host=host, me=ReplicaId(1), map_message=self.map_message)
        self.service = RejoinService(
            cast("NodeView", view), self.own_status, lambda _address: cast("Channel", self), 0.0
        )

    @property
    def core(self) -> Leader:
        return self

    def propose_meta(self, command: bytes) -> None:
        self.proposed += 1
        self.map = apply(self.map, decode_meta_command(command)).state

    def map_message(self) -> Any:
        assert self.map is not None
        return map_to_wire(self.map, Limits(), {})

    def own_status(self) -> pb.StatusResponse:
        return pb.StatusResponse(
            replicas=[
                pb.ReplicaStatus(
                    group_id=group,
                    role="leader",
                    term=3,
                    voter_ids=voters,
                    is_changing_members=group in self.changing,
                )
                for group, voters in self.voters.items()
            ]
        )

    # As the channel to any other node

    async def status(self, _request: pb.StatusRequest, **_options: Any) -> pb.StatusResponse:
        return pb.StatusResponse()

    async def rejoin(self, request: pb.RejoinRequest, **_options: Any) -> pb.RejoinResponse:
        self.passed_on.append(request)
        return pb.RejoinResponse(replica_id=9)

    async def close(self) -> None:
        pass

    async def asked(self, request: pb.RejoinRequest = ASKS) -> int | str:
        """The new replica id, or how the call ended."""
        try:
            response = await self.service.rejoin(request, cast("Any", Context()))
        except Ended as end:
            return str(end)
        return int(response.replica_id)


def asks(**fields: Any) -> pb.RejoinRequest:
    request = pb.RejoinRequest()
    request.CopyFrom(ASKS)
    for name, value in fields.items():
        setattr(request, name, value)
    return request


async def test_a_place_is_given_once_however_often_it_is_asked_for() -> None:
    leader = Leader()
    assert await leader.asked() == 4
    assert await leader.asked() == 4
    assert leader.proposed == 1


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (asks(replica_id=0, life=0), 4),  # wiped: nothing is known, but nobody is heard
        (asks(life=23), "FAILED_PRECONDITION: .* knows replica 2 of node n2 by other data"),
        (asks(replica_id=3, life=33), "FAILED_PRECONDITION: replica 3 of node n2 was replaced"),
        (asks(replica_id=7), "UNAVAILABLE: this node's map of the cluster is not the newest"),
        (asks(node_id="n9"), "FAILED_PRECONDITION: cluster c-1 has no node n9"),
    ],
)
async def test_it_has_to_be_the_node_itself_that_asks(
    request_: pb.RejoinRequest, answer: int | str
) -> None:
    leader = Leader()
    said = await leader.asked(request_)
    if isinstance(answer, int):
        assert said == answer
    else:
        assert re.match(answer, str(said))
        assert leader.proposed == 0


async def test_without_proof_nobody_is_replaced_who_is_heard() -> None:
    leader = Leader()
    leader.silence[ReplicaId(2)] = 3
    said = await leader.asked(asks(replica_id=0, life=0))
    assert said == "UNAVAILABLE: replica 2 of node n2 was heard just now"
    assert await leader.asked() == 4, "its data prove who it was"


@pytest.mark.parametrize(
    ("cluster_map", "reason"),
    [
        (recorded(map_of(3, 2, replication_factor=2)), "may be the last copy. Nothing was touched"),
        (map_of(2, 1), "the cluster has 2 nodes"),
    ],
)
async def test_the_last_copy_stays(cluster_map: ClusterMap, reason: str) -> None:
    leader = Leader(cluster_map)
    said = str(await leader.asked())
    assert said.startswith("FAILED_PRECONDITION")
    assert reason in said
    assert leader.proposed == 0


async def test_a_group_without_a_leader_is_waited_for() -> None:
    for group, name in ((0, "the meta group"), (2, "partition 1")):
        leader = Leader()
        del leader.voters[group]
        assert await leader.asked() == f"UNAVAILABLE: {name} has no leader"


@pytest.mark.parametrize(("voters", "is_changing"), [([1, 2, 9], False), ([1, 2, 3], True)])
async def test_a_group_whose_voters_are_not_yet_those_of_the_map_is_waited_for(
    voters: list[int], is_changing: bool
) -> None:
    leader = Leader()
    leader.voters[1] = voters
    leader.changing = {1} if is_changing else set()
    assert await leader.asked() == "UNAVAILABLE: partition 0 is being given other members"
    assert leader.proposed == 0


async def test_before_the_cluster_begins_nobody_is_given_a_place() -> None:
    assert await Leader(None).asked() == "UNAVAILABLE: the cluster is still starting"


async def test_other_nodes_pass_the_call_on_once() -> None:
    node = Leader()
    node.is_leader, node.leader = False, ReplicaId(3)
    assert await node.asked() == 9
    assert node.passed_on == [asks(is_passed_on=True)]
    said = "UNAVAILABLE: this node knows no leader of the meta group"
    assert await node.asked(asks(is_passed_on=True)) == said
    node.leader = ReplicaId(2)  # silent
    assert await node.asked() == said
    node.leader = None
    assert await node.asked() == said
