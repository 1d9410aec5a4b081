"""The node's port: who speaks directly is served on the loop, all others by gRPC's own server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from kvstore.errors import ConfigurationError
from kvstore.http2 import frames
from kvstore.http2.calls import ClientLink
from kvstore.http2.dialer import Dialer
from kvstore.http2.frames import Setting
from kvstore.rpc import front_door
from kvstore.rpc.front_door import bind, speaks_directly
from kvstore.rpc.server import NodeServer
from tests.http2.support import OPTIONS, Service, path, until, unused_port

DIRECT = frames.PREFACE + frames.settings([(Setting.INITIAL_WINDOW_SIZE, 9), (Setting.DIRECT, 1)])
FOREIGN = frames.PREFACE + frames.settings([(Setting.INITIAL_WINDOW_SIZE, 9)])


class Door:
    """A node's server with a service of raw bytes."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.service = Service()
        self.port = unused_port()
        self.address = f"{host}:{self.port}"
        self.server = NodeServer(self.address)

    async def __aenter__(self) -> Door:
        await self.server.start([self.service.handler()])
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.server.stop(None)

    def dialer(self) -> Dialer:
        return Dialer(
            self.address,
            connect_timeout_s=20,
            backoff_s_min=0.01,
            backoff_s_max=0.01,
            idle_s=20,
            answer_s=20,
        )

    def channel(self) -> Any:
        return grpc.aio.insecure_channel(self.address, options=OPTIONS)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with Door() as opened:
        yield opened


async def link_of(dialer: Dialer) -> ClientLink:
    assert await dialer.connected(20), dialer.problem
    assert dialer.link is not None
    return dialer.link


async def visit(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", door.port)


async def ends(reader: asyncio.StreamReader) -> bytes:
    """What is said until the connection ends."""
    said = b""
    async with asyncio.timeout(30):
        try:
            while data := await reader.read(1 << 16):
                said += data
        except ConnectionResetError:
            pass
    return said


# --- which is which


@pytest.mark.parametrize(
    ("said", "expected"), [(DIRECT, True), (FOREIGN, False)], ids=["direct", "foreign"]
)
def test_the_first_frame_says_what_a_connection_speaks(said: bytes, expected: bool) -> None:
    for length in range(len(said)):
        assert speaks_directly(said[:length]) is None, length
    assert speaks_directly(said) is expected
    assert speaks_directly(said + b"more") is expected


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"\0",
        frames.PREFACE[:-1] + b"x",
        frames.PREFACE + frames.frame(frames.FrameType.PING, 0, 0, bytes(8)),
        frames.PREFACE + frames.frame(frames.FrameType.SETTINGS, frames.ACK, 0),
        frames.PREFACE + frames.HEADER.pack(0, 1026, frames.FrameType.SETTINGS, 0, 0),
        frames.PREFACE + frames.settings([(Setting.DIRECT, 2)]),
        frames.PREFACE + frames.frame(frames.FrameType.SETTINGS, 0, 0, b"\xf4\xb5\0\0\0\1\0"),
        frames.PREFACE + frames.settings(()),
    ],
)
def test_all_else_is_for_others(said: bytes) -> None:
    assert speaks_directly(said) is False


@pytest.mark.parametrize("cut", [1, 23, 24, 25, 33, 34, 44])
async def test_a_direct_caller_is_known_wherever_its_first_bytes_are_cut(
    door: Door, cut: int
) -> None:
    reader, writer = await visit(door)
    writer.write(DIRECT[:cut])
    await writer.drain()
    await asyncio.sleep(0.01)
    writer.write(DIRECT[cut:])
    head = await asyncio.wait_for(reader.readexactly(frames.HEADER_BYTES), 30)
    length, kind = frames.HEADER.unpack(head)[1:3]
    said = dict(frames.read_settings(await reader.readexactly(length)))
    assert kind == frames.FrameType.SETTINGS
    assert said[Setting.DIRECT] == 1
    writer.close()


async def test_a_visitor_may_say_its_first_bytes_one_by_one(door: Door) -> None:
    _reader, writer = await visit(door)
    for at in range(len(DIRECT)):
        writer.write(DIRECT[at : at + 1])
        await writer.drain()
        await asyncio.sleep(0.001)
    await until(lambda: door.server._door._links)
    writer.close()
    await until(lambda: not door.server._door._visitors)
    assert not door.server._door._links


