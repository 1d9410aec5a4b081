"""Says who should lead, and waits until they do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import grpc.aio

from cluster.ids import NodeId, PartitionId
from cluster.partition.map import ClusterMap, InvalidMap
from kvstore.client.channel import ConnectionClosed, call
from kvstore.client.connection import Connections
from kvstore.client.outcomes import CallFailure, Verdict, judge
from kvstore.client.status import ask_status
from kvstore.errors import InvalidArgument, OutcomeUnknown, Unavailable
from kvstore.generated.kvstore.v1 import admin_pb2
from kvstore.wire.map import map_from_wire

POLL_S: Final = 0.2
CALL_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class LeaderPlacement:
    """Who should lead each partition, and who did when the client looked last; by partition."""

    preferred: tuple[NodeId, ...]
    leaders: tuple[NodeId | None, ...]
    """None: no node that answered leads it."""

    @property
    def unsettled(self) -> tuple[PartitionId, ...]:
        """The partitions that are not yet led by whom they should be led by."""
        pairs = zip(self.preferred, self.leaders, strict=True)
        return tuple(
            PartitionId(number) for number, (wanted, leader) in enumerate(pairs) if leader != wanted
        )


class LeaderRun:
    """One request to gather leaders, or to spread them. Asking again changes nothing more."""

    def __init__(
        self,
        connections: Connections,
        newest_map: Callable[[], Awaitable[ClusterMap]],
        deadline_s: float,
    ) -> None:
        """`deadline_s` is on the event loop's clock."""
        self._connections = connections
        self._newest_map = newest_map
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self._problem = "no node leads the meta group"
        self._may_be_taken = False

    async def run(self, node_id: str) -> LeaderPlacement:
        """Has `node_id` lead all that it holds; empty: spreads leaders over all nodes."""
        cluster_map = await self._asked(node_id)
        while True:
            placement = await self._look(cluster_map)
            if not placement.unsettled or self._left_s() <= POLL_S:
                return placement
            await asyncio.sleep(POLL_S)

    async def _asked(self, node_id: str) -> ClusterMap:
        request = admin_pb2.PreferLeadersRequest(node_id=node_id)
        while True:
            cluster_map = await self._newest_map()
            status = await ask_status(self._connections, cluster_map, self._left_s())
            for node in cluster_map.nodes:
                if node.node_id == status.meta.leader:
                    taken = await self._ask(node.address, request)
                    if taken is not None:
                        return taken
            if self._left_s() <= POLL_S:
                if self._may_be_taken:
                    raise OutcomeUnknown(
                        f"{self._problem}. It may hold from now on; asking again is harmless"
                    )
                raise Unavailable(f"{self._problem}; nothing was changed")
            await asyncio.sleep(POLL_S)

    async def _ask(
        self, address: str, request: admin_pb2.PreferLeadersRequest
    ) -> ClusterMap | None:
        """The map that says so; None where another try may do better."""
        method = self._connections.to(address).prefer_leaders
        try:
            timeout_s = min(CALL_TIMEOUT_S, self._left_s())
            answer: admin_pb2.PreferLeadersResponse = await call(method, request, timeout_s)
            return map_from_wire(answer.map)
        except (grpc.aio.AioRpcError, ConnectionClosed) as error:
            failure = judge(error, "PreferLeaders")
        except InvalidMap as problem:
            failure = CallFailure(Verdict.UNKNOWN, f"{address} answered no map: {problem}")
        if failure.verdict is Verdict.INVALID:
            raise InvalidArgument(failure.detail)
        if failure.verdict is Verdict.REFUSED:
            raise Unavailable(failure.detail)
        self._problem = failure.detail
        self._may_be_taken |= failure.verdict is Verdict.UNKNOWN
        return None

    async def _look(self, cluster_map: ClusterMap) -> LeaderPlacement:
        status = await ask_status(self._connections, cluster_map, self._left_s())
        names = {node.replica: node.node_id for node in cluster_map.nodes}
        return LeaderPlacement(
            tuple(names[info.preferred_leader] for info in cluster_map.partitions),
            tuple(group.leader for group in status.partitions),
        )

    def _left_s(self) -> float:
        return max(0.001, self._deadline_s - self._loop.time())
