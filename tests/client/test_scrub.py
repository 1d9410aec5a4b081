"""Which comparison counts as the one that was asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import grpc.aio

from cluster.ids import GroupId
from cluster.partition.map import ClusterMap
from kvstore.client.connection import Connections
from kvstore.client.scrub import GroupScrub, ScrubRun, ScrubVerdict
from kvstore.generated.kvstore.v1 import admin_pb2 as pb
from tests.partition.maps import map_of
from tests.support.virtual_time import run

GROUP = GroupId(1)
AGREED, DIVERGED = pb.SCRUB_OUTCOME_AGREED, pb.SCRUB_OUTCOME_DIVERGED


class Leader:
    """The first node of three leads the group. Each time that it is asked to begin it compares the
    states, as of the next index, and finds the next of `outcomes`."""

    def __init__(self, *outcomes: pb.ScrubOutcome, lost_answers: int = 0) -> None:
        self.map: ClusterMap = map_of(3, 1)
        self.last_index = 29
        self.result = pb.ScrubResult(index=20, outcome=AGREED)
        self._outcomes = list(outcomes)
        self._lost_answers = lost_answers

    def to(self, address: str) -> Any:
        node = next(node for node in self.map.nodes if node.address == address)
        leads = node == self.map.nodes[0]

        async def status(_request: pb.StatusRequest, **_options: float) -> pb.StatusResponse:
            replica = pb.ReplicaStatus(
                group_id=GROUP,
                role="leader" if leads else "follower",
                term=1,
                commit_index=self.last_index,
            )
            return pb.StatusResponse(replica_id=node.replica, replicas=[replica])

        async def scrub(request: pb.ScrubRequest, **_options: float) -> pb.ScrubResponse:
            assert leads, "only the leader is asked"
            answer = pb.ScrubProgress(
                group_id=GROUP,
                is_leader=True,
                is_under_way=request.begin,
                last_index=self.last_index,
                result=self.result,
            )
            if request.begin:
                self.last_index += 1
                self.result = pb.ScrubResult(index=self.last_index, outcome=self._outcomes.pop(0))
                if self._lost_answers:
                    self._lost_answers -= 1
                    empty = grpc.aio.Metadata()
                    code = grpc.StatusCode.DEADLINE_EXCEEDED
                    raise grpc.aio.AioRpcError(code, empty, empty, "late", None)
            return pb.ScrubResponse(groups=[answer])

        return SimpleNamespace(status=status, scrub=scrub)

    async def newest_map(self) -> ClusterMap:
        return self.map

    def scrub(self) -> GroupScrub:
        async def asking() -> tuple[GroupScrub, ...]:
            return await ScrubRun(
                cast("Connections", self),
                self.map,
                [GROUP],
                newest_map=self.newest_map,
                timeout_s=10.0,
                progress=lambda _done, _of: None,
            ).run()

        (found,) = run(asking())
        return found


def test_a_comparison_of_before_is_not_taken_for_the_one_that_was_asked_for() -> None:
    found = Leader(DIVERGED).scrub()
    assert (found.verdict, found.index) == (ScrubVerdict.DIVERGED, 30)


def test_the_comparison_that_was_asked_for_counts_although_the_leaders_answer_was_lost() -> None:
    """Asked again, it would compare what has been mended meanwhile, and agree."""
    found = Leader(DIVERGED, AGREED, lost_answers=1).scrub()
    assert (found.verdict, found.index) == (ScrubVerdict.DIVERGED, 30)
