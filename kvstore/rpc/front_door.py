"""The node's port. Connections that speak directly (kvstore/http2) are served on the event loop;
all others are passed on to gRPC's own server, byte by byte.

Which is which the first frame of a connection says: SETTINGS with a parameter that only kvstore
sends (docs/format-wire.md). So any gRPC client may come, and the calls that there are most of,
those of the client library and of other nodes, cost no thread and no queue of completions.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, cast

from kvstore.errors import ConfigurationError
from kvstore.http2 import frames
from kvstore.http2.frames import Setting
from kvstore.http2.link import hang_up
from kvstore.http2.serving import MethodTable, ServerLink

_BACKLOG: Final = 1024
_PORT_MAX: Final = 65_535
_HANDSHAKE_S: Final = 5.0
"""A visitor that has not said so much as what it speaks by then is sent away."""
_SETTINGS_BYTES_MAX: Final = 1024
_BUFFER_BYTES: Final = 256 << 10
_IDLE_S: Final = 60.0
_ANSWER_S: Final = 20.0
_INTRODUCTION_BYTES: Final = len(frames.PREFACE) + frames.HEADER_BYTES


def speaks_directly(data: bytes) -> bool | None:
    """Whether a connection that begins with `data` does; None: more of it is needed."""
    preface = frames.PREFACE
    if not data.startswith(preface[: len(data)]):
        return False
    if len(data) < _INTRODUCTION_BYTES:
        return None
    high, low, kind, flags, _stream = frames.HEADER.unpack_from(data, len(preface))
    length = high << 16 | low
    if kind != frames.FrameType.SETTINGS or flags or length > _SETTINGS_BYTES_MAX:
        return False
    if len(data) < _INTRODUCTION_BYTES + length:
        return None
    payload = data[_INTRODUCTION_BYTES : _INTRODUCTION_BYTES + length]
    with contextlib.suppress(ValueError):
        return (Setting.DIRECT, 1) in list(frames.read_settings(payload))
    return False


def bind(listen: str) -> socket.socket:
    """A socket that listens on "host:port"; raises ConfigurationError when it cannot be had."""
    host, _, said = listen.rpartition(":")
    host = host.strip("[]")
    try:
        port = int(said)
        if not 0 <= port <= _PORT_MAX:
            raise ValueError(f"there is no port {port}")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        dual = family is socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        listening = socket.create_server(
            (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=dual
        )
    except (OSError, ValueError) as problem:
        raise ConfigurationError(
            f"cannot listen on {listen}: the port is in use or the address is not this"
            " machine's; end what uses it or choose another with --listen"
        ) from problem
    # What is accepted inherits it; the loop itself sets it for some sockets only.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class FrontDoor:
    """See the module. Holds the port from the start."""

    def __init__(self, listen: str, inner: str) -> None:
        """`inner` is the name of the abstract socket where gRPC's own server listens."""
        self._socket = bind(listen)
        self._inner = inner
        self._server: asyncio.Server | None = None
        self._links: dict[ServerLink, None] = {}
        self._visitors: dict[asyncio.WriteTransport, None] = {}
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._is_closing = False

    async def open(self, methods: MethodTable) -> None:
        """Lets visitors in."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Visitor(methods, self), sock=self._socket, start_serving=True
        )

    async def close(self, grace_s: float | None) -> None:
        """Lets nobody in any more; calls under way may go on for `grace_s`."""
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        self._socket.close()
        if self._links:
            await asyncio.gather(*[link.stop(grace_s) for link in list(self._links)])

    def close_passages(self) -> None:
        """Ends what is passed on to gRPC's own server, and visitors that have not said a word."""
        for task in list(self._tasks):
            task.cancel()
        for transport in list(self._visitors):
            hang_up(transport)

    # --- what visitors turn out to be

    def admit(self, visitor: asyncio.WriteTransport) -> None:
        """Remembers a connection, to close it with the door."""
        self._visitors[visitor] = None

    def dismiss(self, visitor: asyncio.WriteTransport) -> None:
        """It is gone."""
        self._visitors.pop(visitor, None)

    def serve(self, methods: MethodTable, transport: asyncio.Transport, data: bytes) -> None:
        """Serves a connection that speaks directly, and has said `data` up to now."""
        link = ServerLink(methods, self._forget)
        self._links[link] = None
        transport.set_protocol(link)
        link.connection_made(transport)
        link.keep_alive(_IDLE_S, _ANSWER_S, without_calls=True)
        if self._is_closing:
            link.go_away()
        link.data_received(data[len(frames.PREFACE) :])

    def _forget(self, link: ServerLink) -> None:
        self._links.pop(link, None)
        self.dismiss(link.transport)

    def pass_on(self, outer: _Passage, data: bytes) -> None:
        """Hands a connection that has said `data` up to now to gRPC's own server."""
        task = asyncio.get_running_loop().create_task(self._pass_on(outer, data))
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _pass_on(self, outer: _Passage, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        way = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            way.setblocking(False)
            way.connect("\0" + self._inner)
            await loop.create_unix_connection(lambda: _Passage(self, outer), sock=way)
        except OSError:
            way.close()
            outer.transport.close()
            return
        except asyncio.CancelledError:
            way.close()
            outer.transport.close()
            raise
        outer.start(data)


class _Visitor(asyncio.Protocol):
    """A connection that has not said yet what it speaks."""

    def __init__(self, methods: MethodTable, door: FrontDoor) -> None:
        self._methods = methods
        self._door = door
        self._data = b""
        self._transport: asyncio.Transport
        self._patience: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast("asyncio.Transport", transport)
        self._door.admit(self._transport)
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(_HANDSHAKE_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._data += data
        direct = speaks_directly(self._data)
        if direct is None:
            return
        self._patience.cancel()
        if direct:
            self._door.serve(self._methods, self._transport, self._data)
        else:
            self._transport.pause_reading()
            passage = _Passage(self._door)
            self._transport.set_protocol(passage)
            passage.connection_made(self._transport)
            self._door.pass_on(passage, self._data)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._patience.cancel()
        self._door.dismiss(self._transport)


class _Passage(asyncio.Protocol):
    """One side of a connection that is passed on: what comes in goes out at the other side, no
    faster than that takes it."""

    def __init__(self, door: FrontDoor, other: _Passage | None = None) -> None:
        """Joined with `other` from its beginning: the inner server may speak first. One without
        another side is not read from before `start`."""
        self.transport: asyncio.Transport
        self._door = door
        self._other = other
        self._is_gone = False

    def start(self, data: bytes) -> None:
        """Passes on `data`, which came before there was another side, and what comes from now on;
        nothing when either is gone by now."""
        if not self._is_gone and self._other is not None and not self._other._is_gone:
            self._other.transport.write(data)
            self.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        self._door.admit(self.transport)
        if self._other is not None:
            self._other._other = self
            if self._other._is_gone:
                hang_up(self.transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._other is not None and not self._other._is_gone:
            self._other.transport.write(data)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._other is not None and not self._other._is_gone:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self._other is not None and not self._other._is_gone:
            self._other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._is_gone = True
        self._door.dismiss(self.transport)
        if self._other is not None and not self._other._is_gone:
            hang_up(self._other.transport)
