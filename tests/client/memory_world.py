"""A client and a fake cluster in one process and in virtual time, with a fate for each Batch call.

What a call carries may be applied before, after or long after its caller is told something else,
and twice: as it is with entries that a deposed leader left in the logs of others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from enum import Enum, auto, unique
from random import Random
from typing import Any

import grpc

from kvstore.client import AsyncClient
from kvstore.codec.results import CommandOutcome, encode_refusal
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2
from kvstore.simulation.kernel import NS_PER_S, Kernel
from kvstore.simulation.process_loop import ProcessLoop
from kvstore.simulation.rpc import failure
from kvstore.simulation.trace import Trace
from tests.client.fake_cluster import FakeCluster, FakeNode

WRITE = kv_pb2.SECTION_KIND_WRITE
RUN_S_MAX = 600
LATE_S = 3.0
"""How long after a call what it carried may be applied."""


@unique
class Fate(Enum):
    """Of one Batch call."""

    ANSWERED = auto()
    REFUSED = auto()
    """Definite; nothing is applied."""
    INVALID = auto()
    """Definite, for good."""
    UNKNOWN = auto()
    """The node says that it does not know; applied."""
    NOT_RECEIVED = auto()
    """The connection is lost before."""
    LOST = auto()
    """Applied, and then the connection is lost."""
    LATE = auto()
    """The connection is lost, and then it is applied."""
    TWICE = auto()
    """Answered, and what was done is applied once more later."""
    SLOW = auto()
    """Applied late, and answered."""
    HANGS = auto()
    """Applied, and never answered."""
    MOVED = auto()
    """The partitions have another leader now."""
    FORGOTTEN = auto()
    """The partitions forget all sessions before; answered."""
    FULL = auto()
    """The partitions keep too many results of this client."""
    GIVEN_UP = auto()
    """The partitions say that the client had given it up."""
    LOST_AND_FORGOTTEN = auto()
    """Applied, then the connection is lost and all sessions are forgotten."""


class MemoryChannel:
    """See Channel: always connected."""

    def __init__(self, world: World, node: FakeNode) -> None:
        self._world = world
        self._node = node

    def is_ready(self) -> bool:
        return True

    def is_down(self) -> bool:
        return False

    async def connected(self, timeout_s: float) -> bool:
        return True

    async def close(self) -> None:
        pass

    async def batch(self, request: kv_pb2.BatchRequest, **options: float) -> Any:
        return await self._world.batch(self._node, request, options["timeout"])

    async def get_map(self, request: admin_pb2.GetMapRequest, **options: float) -> Any:
        return admin_pb2.GetMapResponse(map=self._world.cluster.map_message())

    status = scrub = rejoin = prefer_leaders = get_map


class World:
    """See the module. Calls beyond the last fate are answered."""

    def __init__(self, fates: Iterator[Fate], seed: int = 0, nodes: int = 3) -> None:
        self.cluster = FakeCluster(nodes)
        for node in self.cluster.nodes.values():
            node._held.close()
        self.random = Random(seed)
        self.fates = fates
        self.sent: list[kv_pb2.BatchRequest] = []
        """All Batch calls with writes."""
        self.timeouts_s: list[float] = []
        """Of each of them."""
        self.forced = 0
        """Sections that were applied although their call failed."""
        self._nodes = {node.address: node for node in self.cluster.nodes.values()}
        self._kernel = Kernel(seed, Trace())
        self.loop = ProcessLoop(self._kernel, "client")  # type: ignore[abstract]  # what is used is there

    def client(self, timeout_s: float = 60.0) -> AsyncClient:
        return AsyncClient(
            list(self._nodes),
            timeout_s=timeout_s,
            random=Random(self.random.random()),
            open_channel=lambda address: MemoryChannel(self, self._nodes[address]),
        )

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs `main` to its end, and everything that happens late."""
        task = self.loop.spawn(main())
        try:
            assert self._kernel.run_until(RUN_S_MAX * NS_PER_S, task.done), "it does not end"
            self._kernel.run_until(self._kernel.now_ns + int(2 * LATE_S * NS_PER_S))
        finally:
            self._kernel.end()

    async def batch(
        self, node: FakeNode, request: kv_pb2.BatchRequest, timeout_s: float
    ) -> kv_pb2.BatchResponse:
        if WRITE not in request.kinds:
            return node.honest(request)
        self.sent.append(request)
        self.timeouts_s.append(timeout_s)
        fate = next(self.fates, Fate.ANSWERED)
        await asyncio.sleep(0.001)
        match fate:
            case Fate.REFUSED:
                return self._all(request, kv_pb2.SECTION_STATUS_UNAVAILABLE)
            case Fate.INVALID:
                return self._all(request, kv_pb2.SECTION_STATUS_INVALID)
            case Fate.FULL:
                return self._refuse(request, CommandOutcome.WINDOW_FULL)
            case Fate.GIVEN_UP:
                return self._refuse(request, CommandOutcome.FORGOTTEN)
            case Fate.NOT_RECEIVED:
                raise failure(grpc.StatusCode.UNAVAILABLE, "connection lost")
            case Fate.LATE:
                self.loop.call_later(self.random.uniform(0, LATE_S), self._apply, request)
                raise failure(grpc.StatusCode.UNAVAILABLE, "connection lost")
            case Fate.SLOW:
                await asyncio.sleep(min(timeout_s / 2, self.random.uniform(0, 3)))
            case Fate.MOVED:
                for partition in request.partition_ids:
                    leader = self.random.choice(list(self.cluster.nodes))
                    self.cluster.partitions[partition].leader = leader
            case Fate.FORGOTTEN:
                self._forget(request)
        response = node.honest(request)
        match fate:
            case Fate.TWICE:
                delay_s = self.random.uniform(0, LATE_S)
                self.loop.call_later(delay_s, self._apply, self._done(request, response))
            case Fate.UNKNOWN:
                self.forced += sum(s == kv_pb2.SECTION_STATUS_OK for s in response.statuses)
                return self._all(request, kv_pb2.SECTION_STATUS_UNKNOWN)
            case Fate.LOST | Fate.LOST_AND_FORGOTTEN:
                self.forced += sum(s == kv_pb2.SECTION_STATUS_OK for s in response.statuses)
                if fate is Fate.LOST_AND_FORGOTTEN:
                    self._forget(request)
                raise failure(grpc.StatusCode.UNAVAILABLE, "connection lost")
            case Fate.HANGS:
                await asyncio.sleep(timeout_s)
                raise failure(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer")
        return response

    @staticmethod
    def _all(request: kv_pb2.BatchRequest, status: int) -> kv_pb2.BatchResponse:
        count = len(request.bodies)
        return kv_pb2.BatchResponse(
            statuses=[status] * count,  # type: ignore[list-item]  # an enum's number
            results=[b""] * count,
            details=["as told"] * count,
            leaders=[0] * count,
        )

    def _refuse(
        self, request: kv_pb2.BatchRequest, outcome: CommandOutcome
    ) -> kv_pb2.BatchResponse:
        response = self._all(request, kv_pb2.SECTION_STATUS_OK)
        response.results[:] = [encode_refusal(outcome, 1)] * len(request.bodies)
        return response

    @staticmethod
    def _done(request: kv_pb2.BatchRequest, response: kv_pb2.BatchResponse) -> kv_pb2.BatchRequest:
        """The sections that were not refused: a node that does not lead puts nothing in a log."""
        done = [
            number
            for number, status in enumerate(response.statuses)
            if status == kv_pb2.SECTION_STATUS_OK
        ]
        return kv_pb2.BatchRequest(
            partition_ids=[request.partition_ids[number] for number in done],
            bodies=[request.bodies[number] for number in done],
        )

    def _apply(self, request: kv_pb2.BatchRequest) -> None:
        for partition, body in zip(request.partition_ids, request.bodies, strict=True):
            self.cluster.partitions[partition].write(body)

    def _forget(self, request: kv_pb2.BatchRequest) -> None:
        for partition in request.partition_ids:
            self.cluster.partitions[partition].sessions.forget()
