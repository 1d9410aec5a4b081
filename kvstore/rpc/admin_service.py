"""The admin service: what this node knows of itself and the cluster, scrubs, who should lead."""

from __future__ import annotations

from typing import Any

import grpc

from cluster.ids import GroupId
from cluster.raft.ready import Role
from cluster.scrub import Outcome
from kvstore.client.channel import OpenChannel
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from kvstore.replica.replica import Replica
from kvstore.replica.scrub_rounds import ScrubResult
from kvstore.replica.space import Space
from kvstore.rpc.errors import refuse
from kvstore.rpc.leaders_service import LeadersService
from kvstore.rpc.node_view import NodeView
from kvstore.rpc.rejoin_service import RejoinService

_ROLES = {
    Role.LEADER: "leader",
    Role.FOLLOWER: "follower",
    Role.CANDIDATE: "candidate",
    Role.PRE_CANDIDATE: "pre-candidate",
}
_OUTCOMES = {
    Outcome.AGREED: pb.SCRUB_OUTCOME_AGREED,
    Outcome.PARTIAL: pb.SCRUB_OUTCOME_PARTIAL,
    Outcome.DIVERGED: pb.SCRUB_OUTCOME_DIVERGED,
    Outcome.UNDECIDED: pb.SCRUB_OUTCOME_UNDECIDED,
}


class AdminService:
    """See the module."""

    def __init__(self, view: NodeView, open_channel: OpenChannel, tick_s: float) -> None:
        self._view = view
        self._rejoining = RejoinService(view, self.own_status, open_channel, tick_s)
        self._leaders = LeadersService(view, tick_s)

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
                "Scrub": grpc.unary_unary_rpc_method_handler(
                    self.scrub, pb.ScrubRequest.FromString, pb.ScrubResponse.SerializeToString
                ),
                "Rejoin": grpc.unary_unary_rpc_method_handler(
                    self._rejoining.rejoin,
                    pb.RejoinRequest.FromString,
                    pb.RejoinResponse.SerializeToString,
                ),
                "PreferLeaders": grpc.unary_unary_rpc_method_handler(
                    self._leaders.prefer,
                    pb.PreferLeadersRequest.FromString,
                    pb.PreferLeadersResponse.SerializeToString,
                ),
            },
        )

    async def status(
        self, _request: pb.StatusRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.StatusResponse:
        """This node and its replicas."""
        return self.own_status()

    def own_status(self) -> pb.StatusResponse:
        """This node and its replicas."""
        view = self._view
        host = view.host
        scrubber = host.scrubber
        return pb.StatusResponse(
            node_id=view.node_id,
            replica_id=view.me,
            cluster_id=view.cluster_id,
            version=view.version,
            map_epoch=view.epoch,
            uptime_s=view.uptime_s(),
            replicas=[self._replica_status(replica) for replica in host.replicas.values()],
            rounds=host.rounds,
            log_syncs=host.pipeline.syncs,
            messages_sent=host.messages_sent,
            log_bytes=view.log_bytes(),
            short_of_space=host.space.space is not Space.ENOUGH,
            free_bytes=host.space.free_bytes or 0,
            loop_lag_ms_p99=1000 * view.loop_lag.p99_s,
            loop_lag_ms_max=1000 * view.loop_lag.max_s,
            round_ms_p99=1000 * view.round_times.p99_s,
            round_ms_max=1000 * view.round_times.max_s,
            log_write_ms_max=1000 * view.slowest_log_write_s(),
            unfit_reason=view.unfit_reason(),
            scrubs=scrubber.ended,
            scrub_mismatches=scrubber.mismatches,
            scrub_age_s=self._seconds(scrubber.ticks_since_last or 0),
            scrubbed_replicas=scrubber.agreed,
            rebuilds=view.rebuilds(),
        )

    async def get_map(
        self, _request: pb.GetMapRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetMapResponse:
        """The cluster map, with who leads as far as it is known here."""
        message = self._view.map_message()
        if message is None:
            await refuse(context, grpc.StatusCode.UNAVAILABLE, "the cluster is still starting")
        return pb.GetMapResponse(map=message)

    async def scrub(
        self, request: pb.ScrubRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ScrubResponse:
        """Begins scrubs of what is led here, and says how far they are."""
        groups = [GroupId(group) for group in request.group_ids]
        return pb.ScrubResponse(groups=[self._scrub(group, request.begin) for group in groups])

    def _scrub(self, group: GroupId, begin: bool) -> pb.ScrubProgress:
        host = self._view.host
        replica, rounds = host.replicas.get(group), host.scrubber.rounds
        if replica is None or not replica.is_leader:
            return pb.ScrubProgress(group_id=group)
        if begin and not host.is_stopped:
            rounds.ask(group)
        result = rounds.result(group)
        return pb.ScrubProgress(
            group_id=group,
            is_leader=True,
            is_under_way=rounds.is_under_way(group),
            last_index=replica.core.last_index,
            result=None if result is None else _scrub_result(result),
        )

    def _replica_status(self, replica: Replica) -> pb.ReplicaStatus:
        core = replica.core
        status = pb.ReplicaStatus(
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
            voter_ids=sorted(core.configuration.voters),
            is_changing_members=core.is_changing_members,
        )
        scrubber = self._view.host.scrubber
        last = scrubber.records.get(replica.group)
        if last is not None:
            status.scrub_index = last.index
            status.scrub_outcome = _OUTCOMES[last.outcome]
            status.scrub_age_s = self._seconds(scrubber.age_ticks(last))
        return status

    def _seconds(self, ticks: int) -> float:
        return ticks * self._view.tick_ms / 1000


def _scrub_result(result: ScrubResult) -> pb.ScrubResult:
    found = result.verdict
    return pb.ScrubResult(
        index=result.index,
        outcome=_OUTCOMES[found.outcome],
        hash=found.hash or 0,
        answers=[
            pb.ScrubAnswer(
                replica_id=member,
                has_answered=member in result.hashes,
                is_readable=result.hashes.get(member) is not None,
                hash=result.hashes.get(member) or 0,
                is_named=member in found.named,
            )
            for member in result.members
        ],
    )
