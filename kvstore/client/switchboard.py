"""Which lane every queue is with, by the map and by what was learned about leaders since.

A queue that holds operations is in one of two places: with the lane to its partition's leader, or
parked until a backoff is over or another leader is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

from cluster.ids import PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, InvalidMap, NodeInfo
from kvstore.client.connection import Connections
from kvstore.client.lane import Lane
from kvstore.client.level_sections import ANYWHERE, SECTIONS, Bound
from kvstore.client.operations import OperationClass, ReadSection, ScanSection, WriteSection
from kvstore.client.outbox import Outbox, PartitionQueue
from kvstore.client.retry import backoff_s
from kvstore.client.routing import Routes
from kvstore.client.spread import Spread
from kvstore.client.write_queue import WriteQueue
from kvstore.codec.limits import Limits
from kvstore.errors import InvariantViolation
from kvstore.generated.kvstore.v1 import map_pb2
from kvstore.wire.map import leaders_from_wire, map_from_wire

Queue = PartitionQueue[Any]
MakeLane = Callable[[OperationClass, NodeInfo], Lane]


class Switchboard:
    """Queues, lanes and routes. Empty until a first map is adopted."""

    def __init__(
        self,
        endpoints: Sequence[str],
        connections: Connections,
        random: Random,
        make_lane: MakeLane,
    ) -> None:
        self._endpoints = endpoints
        self._loop = asyncio.get_running_loop()
        self._connections = connections
        self._random = random
        self._make_lane = make_lane
        self._lanes: dict[tuple[ReplicaId, OperationClass], Lane] = {}
        self._retiring: dict[Lane, asyncio.Task[None]] = {}
        self.spread = Spread(random, self._loop.time)
        """Of the reads that any replica may serve."""
        self.routes: Routes | None = None
        """None until a first map is known."""
        self.limits = Limits()
        self.header = ("", 0)
        """Cluster id and map epoch, for requests."""
        self._make_outboxes(0)

    def _make_outboxes(self, partitions: int) -> None:
        self.partitions = partitions
        self.floors = [0] * partitions
        """By partition: the greatest index that an answer has named, which is what sessions know.
        """
        make_queue = partial(WriteQueue, random=self._random, known_index=self.floors.__getitem__)
        self.writes = Outbox(WriteSection, partitions, make_queue)
        self.reads = Outbox(ReadSection, partitions)
        self.scans = Outbox(ScanSection, partitions)
        self.queues: list[Queue] = [
            *self.writes.queues,
            *self.reads.queues,
            *self.scans.queues,
        ]
        """Of all classes."""
        self._levels: dict[OperationClass, Outbox[Any]] = {}
        self._led: list[Outbox[Any]] = [self.writes, self.reads, self.scans]

    def level_outbox(self, kind: OperationClass) -> Outbox[Any]:
        """That of a class in SECTIONS; there is none before it is first asked for."""
        outbox = self._levels.get(kind)
        if outbox is None:
            outbox = self._levels[kind] = Outbox(SECTIONS[kind], self.partitions)
            self.queues.extend(outbox.queues)
            if kind not in ANYWHERE:
                self._led.append(outbox)
        return outbox

    def bound(self, partition: PartitionId, bound: Bound) -> int:
        """What `bound` comes to for one partition."""
        if bound is None:
            return self.floors[partition]
        return bound if isinstance(bound, int) else bound.get(partition, 0)

    @property
    def known_routes(self) -> Routes:
        """The routes, once a first map was adopted."""
        if self.routes is None:
            raise InvariantViolation("operations are queued although no map is known")
        return self.routes

    @property
    def lanes(self) -> list[Lane]:
        """All of them, those to nodes that left the map among them."""
        return [*self._lanes.values(), *self._retiring]

    def addresses(self) -> list[str]:
        """Whom to ask for the map: the user's endpoints and the nodes of the map, in order."""
        nodes = () if self.routes is None else self.routes.map.nodes
        return list(dict.fromkeys((*self._endpoints, *(node.address for node in nodes))))

    # --- queues

    def place(self, queue: Queue) -> None:
        """Brings a queue that is nowhere to the lane of who leads its partition."""
        self._lane_for(queue).enlist(queue)

    def park(self, queue: Queue, at_least_s: float = 0.0) -> None:
        """Keeps a queue whose partition failed off every lane until its backoff is over, which is
        behind `at_least_s`, so that not all come back together."""
        if queue.lane is not None:
            queue.lane.unlist(queue)
        if queue.timer is None and queue.waits:
            queue.listed = True
            delay_s = at_least_s + backoff_s(max(1, queue.failures), self._random)
            queue.timer = self._loop.call_later(delay_s, self._unpark, queue)

    def _unpark(self, queue: Queue) -> None:
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
            queue.listed = False
        if not queue.listed and queue.waits:
            self.place(queue)

    def _move(self, queue: Queue) -> None:
        """The leader of the queue's partition may have changed."""
        if queue.timer is not None:
            self._unpark(queue)
        elif queue.lane is not None and queue.lane is not self._lane_for(queue):
            queue.lane.unlist(queue)
            self.place(queue)

    def learn(self, leaders: Mapping[PartitionId, ReplicaId]) -> None:
        """Takes hints of who leads, and moves queues that this concerns, parked ones too."""
        routes = self.routes
        if routes is None:
            return
        up = {
            partition: leader
            for partition, leader in leaders.items()
            # Others may not have noticed yet that it is gone.
            if routes.map.replica(leader) is None or not self._is_down(leader)
        }
        for partition in routes.learn(up):
            for outbox in self._led:
                self._move(outbox.queues[partition])

    def resubmit(self, queue: Queue) -> None:
        """What was given back goes at once to whoever leads now."""
        if queue.timer is not None or not queue.listed:
            self._unpark(queue)
        else:
            self._move(queue)

    def go_elsewhere(self, queue: Queue) -> None:
        """What was given back, and any replica may serve, goes to one that may; else it waits."""
        route = self.known_routes.route(queue.partition)
        if self.spread.has_others(route, self._is_down):
            self.resubmit(queue)
        else:
            self.park(queue)

    def target_of(self, partition: PartitionId) -> NodeInfo:
        """The node to ask for `partition` now: who leads it, as far as that is known."""
        routes = self.known_routes
        return routes.node(routes.route(partition).target(self._is_down))

    def _lane_for(self, queue: Queue) -> Lane:
        kind = queue.outbox.section_type.kind
        if kind in ANYWHERE:
            routes = self.known_routes
            node = routes.node(self.spread.target(routes.route(queue.partition), self._is_down))
        else:
            node = self.target_of(queue.partition)
        lane = self._lanes.get((node.replica, kind))
        if lane is None:
            lane = self._make_lane(kind, node)
            self._lanes[node.replica, kind] = lane
        return lane

    def _is_down(self, replica: ReplicaId) -> bool:
        return self._connections.is_down(self.known_routes.node(replica).address)

    # --- the map

    def adopt(self, message: map_pb2.ClusterMap) -> str | None:
        """Takes a map where it is newer, and its leaders; else says what is wrong with it."""
        if not message.partitions:
            return "the cluster is still starting: its map has no partitions yet"
        routes = self.routes
        if routes is not None:
            if message.cluster_id != routes.map.cluster_id:
                return f"belongs to cluster {message.cluster_id}, not {routes.map.cluster_id}"
            if message.epoch < routes.map.epoch:
                return f"knows an older map, epoch {message.epoch}"
            if len(message.partitions) != self.partitions:
                return f"has {len(message.partitions)} partitions, not {self.partitions}"
        if routes is None or message.epoch > routes.map.epoch:
            try:
                self._replace(map_from_wire(message))
            except InvalidMap as problem:
                return f"its map is not valid: {problem}"
        self.learn(leaders_from_wire(message))
        return None

    def _replace(self, cluster_map: ClusterMap) -> None:
        if self.routes is None:
            self.routes = Routes(cluster_map)
            self._make_outboxes(len(cluster_map.partitions))
        else:
            self.routes.replace(cluster_map)
        self.limits = self.routes.limits
        self.header = (cluster_map.cluster_id, cluster_map.epoch)
        for (replica, kind), lane in list(self._lanes.items()):
            node = cluster_map.replica(replica)
            if node is None or node.address != lane.connection.address:
                # Calls under way end by themselves; nothing new goes this way.
                del self._lanes[replica, kind]
                self._retiring[lane] = self._loop.create_task(self._retire(lane))
        for queue in self.queues:
            if queue.lane is not None:
                self._move(queue)

    async def _retire(self, lane: Lane) -> None:
        await lane.drain()
        del self._retiring[lane]
        in_use = {other.connection.address for other in self.lanes}
        await self._connections.keep_only({*self.addresses(), *in_use})

    async def close(self) -> None:
        """Ends all timers and calls; the callers were told before."""
        for queue in self.queues:
            if queue.timer is not None:
                queue.timer.cancel()
        await asyncio.gather(*(lane.close() for lane in self.lanes))
        await asyncio.gather(*self._retiring.values())
