"""How the cluster gives a node whose data are lost or damaged a new place (Admin.Rejoin).

The leader of the meta group decides, any other node passes the call on to it. What it cannot know
for certain it does not decide: the node asks again. It refuses for good where the node's data may
be the last copy of something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NoReturn

import grpc

from cluster.errors import ProposalRefused
from cluster.ids import META_GROUP, NodeId, group_of
from cluster.partition.map import ClusterMap, NodeInfo
from cluster.partition.meta import ReplaceReplica, last_copy
from kvstore.client.channel import ConnectionClosed, OpenChannel, call
from kvstore.codec.meta import encode_meta_command
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.rpc.errors import refuse
from kvstore.rpc.node_view import NodeView

_TIMEOUT_S: Final = 3.0
_ASK_TIMEOUT_S: Final = 1.0

Context = grpc.aio.ServicerContext[Any, Any]


class _NotNow(Exception):
    """It may be otherwise later; the message says why."""


class _Never(Exception):
    """Asking again is of no use."""


class RejoinService:
    """See the module."""

    def __init__(
        self,
        view: NodeView,
        own_status: Callable[[], pb.StatusResponse],
        open_channel: OpenChannel,
        tick_s: float,
    ) -> None:
        self._view = view
        self._own_status = own_status
        self._open_channel = open_channel
        self._tick_s = tick_s
        # One at a time: whether a second node can be done without depends on the first.
        self._lock = asyncio.Lock()

    async def rejoin(self, request: pb.RejoinRequest, context: Context) -> pb.RejoinResponse:
        """A new replica id for the node that asks."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if not self._view.host.replicas[META_GROUP].is_leader:
                    return await self._pass_on(request)
                async with self._lock:
                    return await self._decide(request)
        except _Never as reason:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, str(reason))
        except _NotNow as reason:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, str(reason))
        except TimeoutError:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "no majority answered in time")

    async def _pass_on(self, request: pb.RejoinRequest) -> pb.RejoinResponse:
        host, cluster_map = self._view.host, self._view.host.meta.map
        leader = host.replicas[META_GROUP].core.leader
        node = None if cluster_map is None or leader is None else cluster_map.replica(leader)
        if request.is_passed_on or node is None or host.admission.is_silent(node.replica):
            raise _NotNow("this node knows no leader of the meta group")
        passed_on = pb.RejoinRequest()
        passed_on.CopyFrom(request)
        passed_on.is_passed_on = True
        channel = self._open_channel(node.address)
        try:
            response: pb.RejoinResponse = await call(channel.rejoin, passed_on, _TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            _raise_again(error)
        except ConnectionClosed as closed:
            raise _NotNow(str(closed)) from None
        finally:
            await channel.close()
        return response

    async def _decide(self, request: pb.RejoinRequest) -> pb.RejoinResponse:
        host = self._view.host
        cluster_map = host.meta.map
        if cluster_map is None:
            raise _NotNow("the cluster is still starting")
        node = cluster_map.node(NodeId(request.node_id))
        if node is None:
            raise _Never(f"cluster {cluster_map.cluster_id} has no node {request.node_id}")
        if node.life != request.new_life:
            self._check_identity(cluster_map, node, request)
            await self._check_copies(cluster_map, node)
            command = ReplaceReplica(node.node_id, node.replica, request.new_life)
            try:
                host.propose_meta(encode_meta_command(command))
            except ProposalRefused as refusal:
                raise _NotNow(str(refusal)) from None
        while True:
            cluster_map = host.meta.map
            node = None if cluster_map is None else cluster_map.node(NodeId(request.node_id))
            if node is not None and node.life == request.new_life:
                return pb.RejoinResponse(replica_id=node.replica, map=self._view.map_message())
            await asyncio.sleep(self._tick_s)

    def _check_identity(
        self, cluster_map: ClusterMap, node: NodeInfo, request: pb.RejoinRequest
    ) -> None:
        """Whether it is the node's own replica that is given up."""
        if request.replica_id >= cluster_map.next_replica:
            raise _NotNow("this node's map of the cluster is not the newest")
        if request.replica_id not in (0, node.replica):
            raise _Never(
                f"replica {request.replica_id} of node {node.node_id} was replaced by replica"
                f" {node.replica} before"
            )
        if request.life and node.life:
            if request.life != node.life:
                raise _Never(
                    f"cluster {cluster_map.cluster_id} knows replica {node.replica} of node"
                    f" {node.node_id} by other data"
                )
            return
        # Nothing proves it. At least nobody must be at work under that name.
        host = self._view.host
        if host.admission.silence_ticks(node.replica) < host.config.election_ticks_min:
            raise _NotNow(f"replica {node.replica} of node {node.node_id} was heard just now")

    async def _check_copies(self, cluster_map: ClusterMap, node: NodeInfo) -> None:
        """Whether, in each group, enough others have what has been committed."""
        reason = last_copy(cluster_map, node.replica)
        if reason:
            raise _Never(
                f"{reason}. Nothing was touched. Look closer with `kvstore inspect DATA_DIR` on"
                f" {node.node_id}, and with `kvstore status`"
            )
        wanted = {META_GROUP: cluster_map.members} | {
            group_of(partition): cluster_map.replicas_of(partition)
            for partition in cluster_map.partitions_of(node.replica)
        }
        led = await self._ask_leaders(cluster_map, node)
        for group, replicas in wanted.items():
            status = led.get(group)
            name = "the meta group" if group == META_GROUP else f"partition {group - 1}"
            if status is None:
                raise _NotNow(f"{name} has no leader")
            voters = set(status.voter_ids)
            others = voters & (set(replicas) - {node.replica})
            # A voter that is being replaced has given up its data, too.
            if status.is_changing_members or 2 * len(others) <= len(voters):
                raise _NotNow(f"{name} is being given other members")

    async def _ask_leaders(
        self, cluster_map: ClusterMap, but: NodeInfo
    ) -> dict[int, pb.ReplicaStatus]:
        """How the leader of each group sees it, where there is one that answers."""
        others = [
            each for each in cluster_map.nodes if each.replica not in (but.replica, self._view.me)
        ]
        answers = await asyncio.gather(*(self._status_of(each) for each in others))
        led: dict[int, pb.ReplicaStatus] = {}
        for answer in (self._own_status(), *answers):
            for status in () if answer is None else answer.replicas:
                known = led.get(status.group_id)
                if status.role == "leader" and (known is None or known.term < status.term):
                    led[status.group_id] = status
        return led

    async def _status_of(self, node: NodeInfo) -> pb.StatusResponse | None:
        channel = self._open_channel(node.address)
        try:
            response: pb.StatusResponse = await call(
                channel.status, pb.StatusRequest(), _ASK_TIMEOUT_S
            )
        except (grpc.aio.AioRpcError, ConnectionClosed):
            return None
        finally:
            await channel.close()
        return response


def _raise_again(error: grpc.aio.AioRpcError) -> NoReturn:
    reason = error.details() or error.code().name
    if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
        raise _Never(reason) from None
    raise _NotNow(reason) from None
