"""The client's channel in simulation: connections that hang, break and come back, as gRPC's do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto, unique
from functools import partial
from random import Random
from typing import Final

import grpc
from google.protobuf.message import Message

from kvstore.client.channel import (
    BATCH_METHOD,
    CONNECT_TIMEOUT_S,
    GET_MAP_METHOD,
    PREFER_LEADERS_METHOD,
    REJOIN_METHOD,
    SCRUB_METHOD,
    STATUS_METHOD,
    Method,
)
from kvstore.generated.kvstore.v1 import admin_pb2, kv_pb2
from kvstore.simulation.kernel import Callback
from kvstore.simulation.network import STREAM_PATIENCE_S, Network
from kvstore.simulation.peers import Directory
from kvstore.simulation.process_loop import ProcessLoop
from kvstore.simulation.rpc import Answered, SimulatedServer, failure

_BACKOFF_S_MIN: Final = 0.1
_BACKOFF_S_MAX: Final = 1.0


@unique
class _State(Enum):
    IDLE = auto()
    CONNECTING = auto()
    READY = auto()
    FAILED = auto()
    """Until the backoff is over: then it connects again."""
    CLOSED = auto()


class Connection:
    """One connection of a channel to one life of a server."""

    __slots__ = ("calls", "is_broken", "server")

    def __init__(self, server: SimulatedServer) -> None:
        self.server = server
        self.calls: dict[int, asyncio.Future[Answered]] = {}
        """Those under way, by number."""
        self.is_broken = False


class SimulatedChannel:
    """See Channel."""

    def __init__(
        self,
        address: str,
        *,
        loop: ProcessLoop,
        network: Network,
        directory: Directory,
        machine: str,
        random: Random,
    ) -> None:
        self._loop = loop
        self._network = network
        self._directory = directory
        self._machine = machine
        self._target = directory.machine_at(address)
        self._random = random
        self._state = _State.IDLE
        self._connection: Connection | None = None
        self._changed: asyncio.Future[None] | None = None
        self._attempt = 0
        self._backoff_s = _BACKOFF_S_MIN
        self._next_call = 0
        self.batch: Method = self.method(BATCH_METHOD, kv_pb2.BatchResponse.FromString)
        self.get_map: Method = self.method(GET_MAP_METHOD, admin_pb2.GetMapResponse.FromString)
        self.status: Method = self.method(STATUS_METHOD, admin_pb2.StatusResponse.FromString)
        self.scrub: Method = self.method(SCRUB_METHOD, admin_pb2.ScrubResponse.FromString)
        self.rejoin: Method = self.method(REJOIN_METHOD, admin_pb2.RejoinResponse.FromString)
        self.prefer_leaders: Method = self.method(
            PREFER_LEADERS_METHOD, admin_pb2.PreferLeadersResponse.FromString
        )

    def method(self, name: str, decode: Callable[[bytes], Message]) -> Method:
        """Any unary method, by its path."""
        return partial(self._call, name, decode)

    # Channel

    def is_ready(self) -> bool:
        """See Channel."""
        if self._state is _State.IDLE:
            self._connect()
        return self._state is _State.READY

    def is_down(self) -> bool:
        """See Channel."""
        return self._state is _State.FAILED

    async def connected(self, timeout_s: float) -> bool:
        """See Channel."""
        try:
            async with asyncio.timeout(timeout_s):
                while not self.is_ready():
                    if self._state in (_State.FAILED, _State.CLOSED):
                        return False
                    await self._change()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """See Channel."""
        self._move(_State.CLOSED)
        connection, self._connection = self._connection, None
        if connection is not None:
            for call in list(connection.calls):
                self._cancel(connection, call)
            for future in list(connection.calls.values()):
                future.cancel()

    # Connecting

    def _connect(self) -> None:
        """Knocks; the answer says that somebody listens, and who."""
        self._attempt += 1
        attempt = self._attempt
        self._move(_State.CONNECTING)
        self._network.send_on_stream(self._machine, self._target, lambda: self._knock(attempt))
        self._loop.call_later(CONNECT_TIMEOUT_S, self._fail, attempt)

    def _knock(self, attempt: int) -> None:
        """At the other machine. A process that is paused still has its system accept for it."""
        if not self._directory.is_on(self._target):
            return  # Nobody answers at all.
        server = self._directory.server_on(self._target)
        answer: Callback = partial(self._fail, attempt)
        if server is not None:
            answer = partial(self._establish, attempt, server)
        self._send_back(answer)

    def _establish(self, attempt: int, server: SimulatedServer) -> None:
        if self._attempt == attempt and self._state is _State.CONNECTING:
            connection = self._connection = Connection(server)
            server.attach(lambda: self._send_back(partial(self._lose, connection, "reset")))
            self._backoff_s = _BACKOFF_S_MIN
            self._move(_State.READY)

    def _fail(self, attempt: int) -> None:
        if self._attempt == attempt and self._state is _State.CONNECTING:
            self._move(_State.FAILED)
            delay_s = self._backoff_s * self._random.uniform(0.8, 1.2)
            self._backoff_s = min(2 * self._backoff_s, _BACKOFF_S_MAX)
            self._loop.call_later(delay_s, self._retry)

    def _retry(self) -> None:
        if self._state is _State.FAILED:
            self._connect()

    def _lose(self, connection: Connection, reason: str) -> None:
        """The connection broke: all that was under way on it has an unknown end."""
        if connection.is_broken:
            return
        connection.is_broken = True
        for future in list(connection.calls.values()):
            if not future.done():
                future.set_exception(failure(grpc.StatusCode.UNAVAILABLE, reason))
        if self._connection is connection:
            self._connection = None
            self._move(_State.IDLE)

    def _move(self, state: _State) -> None:
        if self._state is not _State.CLOSED:
            self._state = state
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)

    async def _change(self) -> None:
        if self._changed is None or self._changed.done():
            self._changed = self._loop.create_future()
        await asyncio.shield(self._changed)

    # Calls

    async def _call(
        self,
        method: str,
        decode: Callable[[bytes], Message],
        request: Message,
        *,
        timeout: float,  # noqa: ASYNC109 - as gRPC has it
    ) -> Message:
        data = request.SerializeToString()
        begun_s = self._loop.time()
        if not await self.connected(timeout):
            if self._loop.time() - begun_s >= timeout:
                raise failure(grpc.StatusCode.DEADLINE_EXCEEDED, "not connected in time")
            raise failure(grpc.StatusCode.UNAVAILABLE, f"no connection to {self._target}")
        connection = self._connection
        if connection is None:
            raise failure(grpc.StatusCode.UNAVAILABLE, f"lost the connection to {self._target}")
        self._next_call += 1
        call = self._next_call
        future: asyncio.Future[Answered] = self._loop.create_future()
        connection.calls[call] = future
        left_s = timeout - (self._loop.time() - begun_s)
        self._send(connection, partial(self._arrive, connection, call, method, data, left_s))
        deadline = self._loop.call_later(left_s, _expire, future)
        try:
            answered = await future
        except BaseException:
            self._cancel(connection, call)
            raise
        finally:
            deadline.cancel()
            connection.calls.pop(call, None)
        if answered.code is not None:
            raise failure(answered.code, answered.details, answered.trailing)
        return decode(answered.response)

    def _send(self, connection: Connection, deliver: Callback) -> None:
        """To the server of the connection, on its loop."""
        lose = partial(self._lose, connection, "connection timed out")

        def arrive() -> None:
            if self._directory.server_on(self._target) is connection.server:
                connection.server.loop.deliver(deliver)
            elif self._directory.is_on(self._target):
                # Another life of the node: its system does not know the connection.
                self._send_back(partial(self._lose, connection, "connection reset"))
            else:
                self._loop.call_later(STREAM_PATIENCE_S, lose)

        self._network.send_on_stream(
            self._machine, self._target, arrive, lambda: self._loop.call_soon(lose)
        )

    def _send_back(self, deliver: Callback) -> None:
        """From the other machine to this process."""
        self._network.send_on_stream(
            self._target, self._machine, lambda: self._loop.deliver(deliver)
        )

    def _arrive(
        self, connection: Connection, call: int, method: str, data: bytes, timeout_s: float
    ) -> None:
        self._loop.kernel.note("call", self._machine, self._target, method, call, len(data))

        def answer(answered: Answered) -> None:
            self._send_back(partial(self._settle, connection, call, answered))

        connection.server.call((self._machine, self, call), method, data, timeout_s, answer)

    def _settle(self, connection: Connection, call: int, answered: Answered) -> None:
        future = connection.calls.get(call)
        if future is not None and not future.done() and not connection.is_broken:
            future.set_result(answered)

    def _cancel(self, connection: Connection, call: int) -> None:
        """Nobody waits for the answer any more; the other side is told, if that gets through."""

        def arrive() -> None:
            if self._directory.server_on(self._target) is connection.server:
                connection.server.loop.call_soon(
                    connection.server.cancel, (self._machine, self, call)
                )

        self._network.send_on_stream(self._machine, self._target, arrive)

    def reset(self, reason: str) -> None:
        """Breaks the connection, if there is one: a fault, or the end of this process."""
        connection = self._connection
        if connection is not None:
            for call in connection.calls:
                self._cancel(connection, call)
            self._loop.call_soon(self._lose, connection, reason)

    @property
    def target(self) -> str:
        """The machine that the channel leads to."""
        return self._target


def _expire(future: asyncio.Future[Answered]) -> None:
    if not future.done():
        future.set_exception(
            failure(grpc.StatusCode.DEADLINE_EXCEEDED, "the call's deadline passed")
        )
