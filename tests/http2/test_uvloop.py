"""What depends on the loop, on the one that nodes run on: it refuses what the other lets pass."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import warnings
from collections.abc import Coroutine
from typing import Any

import grpc
import pytest
import uvloop

from kvstore.http2 import frames
from kvstore.http2.calls import ClientLink
from kvstore.http2.dialer import Dialer
from kvstore.http2.frames import ErrorCode
from kvstore.http2.serving import MethodTable
from kvstore.rpc.front_door import FrontDoor
from tests.http2.support import SETTINGS, Service, path, until, unused_port


class Room:
    """A front door, and behind it one that stands in for gRPC's own server."""

    def __init__(self) -> None:
        self.service = Service()
        self.port = unused_port()
        self.inner = f"kvstore-test-{self.port}"
        self.door = FrontDoor(f"127.0.0.1:{self.port}", self.inner)
        self.heard: list[int] = []

    async def __aenter__(self) -> Room:
        await self.door.open(MethodTable([self.service.handler()]))
        self._stand_in = await asyncio.start_unix_server(self._meet, "\0" + self.inner)
        self.dialer = Dialer(
            f"127.0.0.1:{self.port}",
            connect_timeout_s=20,
            backoff_s_min=0.01,
            backoff_s_max=0.01,
            idle_s=20,
            answer_s=20,
        )
        return self

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        count = 0
        try:
            while data := await reader.read(1 << 16):
                count += len(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        self.heard.append(count)
        writer.close()

    async def __aexit__(self, *_exception: object) -> None:
        await self.dialer.close()
        await self.door.close(None)
        self.door.close_passages()
        await until(lambda: not self.door._visitors and not self.door._links)
        self._stand_in.close()

    async def link(self) -> ClientLink:
        assert await self.dialer.connected(20), self.dialer.problem
        assert self.dialer.link is not None
        return self.dialer.link

    async def visit(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


async def calls_go_both_ways() -> None:
    async with Room() as room:
        link = await room.link()
        for size in (0, 1, 1 << 20, 20 << 20):
            assert len(await link.unary(path("Echo"), bytes(size), 60, bytes)) == size
        sizes = [b"%d" % (number * 10_000) for number in range(50)]
        answers = await asyncio.gather(*[link.unary(path("Size"), n, 60, bytes) for n in sizes])
        assert [len(each) for each in answers] == list(map(int, sizes))


async def callers_leave_at_any_moment() -> None:
    futures = []
    async with Room() as room:
        for number in range(30):
            _reader, writer = await room.visit()
            writer.write(frames.PREFACE[: number * 2] if number % 2 else frames.PREFACE + SETTINGS)
            if number % 3:
                await writer.drain()
            writer.transport.abort()
            link = await room.link()
            futures.append(link.unary(path("Wait"), bytes(100_000), None, bytes))
            if number % 4 < 2:
                await asyncio.sleep(0)
            link.transport.abort()
            await until(lambda link=link: link.is_closed)  # type: ignore[misc]
        await until(lambda: room.service.running == 0)
        await until(lambda: not room.door._visitors and not room.door._tasks)
    ends = await asyncio.gather(*futures, return_exceptions=True)
    assert {type(end) for end in ends} == {grpc.aio.AioRpcError}


async def what_is_passed_on_comes_back() -> None:
    async with Room() as room:
        reader, writer = await room.visit()
        said = frames.PREFACE + SETTINGS + bytes(range(256)) * (8 << 12)
        writer.write(said)
        async with asyncio.timeout(60):
            assert await reader.readexactly(len(said)) == said
        writer.close()
        await until(lambda: room.heard == [len(said)])


async def what_the_inner_server_says_first_is_not_lost() -> None:
    visits = 200

    def accept(listening: socket.socket) -> None:
        for _ in range(visits):
            connection, _ = listening.accept()
            connection.sendall(SETTINGS)
            accepted.append(connection)

    accepted: list[socket.socket] = []
    async with Room() as room:
        with socket.socket(socket.AF_UNIX) as listening:
            room.door._inner = f"{room.inner}-first"
            listening.bind("\0" + room.door._inner)
            listening.listen()
            thread = threading.Thread(target=accept, args=(listening,), daemon=True)
            thread.start()
            for _ in range(visits):
                reader, writer = await room.visit()
                writer.write(frames.PREFACE + SETTINGS)
                async with asyncio.timeout(30):
                    assert await reader.readexactly(len(SETTINGS)) == SETTINGS
                writer.close()
            thread.join()
        for connection in accepted:
            connection.close()


async def who_breaks_a_rule_is_left_while_answers_are_under_way() -> None:
    async with Room() as room:
        link = await room.link()
        methods = ("Size", "Size", "Wait", "Wait")
        futures = [link.unary(path(each), b"9000000", 60, bytes) for each in methods]
        await until(lambda: room.service.running == 2)
        link.transport.write(frames.reset_stream(0, ErrorCode.CANCEL))
        assert [len(await each) for each in futures[:2]] == [9_000_000] * 2
        for future in futures[2:]:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await future
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def the_door_closes_while_visitors_do_all_they_do() -> None:
    room = Room()
    async with room:
        link = await room.link()
        future = link.unary(path("Wait"), b"", None, bytes)
        await until(lambda: room.service.running == 1)
        writers = []
        for number in range(9):
            _reader, writer = await room.visit()
            writer.write((frames.PREFACE + SETTINGS + bytes(10_000))[: number * 10])
            writers.append(writer)
    assert future.cancelled()
    for writer in writers:
        writer.close()


SCENES = (
    calls_go_both_ways,
    callers_leave_at_any_moment,
    what_is_passed_on_comes_back,
    what_the_inner_server_says_first_is_not_lost,
    who_breaks_a_rule_is_left_while_answers_are_under_way,
    the_door_closes_while_visitors_do_all_they_do,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: str(scene.__name__))
def test_on_the_loop_of_nodes(scene: Any) -> None:
    told: list[dict[str, Any]] = []

    async def watched(work: Coroutine[Any, Any, None]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: told.append(context))
        await work

    with warnings.catch_warnings(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        warnings.simplefilter("ignore", ResourceWarning)  # of connections that were aborted
        runner.run(watched(scene()))
        runner.close()
        gc.collect()
    # The streams of these tests leave it that they were reset.
    assert [each for each in told if not isinstance(each.get("exception"), OSError)] == []
