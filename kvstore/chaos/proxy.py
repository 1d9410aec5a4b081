"""The fault proxy: all that nodes say to each other goes through it, so that it can be held up.

It needs no rights. Each node is told to reach each other one by a port of its own (`--peer-via`),
so that the bytes from one node to another are known, whoever opened the connection, and each
direction between two nodes can be cut, delayed, throttled or broken by itself.

Bounded: a connection holds so much in each direction, and beyond that its sender has to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from itertools import permutations
from typing import Any, Final

from kvstore.chaos.direction import Direction
from kvstore.chaos.mesh import CLIENTS, LocalNetwork, Pair, both_ways
from kvstore.chaos.schedule import FaultKind
from kvstore.local import Place

HOST: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 16 << 10
_CHUNKS_MAX: Final = 64
"""Of a connection and direction: with the streams' own buffers some 1.2 MiB."""
_CONNECTIONS_MAX: Final = 64
"""Of a link; who opens more is turned away."""
_RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time: the connection ends by RST."""

AddressOf = Callable[[str], str]
"""Where a node listens, by its name."""


class _Connection:
    """One connection that was opened by the dialler of a link."""

    def __init__(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        forward: Direction,
        backward: Direction,
    ) -> None:
        self._near = near
        self._far: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._forward = forward
        self._backward = backward
        self._over = asyncio.Event()

    async def carry(self, address: str) -> None:
        """Connects to `address` and carries bytes both ways until one side has ended, and the other
        was told."""
        loop = asyncio.get_running_loop()
        host, _, port = address.rpartition(":")
        try:
            await self._until_over(self._forward.admit(0, loop.time()))
            if self._over.is_set():
                return
            try:
                self._far = await asyncio.open_connection(host, int(port), limit=_CHUNK_BYTES)
            except OSError:
                await self._until_over(self._backward.admit(0, loop.time()))
                return
            async with asyncio.TaskGroup() as group:
                pumps = [
                    *self._pumps(group, self._near[0], self._far[1], self._forward),
                    *self._pumps(group, self._far[0], self._near[1], self._backward),
                ]
                await self._over.wait()
                for pump in pumps:
                    pump.cancel()
        finally:
            await self._end()

    def reset(self) -> None:
        """Breaks the connection for both sides."""
        self._over.set()

    async def _until_over(self, wait: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(wait)
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((task, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            over.cancel()

    def _pumps(
        self,
        group: asyncio.TaskGroup,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
    ) -> tuple[asyncio.Task[None], asyncio.Task[None]]:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_MAX)
        return (
            group.create_task(_take(reader, queue)),
            group.create_task(self._give(queue, writer, direction)),
        )

    async def _give(
        self,
        queue: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
        direction: Direction,
    ) -> None:
        while True:
            read_at_s, chunk = await queue.get()
            await direction.admit(len(chunk), read_at_s)
            if not chunk:
                # The sender's end has arrived; what the receiver sends has nobody to go to.
                self._over.set()
                return
            if writer.transport.is_closing():
                return  # The receiver is gone; its end goes the other way, by its own direction.
            try:
                writer.write(chunk)
                await writer.drain()
            except OSError:
                return

    async def _end(self) -> None:
        for _, writer in filter(None, (self._near, self._far)):
            _break(writer)
        for _, writer in filter(None, (self._near, self._far)):
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _break(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by RST, whatever is on its way; one that has ended already stays so."""
    if not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _take(reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
    """Queues what comes, with its time; an end, of whatever kind, as no bytes."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            chunk = await reader.read(_CHUNK_BYTES)
        except OSError:
            chunk = b""
        await queue.put((loop.time(), chunk))
        if not chunk:
            return


class Link:
    """The way on which one node opens connections to another: a port, and what came in by it."""

    def __init__(self, address: Callable[[], str], forward: Direction, backward: Direction) -> None:
        """`address` is asked at each connection where the other one listens."""
        self._address = address
        self._forward = forward
        self._backward = backward
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self.port = 0
        """Where it listens, once it is open."""

    async def open(self) -> None:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self._accept, HOST, 0, limit=_CHUNK_BYTES)
        self.port = int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._connections)

    def reset(self) -> int:
        """Breaks all connections; how many there were."""
        for connection in self._connections:
            connection.reset()
        return len(self._connections)

    async def close(self) -> None:
        """Takes no more, and breaks those that there are."""
        if self._server is not None:
            self._server.close()
        self.reset()
        await asyncio.gather(*self._connections.values(), return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _CONNECTIONS_MAX:
            writer.transport.abort()
            return
        connection = _Connection((reader, writer), self._forward, self._backward)
        task = asyncio.get_running_loop().create_task(connection.carry(self._address()))
        self._connections[connection] = task
        task.add_done_callback(lambda _task: self._connections.pop(connection, None))


class ProxyMesh(LocalNetwork):
    """A link from each node to each other one, and from the clients to each node."""

    def __init__(self, nodes: Iterable[str], address_of: AddressOf) -> None:
        self._nodes = tuple(nodes)
        self._address_of = address_of
        self._directions: dict[tuple[str, str], Direction] = {}
        self._links: dict[tuple[str, str], Link] = {}

    def refusal(self, kind: FaultKind) -> str | None:
        """See LocalNetwork: it makes all."""
        return None

    @property
    def places(self) -> Mapping[str, Place]:
        """See LocalNetwork: nodes run as they would without it."""
        return {}

    async def open(self) -> None:
        """Listens everywhere; nothing is in the way of anything."""
        everyone = (*self._nodes, CLIENTS)
        self._directions = {pair: Direction() for pair in permutations(everyone, 2)}
        for dialler, to in permutations(everyone, 2):
            if to == CLIENTS:
                continue
            link = Link(
                partial(self._address_of, to),
                self._directions[dialler, to],
                self._directions[to, dialler],
            )
            await link.open()
            self._links[dialler, to] = link

    def ways(self, dialler: str) -> dict[str, str]:
        """Where `dialler` has to connect instead, by the names of the nodes it means."""
        return {
            to: f"{HOST}:{link.port}" for (who, to), link in self._links.items() if who == dialler
        }

    def direction(self, sender: str, receiver: str) -> Direction:
        """What is said by `sender` to `receiver`."""
        return self._directions[sender, receiver]

    async def cut(self, pairs: Sequence[Pair]) -> None:
        """See Mesh: what is said is held, and heard when the way is mended."""
        for pair in pairs:
            self._directions[pair].cut()

    async def slow(self, pairs: Sequence[Pair], *, delay_s: float, bytes_per_s: float) -> None:
        """See Mesh."""
        for pair in pairs:
            self._directions[pair].slow(delay_s=delay_s, bytes_per_s=bytes_per_s)

    async def reset(self, one: str, other: str) -> None:
        """See Mesh: all connections, at once."""
        for pair in both_ways(one, other):
            if pair in self._links:
                self._links[pair].reset()

    async def clear(self, pairs: Sequence[Pair] | None = None) -> None:
        """See Mesh."""
        for pair in self._directions if pairs is None else pairs:
            if not self._directions[pair].is_clear:
                self._directions[pair].clear()

    @property
    def is_clear(self) -> bool:
        """Whether everything goes through."""
        return all(direction.is_clear for direction in self._directions.values())

    async def close(self) -> None:
        """Ends all links."""
        await asyncio.gather(*(link.close() for link in self._links.values()))

    def end_now(self) -> None:
        """See LocalNetwork: it ends with the program."""
