"""What the tests of HTTP/2 share: a transport that only notes, a service of raw bytes, servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import grpc.aio

from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.http2 import frames
from kvstore.http2.calls import ClientLink
from kvstore.http2.frames import ErrorCode, FrameType, Setting
from kvstore.http2.headers import OK_TRAILERS, RESPONSE_BLOCK, encode
from kvstore.http2.serving import MethodTable, ServerLink
from kvstore.http2.stream import prefix_of

SERVICE = "test.Service"
OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]
SETTINGS = frames.settings(())
Frame = tuple[int, int, int, bytes]
"""Type, flags, stream, payload."""


async def until(condition: Callable[[], object], within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


def with_prefix(message: bytes) -> bytes:
    """A message as gRPC writes it."""
    return prefix_of(message) + message


def holds(value: object) -> bool:
    """Whether it does now: for what changes while type checkers think that it does not."""
    return bool(value)


def frames_of(data: bytes) -> list[Frame]:
    """The frames in `data`, all of them whole."""
    found: list[Frame] = []
    while data:
        high, low, kind, flags, number = frames.HEADER.unpack_from(data)
        stop = frames.HEADER_BYTES + (high << 16 | low)
        assert len(data) >= stop, "a frame is not whole"
        found.append((kind, flags, number, data[frames.HEADER_BYTES : stop]))
        data = data[stop:]
    return found


class Pipe(asyncio.Transport):
    """Notes what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.unwritten_bytes = 0
        self.is_read = True
        self.is_shut = False
        self.is_aborted = False

    def write(self, data: Any) -> None:
        assert not self.is_shut, "written to a connection that is closed"
        self.written += data

    def taken(self) -> list[Frame]:
        """The frames written since it was last asked."""
        data = bytes(self.written)
        self.written.clear()
        return frames_of(data.removeprefix(frames.PREFACE))

    def kinds(self) -> list[int]:
        """The types of the frames written since it was last asked."""
        return [kind for kind, _flags, _stream, _payload in self.taken()]

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unwritten_bytes

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def close(self) -> None:
        self.is_shut = True

    def abort(self) -> None:
        self.is_shut = self.is_aborted = True


