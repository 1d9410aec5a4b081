"""Whom the leader of the meta group lets lead."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import grpc
import pytest

from cluster.errors import ProposalRefused
from cluster.ids import META_GROUP, ReplicaId
from cluster.partition.map import ClusterMap
from cluster.partition.meta import apply
from kvstore.codec.limits import Limits
from kvstore.codec.meta import decode_meta_command
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.rpc import leaders_service
from kvstore.rpc.leaders_service import LeadersService
from kvstore.rpc.node_view import NodeView
from kvstore.wire.map import map_from_wire, map_to_wire
from tests.partition.maps import map_of


class Ended(Exception):
    """A call has ended with a status."""


class Context:
    async def abort(self, code: grpc.StatusCode, details: str, trailing: Any) -> NoReturn:
        raise Ended(f"{code.name} {dict(trailing)['kvstore-outcome']}: {details}")


class Leader:
    """The leader of the meta group."""

    def __init__(self, cluster_map: ClusterMap | None) -> None:
        self.map = cluster_map
        self.is_leader = True
        self.proposed = 0
        self.refusal: ProposalRefused | None = None
        self.is_cut_off = False
        host = SimpleNamespace(
            replicas={META_GROUP: self}, meta=self, propose_meta=self.propose_meta
        )
        view = SimpleNamespace(host=host, map_message=self.map_message)
        self.service = LeadersService(cast("NodeView", view), 0.001)

    def propose_meta(self, command: bytes) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.proposed += 1
        if not self.is_cut_off:
            self.map = apply(self.map, decode_meta_command(command)).state

    def map_message(self) -> Any:
        assert self.map is not None
        return map_to_wire(self.map, Limits(), {})

    async def asked(self, node_id: str) -> list[ReplicaId] | str:
        """Whom the map then prefers, by partition, or how the call ended."""
        request = pb.PreferLeadersRequest(node_id=node_id)
        try:
            response = await self.service.prefer(request, cast("Any", Context()))
        except Ended as end:
            return str(end)
        partitions = map_from_wire(response.map).partitions
        return [info.preferred_leader for info in partitions]


async def test_leaders_are_gathered_and_spread_each_by_one_command() -> None:
    leader = Leader(map_of(3, 6))
    assert await leader.asked("n2") == [2] * 6
    assert await leader.asked("n2") == [2] * 6
    assert leader.proposed == 1
    spread = await leader.asked("")
    assert sorted(spread) == [1, 1, 2, 2, 3, 3]
    assert await leader.asked("") == spread
    assert leader.proposed == 2


async def test_a_node_that_is_not_there_is_named_with_those_that_are() -> None:
    leader = Leader(map_of(3, 6))
    said = await leader.asked("n9")
    assert said == "INVALID_ARGUMENT definite: node is 'n9'; the cluster has n1, n2, n3"
    assert leader.proposed == 0


async def test_who_cannot_decide_says_so() -> None:
    leader = Leader(map_of(3, 6))
    leader.is_leader = False
    assert "does not lead the meta group" in str(await leader.asked("n1"))
    starting = Leader(None)
    assert "UNAVAILABLE definite: the cluster is still starting" in str(await starting.asked("n1"))
    leader.is_leader, leader.refusal = True, ProposalRefused("leadership is being handed over")
    assert re.match("UNAVAILABLE definite: .*handed over", str(await leader.asked("n1")))


async def test_what_no_majority_has_answered_may_still_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaders_service, "_TIMEOUT_S", 0.02)
    leader = Leader(map_of(3, 6))
    leader.is_cut_off = True
    assert str(await leader.asked("n1")).startswith("DEADLINE_EXCEEDED unknown: no majority")
