"""The heart of the client: one per event loop, it puts the other parts together.

An operation that is not done is in the queue of its partition (`outbox`), or in a call under way
(`lane`); in both, or in two calls, only a write that is sent a second time while nobody knows what
became of the first (`write_queue`). So whether a write was sent is never in doubt, and with it what
an error says. `switchboard` brings queues to lanes, `answers` decides what an answer means,
`refresh` asks for the map; here operations come in, and are ended when their time or the client's
is up.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from cluster.ids import PartitionId
from cluster.partition.map import NodeInfo
from cluster.partition.ranges import partition_of_hash
from kvstore.client.answers import Answers
from kvstore.client.channel import OpenChannel
from kvstore.client.connection import Connections, Suspects
from kvstore.client.deadlines import Deadlines
from kvstore.client.lane import Lane
from kvstore.client.level_sections import Bound
from kvstore.client.operations import OPERATION_COST_BYTES, OperationClass, Section
from kvstore.client.outbox import OUTBOX_BYTES_MAX, Outbox, PartitionQueue
from kvstore.client.receipts import Receipt, ReceiptFuture
from kvstore.client.refresh import Refresher
from kvstore.client.routing import Routes
from kvstore.client.switchboard import Switchboard
from kvstore.codec.routing import key_hash
from kvstore.codec.scan import Page
from kvstore.errors import ClientClosed, DeadlineExceeded, KVStoreError, OutcomeUnknown, Unavailable
from kvstore.generated.kvstore.v1 import map_pb2


class Dispatcher:
    """Takes operations and gives a future for each; see the module."""

    def __init__(
        self,
        endpoints: Sequence[str],
        random: Random,
        suspects: Suspects,
        open_channel: OpenChannel,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.connections = Connections(suspects, open_channel)
        self.board = Switchboard(endpoints, self.connections, random, self._make_lane)
        self.closed = False
        self.is_started = False
        """A map is known, and the client is open: operations may come in."""
        self._refresher = Refresher(self.connections, self.board.addresses, self._adopt, random)
        self._answers = Answers(self.board, self._refresher)
        self._deadlines = Deadlines(self.loop, self._sweep)

    def _make_lane(self, kind: OperationClass, node: NodeInfo) -> Lane:
        name = f"{node.node_id} ({node.address})"
        connection = self.connections.to(node.address)
        return Lane(self._answers, kind, node.replica, name, connection)

    def _adopt(self, message: map_pb2.ClusterMap) -> str | None:
        problem = self.board.adopt(message)
        self.is_started = self.board.routes is not None and not self.closed
        return problem

    # --- what callers ask

    def write(
        self,
        code: int,
        key: bytes,
        argument: bytes,
        deadline_s: float,
        receipts: list[Receipt] | None = None,
    ) -> asyncio.Future[int]:
        """Queues a put or delete; the result is its revision. `receipts` takes a receipt."""
        return self._write(code, key, argument, deadline_s, receipts)

    def change(
        self,
        code: int,
        key: bytes,
        argument: bytes,
        deadline_s: float,
        receipts: list[Receipt] | None = None,
    ) -> asyncio.Future[tuple[int, bytes]]:
        """Queues a change or a transaction; the result is its revision and its answer, encoded."""
        return self._write(code, key, argument, deadline_s, receipts)

    def _write(
        self,
        code: int,
        key: bytes,
        argument: bytes,
        deadline_s: float,
        receipts: list[Receipt] | None,
    ) -> asyncio.Future[Any]:
        outbox = self.board.writes
        cost = len(key) + len(argument) + OPERATION_COST_BYTES
        if outbox.cost_bytes + cost > OUTBOX_BYTES_MAX:
            outbox.make_room(cost, self.loop.time())
        outbox.cost_bytes += cost
        queue = outbox.queues[partition_of_hash(key_hash(key), self.board.partitions)]
        section = queue.section
        section.codes.append(code)
        section.arguments.append(argument)
        return self._add(queue, section, key, deadline_s, receipts)

    def read(self, key: bytes, deadline_s: float) -> asyncio.Future[bytes | None]:
        """Queues a read; the result is the stored record."""
        outbox = self.board.reads
        cost = len(key) + OPERATION_COST_BYTES
        if outbox.cost_bytes + cost > OUTBOX_BYTES_MAX:
            outbox.make_room(cost, self.loop.time())
        outbox.cost_bytes += cost
        queue = outbox.queues[partition_of_hash(key_hash(key), self.board.partitions)]
        return self._add(queue, queue.section, key, deadline_s)

    def read_at(
        self, kind: OperationClass, key: bytes, bound: Bound, deadline_s: float
    ) -> asyncio.Future[tuple[bytes | None, Receipt]]:
        """Queues a read of a class that gives receipts; the result is the stored record, and one.
        `bound` is what the class asks for at least."""
        board = self.board
        outbox = board.level_outbox(kind)
        cost = len(key) + OPERATION_COST_BYTES
        if outbox.cost_bytes + cost > OUTBOX_BYTES_MAX:
            outbox.make_room(cost, self.loop.time())
        outbox.cost_bytes += cost
        partition = partition_of_hash(key_hash(key), board.partitions)
        queue = outbox.queues[partition]
        queue.section.bounds.append(board.bound(partition, bound))
        return self._add(queue, queue.section, key, deadline_s)

    def scan(
        self,
        partition: PartitionId,
        question: bytes,
        deadline_s: float,
        *,
        kind: OperationClass = OperationClass.SCAN,
        bound: Bound = 0,
        receipts: list[Receipt] | None = None,
    ) -> asyncio.Future[Page]:
        """Queues an encoded scan of one partition; the result is its page.

        `kind` is one of SCANS, and `bound` what that asks for at least.
        """
        plain = kind is OperationClass.SCAN
        outbox: Outbox[Any] = self.board.scans if plain else self.board.level_outbox(kind)
        cost = len(question) + OPERATION_COST_BYTES
        if outbox.cost_bytes + cost > OUTBOX_BYTES_MAX:
            outbox.make_room(cost, self.loop.time())
        outbox.cost_bytes += cost
        queue = outbox.queues[partition]
        if not plain:
            queue.section.bounds.append(self.board.bound(partition, bound))
        return self._add(queue, queue.section, question, deadline_s, receipts)

    def _add(
        self,
        queue: PartitionQueue[Any],
        section: Section,
        key: bytes,
        deadline_s: float,
        receipts: list[Receipt] | None = None,
    ) -> asyncio.Future[Any]:
        future: asyncio.Future[Any]
        if receipts is None:
            future = self.loop.create_future()
        else:
            future = ReceiptFuture(receipts, self.loop)
            section.wants_place = True
        section.keys.append(key)
        section.deadlines.append(deadline_s)
        section.futures.append(future)
        if not queue.listed:
            self.board.place(queue)
        if deadline_s < self._deadlines.next_s:
            self._deadlines.note(deadline_s)
        return future

    async def start(self, deadline_s: float) -> Routes:
        """Waits for the first map; raises Unavailable when `deadline_s` is past."""
        while self.board.routes is None:
            self._check_open()
            remaining_s = deadline_s - self.loop.time()
            if remaining_s <= 0:
                raise Unavailable(
                    "no cluster map before the deadline, nothing was done; asked: "
                    f"{self._refresher.report()}"
                )
            await asyncio.wait((self._refresher.request(),), timeout=remaining_s)
        self._check_open()
        return self.board.routes

    async def refresh(self, deadline_s: float) -> Routes:
        """Asks for the map anew; raises Unavailable when nobody answers before `deadline_s`."""
        await self.start(deadline_s)
        while True:
            remaining_s = deadline_s - self.loop.time()
            if remaining_s <= 0:
                raise Unavailable(
                    f"no answer before the deadline; asked: {self._refresher.report()}"
                )
            round_ = self._refresher.request()
            done, _ = await asyncio.wait((round_,), timeout=remaining_s)
            self._check_open()
            if done and round_.result():
                return await self.start(deadline_s)

    def _check_open(self) -> None:
        if self.closed:
            raise ClientClosed("the client is closed; nothing was done")

    # --- deadlines and the end

    def _sweep(self, now_s: float) -> float:
        earliest_s = math.inf
        for lane, queue, section in self._under_way():
            earliest_s = min(earliest_s, section.expire(now_s, _overdue_error(lane, queue)))
        for queue in self.board.queues:
            earliest_s = min(earliest_s, queue.expire(now_s))
        return earliest_s

    def _under_way(self) -> list[tuple[Lane, PartitionQueue[Any], Section]]:
        return [
            (lane, queue, section)
            for lane in self.board.lanes
            for call in lane.calls
            for queue, section in zip(call.queues, call.sections, strict=True)
        ]

    async def close(self) -> None:
        """Ends every operation with an error that says whether it was sent, and all connections."""
        if self.closed:
            return
        self.closed = True
        self.is_started = False
        self._deadlines.close()
        for queue in self.board.queues:
            queue.close()
        for lane, _, section in self._under_way():
            section.fail(_closed_error(lane))
        await asyncio.gather(self.board.close(), self._refresher.close())
        await self.connections.keep_only(())


def _overdue_error(lane: Lane, queue: PartitionQueue[Any]) -> Callable[[], KVStoreError]:
    """What failed before tells more than that another try was under way."""
    failure = queue.failure
    before = "" if failure is None else f"; before that: {failure.detail}"
    if lane.kind is OperationClass.WRITE:
        return lambda: OutcomeUnknown(
            f"the deadline passed while {lane.name} had the write; it may have been applied{before}"
        )
    if failure is not None:
        return failure.at_deadline
    return lambda: DeadlineExceeded(f"the deadline passed while {lane.name} had the read")


def _closed_error(lane: Lane) -> Callable[[], KVStoreError]:
    if lane.kind is OperationClass.WRITE:
        return lambda: OutcomeUnknown(
            f"the client was closed while {lane.name} had the write; it may have been applied"
        )
    return lambda: ClientClosed(f"the client was closed while {lane.name} had the read")
