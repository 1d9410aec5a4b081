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
from types import MappingProxyType
from typing import Final

import grpc
import structlog

from cluster.ids import ReplicaId
from cluster.raft.messages import AppendRequest
from kvstore.codec.state_transfer import StateChunk
from kvstore.environment import GroupMessage
from kvstore.http2.calls import ClientLink, MessageStream
from kvstore.http2.dialer import Dialer
from kvstore.rpc.peer_service import REFUSED_FOR_GOOD, ROUNDS_METHOD
from kvstore.wire.peer import Introduction, encode_round

_QUEUE_BYTES_MAX: Final = 32 << 20
_ROUND_BYTES_MAX: Final = 8 << 20
"""Messages beyond it go into a round of their own, which keeps rounds below gRPC's limit."""
_MESSAGE_OVERHEAD_BYTES: Final = 64
_CONNECT_TIMEOUT_S: Final = 2.0
_IDLE_S: Final = 5.0
_ANSWER_S: Final = 3.0
"""A connection that is dead is noticed, too, if nothing tells: see Link.keep_alive."""
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
        self._has_round = False
        self.queued_bytes = 0
        self._link: ClientLink | None = None
        self._stream: MessageStream | None = None
        self._reported: str | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def send(self, messages: Sequence[GroupMessage]) -> None:
        """Writes `messages` as a round, or queues them while there is no way or no room; an empty
        sequence makes an empty round."""
        self._has_round = True
        self._queue.extend(messages)
        for message in messages:
            self.queued_bytes += _size(message)
        if self._link is not None:
            self._write()
        if self.queued_bytes > _QUEUE_BYTES_MAX:
            # The peer is too slow or away. Raft starts over from what it acknowledges next.
            self._queue.clear()
            self.queued_bytes = 0

    async def close(self) -> None:
        """Ends the stream."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        dialer = Dialer(
            self.address,
            connect_timeout_s=_CONNECT_TIMEOUT_S,
            backoff_s_min=0.0,
            backoff_s_max=0.0,
            idle_s=_IDLE_S,
            answer_s=_ANSWER_S,
        )
        backoff_s = _BACKOFF_S_MIN
        try:
            while True:
                if await dialer.connected(_CONNECT_TIMEOUT_S) and dialer.link is not None:
                    if await self._carry(dialer.link):
                        backoff_s = _BACKOFF_S_MIN
                else:
                    self._report(dialer.problem)
                self._queue.clear()
                self.queued_bytes = 0
                await asyncio.sleep(backoff_s * self._random.uniform(0.5, 1.0))
                backoff_s = min(2 * backoff_s, _BACKOFF_S_MAX)
        finally:
            await dialer.close()

    async def _carry(self, link: ClientLink) -> bool:
        """Writes rounds until the stream breaks; whether it lasted: a peer that refuses it ends it
        at once."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[tuple[grpc.StatusCode, str]] = loop.create_future()

        def on_over(code: grpc.StatusCode, reason: str) -> None:
            if not over.done():
                over.set_result((code, reason))

        self._stream = link.open_stream(ROUNDS_METHOD, on_over)
        self._link = link
        link.outflow.on_room = self._write
        lasting = loop.call_later(_BACKOFF_S_MAX, self._report, None)
        try:
            if self._has_round:
                self._write()
            code, reason = await over
        finally:
            lasting.cancel()
            self._link = None
            self._stream.cancel()
        has_lasted = loop.time() >= lasting.when()
        self._report(reason or code.name)
        if code is REFUSED_FOR_GOOD:
            self._on_refused(reason)
        return has_lasted

    def _write(self) -> None:
        """Writes what is queued, if there is room for it: in one round, as a rule."""
        link, stream = self._link, self._stream
        while self._has_round and link is not None and stream is not None and not link.is_full:
            introduction = self._introduce(self._to)
            round_ = encode_round(self._me, self._to, introduction, self._take())
            stream.write(round_.SerializeToString())

    def _take(self) -> list[GroupMessage]:
        """What goes into the next round: all that is queued, unless that is too much for one."""
        queue = self._queue
        if self.queued_bytes <= _ROUND_BYTES_MAX:
            self._queue = []
            self.queued_bytes = 0
            self._has_round = False
            return queue
        size = count = 0
        for message in queue:
            size += _size(message)
            if count and size > _ROUND_BYTES_MAX:
                break
            count += 1
        self._queue = queue[count:]
        self.queued_bytes = sum(map(_size, self._queue))
        self._has_round = bool(self._queue)
        return queue[:count]

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
        detours: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`detours`: where to connect instead, by the address of the peer that is meant."""
        self._detours = detours
        self._make = partial(
            PeerStream, me, introduce=introduce, on_refused=on_refused, random=random
        )
        self._streams: dict[ReplicaId, PeerStream] = {}
        self._closing: dict[asyncio.Task[None], None] = {}

    def follow(self, addresses: Mapping[ReplicaId, str]) -> None:
        """See PeerLinks."""
        before, self._streams = self._streams, {}
        for replica, known_at in addresses.items():
            address = self._detours.get(known_at, known_at)
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