class Service:
    """Methods whose messages are any bytes."""

    def __init__(self) -> None:
        self.running = 0
        self.cancelled = 0
        self.left_s: float | None = None
        self.read: list[bytes] = []
        self.go = asyncio.Event()
        """Set: those who wait may read, or answer."""

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_unary_rpc_method_handler
        methods = {
            "Echo": unary(self.echo, bytes, bytes),
            "Size": unary(self.size, bytes, bytes),
            "Fail": unary(self.fail, bytes, bytes),
            "Break": unary(self.break_, bytes, bytes),
            "Wait": unary(self.wait, bytes, bytes),
            "Count": stream(self.count, bytes, bytes),
            "Leave": stream(self.leave, bytes, bytes),
            "Slow": stream(self.slow, bytes, bytes),
            "Many": grpc.unary_stream_rpc_method_handler(self.many, bytes, bytes),
        }
        return grpc.method_handlers_generic_handler(SERVICE, cast("Any", methods))

    async def echo(self, request: bytes, context: Any) -> bytes:
        self.left_s = context.time_remaining()
        return request

    async def size(self, request: bytes, _context: Any) -> bytes:
        return bytes(int(request))

    async def fail(self, request: bytes, context: Any) -> bytes:
        await context.abort(
            grpc.StatusCode.FAILED_PRECONDITION, request.decode(), (("reason", "tested"),)
        )
        raise AssertionError("abort returned")

    async def break_(self, request: bytes, _context: Any) -> bytes:
        raise KeyError(request.decode())

    async def wait(self, request: bytes, _context: Any) -> bytes:
        self.running += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return request

    async def count(self, _requests: Any, context: Any) -> bytes:
        count = size = 0
        while (message := await context.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
            count += 1
            size += len(message)
        return b"%d %d" % (count, size)

    async def leave(self, _requests: Any, context: Any) -> bytes:
        first = await context.read()
        await context.abort(grpc.StatusCode.DATA_LOSS, f"enough of {first.decode()}")
        raise AssertionError("abort returned")

    async def slow(self, _requests: Any, context: Any) -> bytes:
        await self.go.wait()
        while (message := await context.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
            self.read.append(message)
        return b""

    async def many(self, request: bytes, context: Any) -> None:
        for _ in range(3):
            await context.write(request)


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


def headers_frame(
    number: int, method: str, *, is_last: bool = False, more: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """Opens a call."""
    block = encode([(":method", "POST"), (":path", path(method)), *more])
    flags = frames.END_HEADERS | (frames.END_STREAM if is_last else 0)
    return frames.frame(FrameType.HEADERS, flags, number, block)


def data_frame(number: int, data: bytes, *, is_last: bool = False) -> bytes:
    return frames.frame(FrameType.DATA, frames.END_STREAM if is_last else 0, number, data)


def call_frames(number: int, method: str, request: bytes = b"") -> bytes:
    """A whole unary call."""
    return headers_frame(number, method) + data_frame(number, with_prefix(request), is_last=True)


def served(service: Service) -> tuple[ServerLink, Pipe]:
    """The server's end of a connection whose other end is the test; its opening has been read."""
    link, pipe = ServerLink(MethodTable([service.handler()]), lambda _link: None), Pipe()
    link.connection_made(pipe)
    pipe.taken()
    return link, pipe


def calling() -> tuple[ClientLink, Pipe]:
    """The caller's end; the peer has said its settings, and the opening has been read."""
    client, pipe = ClientLink("host:1"), Pipe()
    client.connection_made(pipe)
    client.data_received(SETTINGS)
    pipe.taken()
    return client, pipe


def answer(number: int, message: bytes) -> bytes:
    head = frames.frame(FrameType.HEADERS, frames.END_HEADERS, number, RESPONSE_BLOCK)
    flags = frames.END_HEADERS | frames.END_STREAM
    tail = frames.frame(FrameType.HEADERS, flags, number, OK_TRAILERS)
    return head + data_frame(number, with_prefix(message)) + tail


def code_of(pipe: Pipe) -> ErrorCode:
    """Why the connection was ended, by the last frame written."""
    kind, _flags, _number, payload = pipe.taken()[-1]
    assert kind == FrameType.GOAWAY
    assert pipe.is_shut
    return ErrorCode(frames.read_goaway(payload)[1])


def of_kind(found: list[Frame], kind: FrameType) -> list[Frame]:
    return [each for each in found if each[0] == kind]


def small_window(client: ClientLink, size: int) -> None:
    client.data_received(frames.settings([(Setting.INITIAL_WINDOW_SIZE, size)]))


class _Arrival(asyncio.Protocol):
    """Passes over the preface of a client and lets ServerLink have the rest."""

    def __init__(self, service: Service, links: list[ServerLink]) -> None:
        self._service = service
        self._links = links
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) >= len(frames.PREFACE):
            link = ServerLink(MethodTable([self._service.handler()]), lambda _link: None)
            self._links.append(link)
            self._transport.set_protocol(link)
            link.connection_made(self._transport)
            link.data_received(self._data[len(frames.PREFACE) :])


@asynccontextmanager
async def direct_server(
    service: Service, links: list[ServerLink] | None = None, port: int = 0
) -> AsyncIterator[str]:
    """The address of ServerLink, for all who come."""
    made: list[ServerLink] = [] if links is None else links
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Arrival(service, made), "127.0.0.1", port)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for link in made:
            await link.stop(None)


@asynccontextmanager
async def genuine_server(
    service: Service, *options: tuple[str, Any]
) -> AsyncIterator[tuple[str, grpc.aio.Server]]:
    """The address of gRPC's own server, and the server."""
    server = grpc.aio.server(options=[*OPTIONS, *options])
    server.add_generic_rpc_handlers((service.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", server
    finally:
        await server.stop(None)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