async def test_direct_and_foreign_callers_get_the_same_answers(door: Door) -> None:
    dialer = door.dialer()
    link = await link_of(dialer)
    async with door.channel() as channel:
        for request in (b"", b"x", bytes(1 << 20)):
            direct = await link.unary(path("Echo"), request, 60, bytes)
            assert direct == await channel.unary_unary(path("Echo"))(request, timeout=60) == request
        assert len(door.server._door._links) == 1
    await dialer.close()


# --- foreign callers


async def test_health_and_reflection_are_there_for_all(door: Door) -> None:
    await door.server.set_serving(serving=True)
    async with door.channel() as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        told = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]))
        names = [one.name async for each in told for one in each.list_services_response.service]
        assert {"kvstore.v1.KV", "kvstore.v1.Admin", "grpc.health.v1.Health"} <= set(names)


async def test_streams_of_answers_come_through(door: Door) -> None:
    async with door.channel() as channel:
        call = channel.unary_stream(path("Many"))(b"part", timeout=60)
        assert [each async for each in call] == [b"part"] * 3


async def test_a_direct_caller_of_a_stream_of_answers_is_told_so(door: Door) -> None:
    dialer = door.dialer()
    with pytest.raises(grpc.aio.AioRpcError, match="not spoken directly") as caught:
        await (await link_of(dialer)).unary(path("Many"), b"", 60, bytes)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await dialer.close()


async def test_large_messages_come_through_both_ways(door: Door) -> None:
    async with door.channel() as channel:
        request = bytes(range(256)) * (20 << 12)
        assert await channel.unary_unary(path("Echo"))(request, timeout=60) == request


async def test_a_visitor_that_does_not_read_is_passed_no_more_than_a_buffer(door: Door) -> None:
    inner = await stand_in(door, lambda connection: connection.sendall(bytes(64 << 20)))
    try:
        reader, writer = await visit(door)
        transport = cast("asyncio.Transport", writer.transport)
        transport.pause_reading()
        writer.write(FOREIGN)
        passages = await both_sides(door)
        await until(lambda: not all(each.is_reading() for each in passages))
        assert sum(each.get_write_buffer_size() for each in passages) < 2 << 20
        transport.resume_reading()
        async with asyncio.timeout(60):
            got = 0
            while got < 64 << 20:
                got += len(await reader.read(1 << 20))
        writer.close()
    finally:
        inner.close()


async def test_a_server_that_does_not_read_is_passed_no_more_than_a_buffer(door: Door) -> None:
    go, heard = threading.Event(), list[int]()

    def read_later(connection: socket.socket) -> None:
        go.wait(60)
        count = 0
        while count < (64 << 20) + len(FOREIGN):
            count += len(connection.recv(1 << 20))
        heard.append(count)

    inner = await stand_in(door, read_later)
    try:
        _reader, writer = await visit(door)
        writer.write(FOREIGN + bytes(64 << 20))
        passages = await both_sides(door)
        await until(lambda: not all(each.is_reading() for each in passages))
        assert sum(each.get_write_buffer_size() for each in passages) < 2 << 20
        assert not heard
        go.set()
        await until(lambda: heard, 60)
        writer.close()
    finally:
        go.set()
        inner.close()


async def stand_in(door: Door, talk: Callable[[socket.socket], None]) -> socket.socket:
    """Listens in place of gRPC's own server; `talk` has each connection, in a thread."""
    name = f"{door.server._inner}-stand-in"
    door.server._door._inner = name
    inner = socket.socket(socket.AF_UNIX)
    inner.bind("\0" + name)
    inner.listen()

    def accept() -> None:
        try:
            connection, _ = inner.accept()
            with connection:
                talk(connection)
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    return inner


async def both_sides(door: Door) -> list[Any]:
    await until(lambda: len(door.server._door._visitors) == 2)
    return list(door.server._door._visitors)


# --- those who mean no good, or nothing


async def test_a_visitor_that_says_nothing_is_sent_away(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_door, "_HANDSHAKE_S", 0.05)
    reader, writer = await visit(door)
    assert await ends(reader) == b""
    writer.close()
    reader, writer = await visit(door)
    writer.write(DIRECT[:-1])
    assert await ends(reader) == b""
    await until(lambda: not door.server._door._visitors)
    writer.close()


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
        bytes(range(256)) * 20,
        frames.PREFACE + b"\xff" * 100,
        DIRECT + b"\xff" * 100,
        DIRECT + frames.frame(frames.FrameType.HEADERS, frames.END_HEADERS, 1, b"\xff"),
    ],
    ids=["HTTP/1.1", "TLS", "noise", "noise after the preface", "direct noise", "bad headers"],
)
async def test_what_nobody_here_speaks_ends(door: Door, said: bytes) -> None:
    reader, writer = await visit(door)
    writer.write(said)
    await ends(reader)
    writer.close()
    await until(lambda: not door.server._door._visitors)
    assert not door.server._door._links


