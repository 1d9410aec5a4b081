"""How a node whose data are lost or damaged asks the cluster for a new place.

It asks the nodes that it knows, again and again, until the meta group has given its new life a
replica id or refused to. Until then it takes no part in anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import grpc
import structlog

from cluster.ids import NodeId, ReplicaId
from cluster.partition.map import InvalidMap
from kvstore.client.channel import ConnectionClosed, OpenChannel, call
from kvstore.errors import ConfigurationError
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.wire.map import map_from_wire

_CONNECT_TIMEOUT_S: Final = 1.0
_ANSWER_TIMEOUT_S: Final = 5.0
_PAUSE_S: Final = 0.5
_REMIND_S: Final = 30.0
"""How often it is said on the log that nothing has changed."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks."""

    node_id: NodeId
    replica: ReplicaId | None
    """Which it was; None: nothing says so any more."""
    life: int
    """Of the data that are given up; 0: they are lost."""
    new_life: int


@dataclass(frozen=True, slots=True)
class Place:
    """What the cluster has answered."""

    cluster_id: str
    replica: ReplicaId
    members: dict[ReplicaId, str]
    """The addresses of all nodes, this one among them."""


async def ask_for_place(
    question: Question, endpoints: Sequence[str], open_channel: OpenChannel, random: Random
) -> Place:
    """Asks until there is an answer; raises ConfigurationError when it is no."""
    if not endpoints:
        raise ConfigurationError(
            "there is no other node that could have this one's data: what is here may be the last"
            " copy"
        )
    loop = asyncio.get_running_loop()
    said, said_at_s = "", 0.0
    while True:
        problems: list[str] = []
        for endpoint in random.sample(endpoints, len(endpoints)):
            answer = await _ask(question, endpoint, open_channel)
            if isinstance(answer, Place):
                return answer
            problems.append(f"{endpoint}: {answer}")
        now = "; ".join(sorted(problems))
        if now != said or loop.time() - said_at_s >= _REMIND_S:
            _log.warning("waits for the cluster to give it a place", node=question.node_id, why=now)
            said, said_at_s = now, loop.time()
        await asyncio.sleep(_PAUSE_S * random.uniform(0.5, 1.5))


async def _ask(question: Question, endpoint: str, open_channel: OpenChannel) -> Place | str:
    """The answer of the node at `endpoint`, or why it has none for now."""
    request = pb.RejoinRequest(
        node_id=question.node_id,
        replica_id=question.replica or 0,
        life=question.life,
        new_life=question.new_life,
    )
    channel = open_channel(endpoint)
    try:
        if not await channel.connected(_CONNECT_TIMEOUT_S):
            return "cannot be reached"
        response = await call(channel.rejoin, request, _ANSWER_TIMEOUT_S)
        cluster_map = map_from_wire(response.map)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
            raise ConfigurationError(
                f"the cluster gives this node no new place: {error.details()}"
            ) from None
        return error.details() or error.code().name
    except (ConnectionClosed, InvalidMap) as problem:
        return str(problem)
    finally:
        await channel.close()
    members = {node.replica: node.address for node in cluster_map.nodes}
    return Place(cluster_map.cluster_id, ReplicaId(response.replica_id), members)
