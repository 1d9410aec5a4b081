"""Reads one partition as it is at one moment, for a backup.

A stream belongs to one node. When it breaks off, the partition begins anew from whoever leads it by
then: two halves of two moments would be no backup. It has a connection of its own, so that bulk
data and operations do not wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import grpc
import grpc.aio

from cluster.ids import Index, PartitionId, Term
from cluster.partition.map import NodeInfo
from kvstore.client.channel import BACKUP_METHOD, CONNECT_TIMEOUT_S
from kvstore.client.dispatch import Dispatcher
from kvstore.client.outcomes import CallFailure, Verdict, judge
from kvstore.client.retry import Failure, backoff_s
from kvstore.codec.backup import SectionEnd, SectionStart, SectionTally, checksum
from kvstore.codec.byteslist import CodecError
from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.errors import InvalidArgument, Unavailable
from kvstore.generated.kvstore.v1 import admin_pb2

RESTARTS_MAX: Final = 5
"""Of one partition, after it had begun."""
SILENCE_S_MIN: Final = 10.0
"""A node that is busy may take as long for a chunk, whatever the timeout of operations."""
_CHANNEL_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # A proxy from the environment is for web traffic and would break long-lived connections.
    ("grpc.enable_http_proxy", 0),
    # Else channels of one process share connections, and the backoff of a failed one.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_TIMEOUT_S * 1000)),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A node that vanished without closing its connections is noticed in less than half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Retries are decided in this package, which knows what may be sent twice.
    ("grpc.enable_retries", 0),
)


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """What came since the start is to be forgotten; another start follows."""

    reason: str


BackupEvent = SectionStart | bytes | BrokenOff | SectionEnd
"""A start, the rows of each chunk (codec/backup.py), and an end. Everything has been checked."""


async def partition_events(
    dispatcher: Dispatcher, partition: PartitionId, timeout_s: float, random: Random
) -> AsyncGenerator[BackupEvent, None]:
    """The partition's data, with every write that was acknowledged before the call.

    `timeout_s` is for each beginning; from then on, each chunk has as long, and SILENCE_S_MIN at
    least. Raises Unavailable, ResourceExhausted and InvalidArgument.
    """
    loop = dispatcher.loop
    deadline_s = loop.time() + timeout_s
    failures = restarts = 0
    while True:
        route = dispatcher.board.known_routes.route(partition)
        node = dispatcher.board.target_of(partition)
        stream = _Stream(dispatcher, node, partition)
        begun = False
        try:
            async with aclosing(stream.events(deadline_s, timeout_s)) as events:
                async for event in events:
                    begun = True
                    yield event
            return
        except (grpc.aio.AioRpcError, CodecError, TimeoutError) as problem:
            failure = _judge(problem, stream.name)
        if failure.verdict is Verdict.INVALID:
            raise InvalidArgument(failure.detail)
        if failure.verdict is Verdict.REFUSED:
            raise Unavailable(failure.detail)
        failures += 1
        if begun:
            restarts += 1
            if restarts > RESTARTS_MAX:
                raise Unavailable(
                    f"partition {partition} broke off {restarts} times, at last: {failure.detail}"
                )
            yield BrokenOff(failure.detail)
            failures = 1
            deadline_s = loop.time() + timeout_s
        overloaded = failure.verdict is Verdict.OVERLOADED
        if not overloaded:
            route.blame(node.replica)
        pause_s = backoff_s(failures + 3, random)
        if loop.time() + pause_s >= deadline_s:
            raise Failure(failure.detail, overloaded).at_deadline()
        await asyncio.sleep(pause_s)
        await dispatcher.refresh(deadline_s)


def _judge(problem: Exception, where: str) -> CallFailure:
    if isinstance(problem, grpc.aio.AioRpcError):
        return judge(problem, where)
    if isinstance(problem, TimeoutError):
        return CallFailure(Verdict.AGAIN, f"{where}: no answer in time")
    return CallFailure(Verdict.AGAIN, f"{where}: {problem}")


class _Stream:
    """One attempt, at one node."""

    __slots__ = ("_loop", "_node", "_partition", "_partitions", "_request", "name")

    def __init__(self, dispatcher: Dispatcher, node: NodeInfo, partition: PartitionId) -> None:
        self._loop = dispatcher.loop
        self._node = node
        self._partition = partition
        self._partitions = dispatcher.board.partitions
        cluster_id, _epoch = dispatcher.board.header
        self._request = admin_pb2.BackupRequest(cluster_id=cluster_id, partition_id=partition)
        self.name = f"{node.node_id} ({node.address})"

    async def events(
        self, deadline_s: float, timeout_s: float
    ) -> AsyncGenerator[BackupEvent, None]:
        """What it sends, checked; raises AioRpcError, TimeoutError and CodecError."""
        async with grpc.aio.insecure_channel(
            self._node.address, options=_CHANNEL_OPTIONS
        ) as channel:
            method = channel.unary_stream(
                BACKUP_METHOD,
                request_serializer=admin_pb2.BackupRequest.SerializeToString,
                response_deserializer=admin_pb2.BackupChunk.FromString,
            )
            call = method(self._request)
            try:
                async with aclosing(self._checked(call, deadline_s, timeout_s)) as events:
                    async for event in events:
                        yield event
            finally:
                call.cancel()

    async def _checked(
        self, call: Any, deadline_s: float, timeout_s: float
    ) -> AsyncGenerator[BackupEvent, None]:
        tally = SectionTally(self._partition, self._partitions)
        sequence = 0
        while True:
            async with asyncio.timeout_at(deadline_s):
                chunk = await call.read()
            deadline_s = self._loop.time() + max(timeout_s, SILENCE_S_MIN)
            if chunk is grpc.aio.EOF:  # type: ignore[attr-defined]  # the stubs lack EOF
                raise CodecError("the stream ended before the partition did")
            rows = chunk.rows
            if chunk.sequence != sequence or chunk.checksum != checksum(rows):
                raise CodecError(f"chunk {sequence} did not arrive as it was sent")
            if chunk.HasField("position") != (sequence == 0):
                raise CodecError("only the first chunk has a position")
            if sequence == 0:
                yield self._start(chunk.position)
            tally.add(rows)
            yield rows
            sequence += 1
            if chunk.HasField("totals"):
                end = tally.end()
                if (end.records, end.rows_hash) != (chunk.totals.records, chunk.totals.rows_hash):
                    raise CodecError("the chunks are not all that was sent")
                yield end
                return

    def _start(self, position: admin_pb2.BackupPosition) -> SectionStart:
        return SectionStart(
            self._partition,
            Index(position.applied_index),
            Term(position.term),
            position.revision,
        )