async def test_a_visitor_that_leaves_while_it_is_passed_on_leaves_nothing(door: Door) -> None:
    for _ in range(20):
        _reader, writer = await visit(door)
        writer.write(FOREIGN)
        await writer.drain()
        writer.transport.abort()
    await until(lambda: not door.server._door._visitors and not door.server._door._tasks)


async def test_visitors_are_turned_away_while_the_inner_server_is_gone(door: Door) -> None:
    door.server._door._inner = "kvstore-nobody-listens-here"
    reader, writer = await visit(door)
    writer.write(FOREIGN)
    assert await ends(reader) == b""
    writer.close()
    dialer = door.dialer()
    assert await (await link_of(dialer)).unary(path("Echo"), b"x", 60, bytes) == b"x"
    await dialer.close()
    await until(lambda: not door.server._door._visitors)


# --- its end


async def test_stopping_lets_direct_calls_finish_and_ends_all_connections() -> None:
    door = Door()
    async with door, door.channel() as channel:
        dialer = door.dialer()
        link = await link_of(dialer)
        direct = link.unary(path("Wait"), b"direct", 60, bytes)
        foreign = asyncio.ensure_future(channel.unary_unary(path("Wait"))(b"foreign", timeout=60))
        await until(lambda: door.service.running == 2)
        _reader, silent = await visit(door)
        stopping = asyncio.create_task(door.server.stop(60))
        await until(lambda: not link.is_open)
        with pytest.raises(OSError, match=r"."):
            await visit(door)
        door.service.go.set()
        assert await direct == b"direct"
        assert await foreign == b"foreign"
        await asyncio.wait_for(stopping, 30)
        await until(lambda: link.is_closed and not door.server._door._visitors)
        silent.close()
        await dialer.close()


async def test_a_visitor_that_turns_out_to_speak_directly_while_the_node_stops_is_told() -> None:
    door = Door()
    async with door:
        dialer = door.dialer()
        held = (await link_of(dialer)).unary(path("Wait"), b"", 60, bytes)
        await until(lambda: door.service.running == 1)
        reader, writer = await visit(door)
        await until(lambda: len(door.server._door._visitors) == 2)
        stopping = asyncio.create_task(door.server.stop(60))
        await asyncio.sleep(0)
        writer.write(DIRECT)
        async with asyncio.timeout(30):
            said = b""
            while b"the node is stopping" not in said:
                said += await reader.read(1000)
        door.service.go.set()
        await held
        await stopping
        writer.close()
        await dialer.close()


async def test_a_port_is_free_again_after_the_end() -> None:
    door = Door()
    async with door:
        pass
    bind(door.address).close()


# --- its address


def test_a_port_in_use_and_an_address_that_is_none_are_configuration() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for listen in (
            f"127.0.0.1:{port}",
            "203.0.113.7:7000",
            "127.0.0.1:99999",
            "127.0.0.1:-1",
            "127.0.0.1:http",
            "127.0.0.1:",
            "127.0.0.1",
            "[::zz]:7000",
        ):
            with pytest.raises(ConfigurationError) as caught:
                bind(listen)
            assert str(caught.value) == (
                f"cannot listen on {listen}: the port is in use or the address is not this"
                " machine's; end what uses it or choose another with --listen"
            )


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("host", ["[::1]", "[::]"])
async def test_addresses_of_ipv6_are_served(host: str) -> None:
    async with Door(host) as door:
        reached = ["[::1]", "127.0.0.1"] if host == "[::]" else ["[::1]"]
        for each in reached:
            door.address = f"{each}:{door.port}"
            dialer = door.dialer()
            assert await (await link_of(dialer)).unary(path("Echo"), b"6", 60, bytes) == b"6"
            await dialer.close()
            async with door.channel() as channel:
                assert await channel.unary_unary(path("Echo"))(b"6", timeout=60) == b"6"


def test_small_messages_do_not_wait_for_others() -> None:
    with bind("127.0.0.1:0") as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
