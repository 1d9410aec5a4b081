"""Who should lead, as an operator says (Admin.PreferLeaders): on one node, or spread over all.

It becomes part of the cluster map, so it lasts over restarts and until it is said otherwise; the
leaders follow as they always follow the map (`kvstore/replica/stewardship.py`).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc

from cluster.errors import ProposalRefused
from cluster.ids import META_GROUP, NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap
from cluster.partition.meta import SetPreferredLeaders
from cluster.partition.placement import gathered_leaders, spread_leaders
from kvstore.codec.meta import encode_meta_command
from kvstore.errors import InvalidArgument, KVStoreError, OutcomeUnknown, Unavailable
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.rpc.errors import refuse_with
from kvstore.rpc.node_view import NodeView

_TIMEOUT_S: Final = 3.0

Context = grpc.aio.ServicerContext[Any, Any]


class LeadersService:
    """See the module."""

    def __init__(self, view: NodeView, tick_s: float) -> None:
        self._view = view
        self._tick_s = tick_s

    async def prefer(
        self, request: pb.PreferLeadersRequest, context: Context
    ) -> pb.PreferLeadersResponse:
        """Answers once a majority has it."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._decide(request.node_id)
        except KVStoreError as problem:
            await refuse_with(context, problem)
        except TimeoutError:
            unknown = OutcomeUnknown(
                "no majority answered in time: it may hold from now on, or not; ask again"
            )
            await refuse_with(context, unknown)
        return pb.PreferLeadersResponse(map=self._view.map_message())

    async def _decide(self, node_id: str) -> None:
        host = self._view.host
        if not host.replicas[META_GROUP].is_leader:
            raise Unavailable("this node does not lead the meta group")
        if host.meta.map is None:
            raise Unavailable("the cluster is still starting")
        wanted = _wanted(host.meta.map, node_id)
        if not wanted:
            return
        try:
            host.propose_meta(encode_meta_command(SetPreferredLeaders(wanted)))
        except ProposalRefused as refusal:
            raise Unavailable(str(refusal)) from None
        while True:
            if not _wanted(host.meta.map, node_id):
                return
            await asyncio.sleep(self._tick_s)


def _wanted(cluster_map: ClusterMap, node_id: str) -> dict[PartitionId, ReplicaId]:
    """What the map does not yet say."""
    if not node_id:
        return spread_leaders(cluster_map)
    node = cluster_map.node(NodeId(node_id))
    if node is None:
        names = ", ".join(sorted(each.node_id for each in cluster_map.nodes))
        raise InvalidArgument(f"node is {node_id!r}; the cluster has {names}")
    return gathered_leaders(cluster_map, node.replica)
