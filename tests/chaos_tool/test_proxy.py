"""The fault proxy between real sockets: what is cut, late, throttled or broken, and which way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from kvstore.chaos import proxy
from kvstore.chaos.mesh import CLIENTS
from kvstore.chaos.proxy import ProxyMesh

NODES = ("a", "b", "c")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


class Peer:
    """Somebody who listens, keeps what it hears, and can answer on every connection."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.writers: list[asyncio.StreamWriter] = []
        self.ended = 0
        self.is_listening = asyncio.Event()
        self.is_listening.set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while True:
                await self.is_listening.wait()
                data = await reader.read(1 << 16)
                if not data:
                    break
                self.heard += data
        self.ended += 1

    async def close(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()


class World:
    """Peers by name, and the mesh between them."""

    def __init__(self, peers: dict[str, Peer], mesh: ProxyMesh) -> None:
        self.peers = peers
        self.mesh = mesh
        self._writers: list[asyncio.StreamWriter] = []

    async def dial(
        self, dialler: str, to: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.mesh.ways(dialler)[to].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        await self.mesh.close()
        for writer in self._writers:
            writer.transport.abort()
        for peer in self.peers.values():
            await peer.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    peers = {name: Peer() for name in NODES}
    for peer in peers.values():
        await peer.open()
    mesh = ProxyMesh(NODES, lambda name: peers[name].address)
    await mesh.open()
    world = World(peers, mesh)
    yield world
    await world.close()


async def test_bytes_go_through_in_both_directions_and_in_order(world: World) -> None:
    reader, writer = await world.dial("a", "b")
    sent = bytes(range(256)) * 4096
    writer.write(sent)
    await writer.drain()
    await until(lambda: len(world.peers["b"].heard) == len(sent))
    assert bytes(world.peers["b"].heard) == sent
    world.peers["b"].writers[0].write(b"answer")
    assert await reader.readexactly(6) == b"answer"


async def test_each_dialler_has_a_way_of_its_own_to_each_other_node(world: World) -> None:
    ports = [way for dialler in (*NODES, CLIENTS) for way in world.mesh.ways(dialler).values()]
    assert len(set(ports)) == len(ports) == 9
    assert set(world.mesh.ways("a")) == {"b", "c"}
    assert set(world.mesh.ways(CLIENTS)) == set(NODES)


async def test_one_direction_is_cut_and_the_other_is_not(world: World) -> None:
    reader, writer = await world.dial("a", "b")
    writer.write(b"1")
    await until(lambda: bytes(world.peers["b"].heard) == b"1")
    world.mesh.direction("a", "b").cut()
    writer.write(b"2")
    world.peers["b"].writers[0].write(b"heard")
    assert await reader.readexactly(5) == b"heard"
    assert bytes(world.peers["b"].heard) == b"1"


async def test_what_was_held_arrives_when_the_way_is_mended(world: World) -> None:
    _, writer = await world.dial("a", "b")
    world.mesh.direction("a", "b").cut()
    states = [world.mesh.is_clear]
    writer.write(b"late")
    await world.mesh.clear()
    assert [*states, world.mesh.is_clear] == [False, True]
    await until(lambda: bytes(world.peers["b"].heard) == b"late")


async def test_a_cut_holds_for_connections_of_either_side_and_for_new_ones(world: World) -> None:
    back_reader, _ = await world.dial("b", "a")
    await until(lambda: len(world.peers["a"].writers) == 1)
    world.mesh.direction("a", "b").cut()
    # What a says on the connection that b opened is said by a to b all the same.
    world.peers["a"].writers[0].write(b"held")
    _, writer = await world.dial("a", "b")
    writer.write(b"new")
    # A third way is open: by the time its bytes have arrived, the others' could have.
    _, other = await world.dial("a", "c")
    other.write(b"open")
    await until(lambda: bytes(world.peers["c"].heard) == b"open")
    assert not world.peers["b"].writers
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await back_reader.read(1)
    await world.mesh.clear()
    assert await back_reader.readexactly(4) == b"held"
    await until(lambda: bytes(world.peers["b"].heard) == b"new")


async def test_bytes_are_late_by_what_was_asked_for_and_keep_their_order(world: World) -> None:
    reader, writer = await world.dial("a", "b")
    world.mesh.direction("b", "a").slow(delay_s=0.2)
    writer.write(b"x")
    await until(lambda: bool(world.peers["b"].heard))
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for number in range(10):
        world.peers["b"].writers[0].write(b"%d" % number)
        await asyncio.sleep(0)
    assert await reader.readexactly(10) == b"0123456789"
    assert loop.time() - began_s >= 0.2


async def test_a_throttled_direction_carries_no_more_than_it_may(world: World) -> None:
    _, writer = await world.dial("a", "b")
    world.mesh.direction("a", "b").slow(bytes_per_s=256 << 10)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    writer.write(bytes(128 << 10))
    await until(lambda: len(world.peers["b"].heard) == 128 << 10)
    # The first piece waits for nothing.
    assert loop.time() - began_s >= 0.4


async def test_a_delay_that_is_taken_away_ends_at_once(world: World) -> None:
    _, writer = await world.dial("a", "b")
    world.mesh.direction("a", "b").slow(delay_s=3600)
    writer.write(b"soon")
    await world.mesh.clear()
    await until(lambda: bytes(world.peers["b"].heard) == b"soon")


async def test_connections_are_broken_for_both_sides_and_new_ones_are_not(world: World) -> None:
    reader, writer = await world.dial("a", "b")
    writer.write(b"1")
    await until(lambda: bytes(world.peers["b"].heard) == b"1")
    await world.mesh.reset("b", "a")
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    await until(lambda: world.peers["b"].ended == 1)
    _, again = await world.dial("a", "b")
    again.write(b"2")
    await until(lambda: bytes(world.peers["b"].heard) == b"12")


async def test_the_end_of_one_side_is_told_to_the_other_but_not_across_a_cut(world: World) -> None:
    _, writer = await world.dial("a", "b")
    writer.write(b"1")
    await until(lambda: bytes(world.peers["b"].heard) == b"1")
    world.mesh.direction("a", "b").cut()
    writer.transport.abort()
    _, other = await world.dial("a", "c")
    other.write(b"open")
    await until(lambda: bytes(world.peers["c"].heard) == b"open")
    assert world.peers["b"].ended == 0
    await world.mesh.clear()
    await until(lambda: world.peers["b"].ended == 1)


async def test_a_node_that_does_not_listen_refuses_through_the_proxy_too(world: World) -> None:
    await world.peers["b"].close()
    reader, _ = await world.dial("a", "b")
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read(1) == b""


async def test_a_sender_waits_when_the_receiver_does_not_read(world: World) -> None:
    world.peers["b"].is_listening.clear()
    _, writer = await world.dial("a", "b")
    written = 0

    async def write_all() -> None:
        nonlocal written
        while written < 256 << 20:
            writer.write(bytes(1 << 20))
            written += 1 << 20
            await writer.drain()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(write_all(), 1)
    assert written < 256 << 20


async def test_more_connections_than_a_link_takes_are_turned_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "_CONNECTIONS_MAX", 2)
    for _ in range(2):
        _, writer = await world.dial("a", "b")
        writer.write(b".")
    await until(lambda: len(world.peers["b"].heard) == 2)
    reader, _ = await world.dial("a", "b")
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read(1) == b""
    assert len(world.peers["b"].writers) == 2
