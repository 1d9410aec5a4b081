"""The admin service: what this node knows of itself and of the cluster."""

from __future__ import annotations

from typing import Any

import grpc

from cluster.raft.ready import Role
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.replica.replica import Replica
from kvstore.rpc.errors import refuse
from kvstore.rpc.node_view import NodeView

_ROLES = {
    Role.LEADER: "leader",
    Role.FOLLOWER: "follower",
    Role.CANDIDATE: "candidate",
    Role.PRE_CANDIDATE: "pre-candidate",
}


class AdminService:
    """See the module."""

    def __init__(self, view: NodeView) -> None:
        self._view = view

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        """What a server is given."""
        return grpc.method_handlers_generic_handler(
            "kvstore.v1.Admin",
            {
                "Status": grpc.unary_unary_rpc_method_handler(
                    self.status, pb.StatusRequest.FromString, pb.StatusResponse.SerializeToString
                ),
                "GetMap": grpc.unary_unary_rpc_method_handler(
                    self.get_map, pb.GetMapRequest.FromString, pb.GetMapResponse.SerializeToString
                ),
            },
        )

    async def status(
        self, _request: pb.StatusRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.StatusResponse:
        """This node and its replicas."""
        view = self._view
        host = view.host
        return pb.StatusResponse(
            node_id=view.node_id,
            replica_id=view.me,
            cluster_id=view.cluster_id,
            version=view.version,
            map_epoch=view.epoch,
            uptime_s=view.uptime_s(),
            replicas=[_replica_status(replica) for replica in host.replicas.values()],
            rounds=host.rounds,
            log_syncs=host.pipeline.syncs,
            messages_sent=host.messages_sent,
            log_bytes=view.log_bytes(),
        )

    async def get_map(
        self, _request: pb.GetMapRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetMapResponse:
        """The cluster map, with who leads as far as it is known here."""
        message = self._view.map_message()
        if message is None:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "the cluster is still starting")
        return pb.GetMapResponse(map=message)


def _replica_status(replica: Replica) -> pb.ReplicaStatus:
    core = replica.core
    return pb.ReplicaStatus(
        group_id=replica.group,
        role=_ROLES[core.role],
        term=core.term,
        leader_replica_id=core.leader or 0,
        last_index=core.last_index,
        commit_index=core.commit,
        applied_index=core.applied,
        lags=[
            pb.ReplicaLag(replica_id=peer.replica, entries=core.last_index - peer.match)
            for peer in core.status().peers
        ],
    )
