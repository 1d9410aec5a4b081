"""The streams to other nodes: one writer per peer, which sends what gathered while it last wrote.

Raft makes up for what is lost, so a peer that cannot be reached costs nothing but what fits in its
bounded queue.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import grpc
import structlog

from cluster.ids import ReplicaId
from cluster.raft.messages import AppendRequest
from kvstore.codec.state_transfer import StateChunk
from kvstore.environment import GroupMessage
from kvstore.generated.cluster.v1 import peer_pb2 as pb
from kvstore.rpc.options import channel_options
from kvstore.rpc.peer_service import REFUSED_FOR_GOOD, ROUNDS_METHOD
from kvstore.wire.peer import Introduction, encode_round

_QUEUE_BYTES_MAX: Final = 32 << 20
_ROUND_BYTES_MAX: Final = 8 << 20
"""Messages beyond it go into a round of their own, which keeps rounds below gRPC's limit."""
_MESSAGE_OVERHEAD_BYTES: Final = 64
_BACKOFF_S_MIN: Final = 0.05
_BACKOFF_S_MAX: Final = 0.25
"""A peer that comes back is soon reached; to knock four times a second costs next to nothing."""

Introduce = Callable[[ReplicaId], Introduction]
"""What this node says of itself to a peer."""

_log = structlog.get_logger(__name__)


class PeerStream:
    """The way to one peer."""

    def __init__(
        self,
        me: ReplicaId,
        to: ReplicaId,
        address: str,
        *,
        introduce: Introduce,
        on_refused: Callable[[str], None],
        random: Random,
    ) -> None:
        self._me = me
        self._to = to
        self.address: Final = address
        self._introduce = introduce
        self._on_refused = on_refused
        self._random = random
        self._queue: list[GroupMessage] = []
        self.queued_bytes = 0
        self._greeting = False
        self._wrote = False
        self._more: asyncio.Future[None] | None = None
        self._reported: str | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def send(self, messages: Sequence[GroupMessage]) -> None:
        """Queues `messages` for the next write; an empty sequence makes an empty round."""
        for message in messages:
            self.queued_bytes += _size(message)
        self._queue.extend(messages)
        if self.queued_bytes > _QUEUE_BYTES_MAX:
            # The peer is too slow or away. Raft starts over from what it acknowledges next.
            self._queue.clear()
            self.queued_bytes = 0
        self._greeting = True
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def close(self) -> None:
        """Ends the stream."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        backoff_s = _BACKOFF_S_MIN
        async with grpc.aio.insecure_channel(self.address, options=channel_options()) as channel:
            rounds = channel.stream_unary(
                ROUNDS_METHOD,
                request_serializer=pb.Round.SerializeToString,
                response_deserializer=pb.RoundsSummary.FromString,
            )
            while True:
                call = rounds()  # type: ignore[call-arg]  # written to, not iterated: the stubs miss it
                try:
                    await self._write(call)
                except asyncio.CancelledError:
                    # grpc.aio raises it, too, when it was the peer that cancelled the stream.
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    self._report("the peer cancelled the stream")
                except Exception as problem:  # whatever broke it, the stream is made anew
                    code, reason = await _end(call, problem)
                    self._report(reason)
                    if code is REFUSED_FOR_GOOD:
                        self._on_refused(reason)
                finally:
                    call.cancel()
                self._queue.clear()
                self.queued_bytes = 0
                if self._wrote:
                    backoff_s = _BACKOFF_S_MIN
                await asyncio.sleep(backoff_s * self._random.uniform(0.5, 1.0))
                backoff_s = min(2 * backoff_s, _BACKOFF_S_MAX)

    async def _write(self, call: grpc.aio.StreamUnaryCall[Any, Any]) -> None:
        """Writes rounds until the stream breaks."""
        self._wrote = False
        while True:
            if not self._greeting:
                self._more = asyncio.get_running_loop().create_future()
                await self._more
            for messages in self._take():
                await call.write(
                    encode_round(self._me, self._to, self._introduce(self._to), messages)
                )
            if not self._wrote:
                self._wrote = True
                self._report(None)

    def _take(self) -> list[list[GroupMessage]]:
        """What is queued, in rounds of bounded size; at least one, which may be empty."""
        queue, self._queue = self._queue, []
        small = self.queued_bytes <= _ROUND_BYTES_MAX
        self.queued_bytes = 0
        self._greeting = False
        if small:
            return [queue]
        rounds: list[list[GroupMessage]] = [[]]
        size = 0
        for message in queue:
            if rounds[-1] and size + _size(message) > _ROUND_BYTES_MAX:
                rounds.append([])
                size = 0
            rounds[-1].append(message)
            size += _size(message)
        return rounds

    def _report(self, reason: str | None) -> None:
        """Logs a change between reachable and not; not every attempt."""
        if reason == self._reported:
            return
        if reason is None:
            _log.info("peer reached", peer=self._to, address=self.address)
        else:
            _log.warning("peer not reached", peer=self._to, address=self.address, reason=reason)
        self._reported = reason


class PeerTransport:
    """See the module; the `Transport` of a real node."""

    def __init__(
        self,
        me: ReplicaId,
        introduce: Introduce,
        on_refused: Callable[[str], None],
        random: Random,
    ) -> None:
        self._make = partial(
            PeerStream, me, introduce=introduce, on_refused=on_refused, random=random
        )
        self._streams: dict[ReplicaId, PeerStream] = {}
        self._closing: dict[asyncio.Task[None], None] = {}

    def follow(self, addresses: Mapping[ReplicaId, str]) -> None:
        """See PeerLinks."""
        before, self._streams = self._streams, {}
        for replica, address in addresses.items():
            stream = before.get(replica)
            if stream is None or stream.address != address:
                stream = self._make(to=replica, address=address)
            self._streams[replica] = stream
        kept = set(map(id, self._streams.values()))
        for stream in before.values():
            if id(stream) not in kept:
                task = asyncio.get_running_loop().create_task(stream.close())
                self._closing[task] = None
                task.add_done_callback(self._closing.pop)

    def send(self, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """See Transport. What is for nobody that is known here is lost."""
        stream = self._streams.get(to)
        if stream is not None:
            stream.send(messages)

    def queued_bytes(self, to: ReplicaId) -> int:
        """What waits to be written to a peer, roughly."""
        return self._streams[to].queued_bytes

    async def close(self) -> None:
        """Ends all streams."""
        await asyncio.gather(*(stream.close() for stream in self._streams.values()), *self._closing)


def _size(message: GroupMessage) -> int:
    """Bytes on the wire, roughly."""
    body = message[1]
    if isinstance(body, AppendRequest):
        return _MESSAGE_OVERHEAD_BYTES + sum([len(entry.data) + 8 for entry in body.entries])
    if isinstance(body, StateChunk):
        return _MESSAGE_OVERHEAD_BYTES + len(body.data)
    return _MESSAGE_OVERHEAD_BYTES


async def _end(
    call: grpc.aio.StreamUnaryCall[Any, Any], problem: Exception
) -> tuple[grpc.StatusCode | None, str]:
    """How a stream broke, and why: a write fails without saying so, the call's end knows."""
    if isinstance(problem, grpc.aio.AioRpcError):
        return problem.code(), problem.details() or problem.code().name
    if call.done():
        code = await call.code()
        return code, (await call.details()) or code.name
    return None, repr(problem)
