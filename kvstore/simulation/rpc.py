"""Calls between simulated processes: the real handlers, without gRPC's transport.

Requests and responses travel as bytes. What gRPC promises holds: a call ends with a response or
with an AioRpcError; a deadline ends it on both sides; a handler whose caller gave up is cancelled,
if word of that arrives; a lost connection ends all calls on it, whatever became of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import grpc
from grpc.aio import EOF, AioRpcError, Metadata  # type: ignore[attr-defined]  # the stubs lack EOF

from kvstore.simulation.process_loop import ProcessLoop

MetadataPairs = tuple[tuple[str, str], ...]
StreamKey = tuple[str, int]
"""Which machine opened a stream of rounds, and its number there."""

CallKey = tuple[str, object, int]
"""Which machine made a call, on which channel, and its number there."""


class Aborted(Exception):
    """A handler has ended its call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: MetadataPairs) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.trailing = trailing


def failure(code: grpc.StatusCode, details: str, trailing: MetadataPairs = ()) -> AioRpcError:
    """What a caller of gRPC is raised."""
    return AioRpcError(code, Metadata(), Metadata(*trailing), details, None)


class Context:
    """What handlers use of grpc.aio.ServicerContext."""

    __slots__ = ("_deadline_s", "_loop", "_peer")

    def __init__(self, loop: ProcessLoop, timeout_s: float | None, peer: str = "") -> None:
        self._loop = loop
        self._peer = peer
        self._deadline_s = None if timeout_s is None else loop.time() + timeout_s

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: MetadataPairs = ()
    ) -> NoReturn:
        """Ends the call with `code`."""
        raise Aborted(code, details, trailing_metadata)

    def peer(self) -> str:
        """Whose connection it is."""
        return self._peer

    def time_remaining(self) -> float | None:
        """In seconds; None without a deadline."""
        if self._deadline_s is None:
            return None
        return max(0.0, self._deadline_s - self._loop.time())


class RoundsContext(Context):
    """Of a stream of rounds: they are read one by one."""

    __slots__ = ("_more", "_rounds")

    def __init__(self, loop: ProcessLoop) -> None:
        super().__init__(loop, None)
        self._rounds: deque[Any] = deque()
        self._more: asyncio.Future[None] | None = None

    def put(self, message: Any) -> None:
        """A round, or EOF, has come in."""
        self._rounds.append(message)
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def read(self) -> Any:
        """The next one."""
        while not self._rounds:
            self._more = self._loop.create_future()
            await self._more
        return self._rounds.popleft()


@dataclass(frozen=True, slots=True)
class Answered:
    """How a handler ended its call."""

    response: bytes = b""
    code: grpc.StatusCode | None = None
    """None: with the response."""
    details: str = ""
    trailing: MetadataPairs = ()


@dataclass(frozen=True, slots=True)
class _CallDetails:
    """What a generic handler asks of a call."""

    method: str
    invocation_metadata: tuple[()] = ()


class SimulatedServer:
    """The Server of a simulated node: one life of its port."""

    def __init__(self, loop: ProcessLoop, machine: str) -> None:
        self.loop: Final = loop
        self.machine: Final = machine
        self._handlers: tuple[Any, ...] = ()
        self._methods: dict[str, Any] = {}
        self._calls: dict[CallKey, asyncio.Task[None]] = {}
        self._streams: dict[StreamKey, RoundsContext | Answered] = {}
        """Those that are taken, and how the others were refused."""
        self._connections: list[Callable[[], None]] = []
        self.is_open = False
        self.is_serving = False

    # Server

    async def start(self, handlers: Sequence[grpc.GenericRpcHandler[Any, Any]]) -> None:
        """See Server."""
        self._handlers = tuple(handlers)
        self.is_open = True

    async def set_serving(self, *, serving: bool) -> None:
        """See Server."""
        self.is_serving = serving

    async def stop(self, grace_s: float | None) -> None:
        """See Server."""
        self.is_open = False
        if grace_s is not None and self._calls:
            await asyncio.wait(list(self._calls.values()), timeout=grace_s)
        for task in list(self._calls.values()):
            task.cancel()
        for context in self._streams.values():
            if isinstance(context, RoundsContext):
                context.put(EOF)

    def attach(self, on_end: Callable[[], None]) -> None:
        """A connection was made; `on_end` is called when the process ends."""
        self._connections.append(on_end)

    def end_connections(self) -> None:
        """The process ended, and its system tells those that were connected."""
        connections, self._connections = self._connections, []
        for on_end in connections:
            on_end()

    # What arrives

    def call(
        self,
        call: CallKey,
        method: str,
        request: bytes,
        timeout_s: float,
        answer: Callable[[Answered], None],
    ) -> None:
        """A unary call, known as `call` from here on; `answer` gets its end, unless it is
        cancelled. To be called on this server's loop."""
        if not self.is_open:
            answer(Answered(code=grpc.StatusCode.UNAVAILABLE, details="the server is stopping"))
            return
        context = Context(self.loop, timeout_s, call[0])
        task = self.loop.spawn(self._run(method, request, context, answer))
        self._calls[call] = task
        deadline = self.loop.call_later(timeout_s, task.cancel)

        def ended(_task: asyncio.Task[None]) -> None:
            deadline.cancel()
            del self._calls[call]

        task.add_done_callback(ended)

    def cancel(self, call: CallKey) -> None:
        """The caller gave up."""
        task = self._calls.get(call)
        if task is not None:
            task.cancel()

    async def _run(
        self, method: str, request: bytes, context: Context, answer: Callable[[Answered], None]
    ) -> None:
        handler = self._method(method)
        try:
            response = await handler.unary_unary(handler.request_deserializer(request), context)
        except Aborted as aborted:
            answer(Answered(b"", aborted.code, aborted.details, aborted.trailing))
        else:
            answer(Answered(handler.response_serializer(response)))

    def receive_round(self, key: StreamKey, method: str, data: bytes) -> Answered | None:
        """A round on a stream, which is new here or not; how the stream was refused, if it was. To
        be called on this server's loop."""
        if not self.is_open:
            return Answered(code=grpc.StatusCode.UNAVAILABLE, details="the server is stopping")
        known = self._streams.get(key)
        if known is None:
            known = self._streams[key] = RoundsContext(self.loop)
            self.loop.spawn(self._run_stream(key, method, known))
        if isinstance(known, Answered):
            return known
        known.put(self._method(method).request_deserializer(data))
        return None

    async def _run_stream(self, key: StreamKey, method: str, context: RoundsContext) -> None:
        try:
            await self._method(method).stream_unary(None, context)
        except Aborted as aborted:
            self._streams[key] = Answered(b"", aborted.code, aborted.details, aborted.trailing)

    def _method(self, name: str) -> Any:
        found = self._methods.get(name)
        if found is None:
            details: Any = _CallDetails(name)
            for handler in self._handlers:
                found = handler.service(details)
                if found is not None:
                    break
            self._methods[name] = found
        return found
