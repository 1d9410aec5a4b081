"""Connections that are made when they are wanted, and anew when they are lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from kvstore.http2 import frames
from kvstore.http2.calls import ClientLink
from kvstore.http2.dialer import Dialer
from kvstore.http2.serving import ServerLink
from tests.http2.support import (
    SETTINGS,
    Service,
    direct_server,
    holds,
    path,
    until,
    unused_port,
)


def dialer_to(
    address: str,
    *,
    connect_timeout_s: float = 20,
    backoff_s_min: float = 0.01,
    backoff_s_max: float = 0.02,
    idle_s: float = 20,
    answer_s: float = 20,
) -> Dialer:
    return Dialer(
        address,
        connect_timeout_s=connect_timeout_s,
        backoff_s_min=backoff_s_min,
        backoff_s_max=backoff_s_max,
        idle_s=idle_s,
        answer_s=answer_s,
    )


async def link_of(dialer: Dialer) -> ClientLink:
    assert await dialer.connected(20), dialer.problem
    assert dialer.link is not None
    return dialer.link


@asynccontextmanager
async def raw_server(said: bytes = b"") -> AsyncIterator[tuple[str, list[bytes]]]:
    """Says `said` and nothing more; the address, and what connections said until they ended."""
    heard: list[bytes] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


async def test_nothing_is_connected_before_it_is_wanted() -> None:
    links: list[ServerLink] = []
    async with direct_server(Service(), links) as address:
        dialer = dialer_to(address)
        assert not holds(dialer.link)
        assert not dialer.is_down
        await asyncio.sleep(0)
        assert not links
        dialer.start()
        await until(lambda: dialer.link)
        assert len(links) == 1
        assert await link_of(dialer) is dialer.link
        await dialer.close()
        await until(lambda: links[0].is_closed)


async def test_a_port_where_nobody_listens_is_refused_and_left_alone_for_a_while() -> None:
    dialer = dialer_to(f"127.0.0.1:{unused_port()}", backoff_s_min=30, backoff_s_max=30)
    assert not await dialer.connected(20)
    assert "cannot connect to 127.0.0.1:" in dialer.problem
    assert dialer.is_down
    assert not await dialer.connected(20), "too early: at once"
    await dialer.close()


async def test_pauses_between_attempts_grow_up_to_a_bound() -> None:
    loop = asyncio.get_running_loop()
    dialer = dialer_to(f"127.0.0.1:{unused_port()}", backoff_s_min=1, backoff_s_max=5)
    waits = []
    for _ in range(5):
        dialer._retry_s = 0.0
        before_s = loop.time()
        assert not await dialer.connected(20)
        waits.append(dialer._retry_s - before_s)
    for wait_s, least_s in zip(waits, (1, 2, 4, 5, 5), strict=True):
        assert least_s <= wait_s < least_s + 5
    await dialer.close()


@pytest.mark.parametrize(
    "address", ["127.0.0.1:99999", "127.0.0.1:port", "nowhere", "127.0.0.1:-1", "a..b:1"]
)
async def test_an_address_that_is_none_is_a_failed_attempt(address: str) -> None:
    dialer = dialer_to(address)
    assert not await dialer.connected(20)
    assert f"cannot connect to {address}" in dialer.problem
    await dialer.close()


async def test_a_peer_that_accepts_and_says_nothing_is_given_up() -> None:
    async with raw_server() as (address, heard):
        dialer = dialer_to(address, connect_timeout_s=0.05, backoff_s_min=30, backoff_s_max=30)
        assert not await dialer.connected(20)
        assert dialer.problem == f"cannot connect to {address}: no answer within 0.05 s"
        assert dialer.is_down
        await until(lambda: heard)
        assert heard[0].startswith(frames.PREFACE)
        await dialer.close()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a frame has 4740180 bytes"),
        (frames.window_update(0, 1), "a frame of type 8 comes"),
        (frames.goaway(0, frames.ErrorCode.NO_ERROR, "full"), "a frame of type 7 comes"),
    ],
)
async def test_a_peer_that_speaks_something_else_is_given_up(said: bytes, why: str) -> None:
    async with raw_server(said) as (address, _heard):
        dialer = dialer_to(address)
        assert not await dialer.connected(20)
        assert why in dialer.problem
        await dialer.close()


async def test_waiting_for_a_connection_has_a_deadline_of_its_own() -> None:
    async with raw_server() as (address, _heard):
        dialer = dialer_to(address)
        assert not await dialer.connected(0.01)
        assert not dialer.is_down, "the attempt goes on"
        await dialer.close()


async def test_closing_ends_an_attempt() -> None:
    async with raw_server() as (address, _heard):
        dialer = dialer_to(address)
        waiting = asyncio.create_task(dialer.connected(20))
        await asyncio.sleep(0)
        await dialer.close()
        assert not await waiting
        assert not await dialer.connected(20), "closed for good"
        dialer.start()
        assert dialer._connecting is None


async def test_closing_while_the_peer_is_awaited_closes_the_connection() -> None:
    async with raw_server() as (address, heard):
        dialer = dialer_to(address)
        assert not await dialer.connected(0.01)
        await dialer.close()
        await until(lambda: heard)


async def test_a_peer_that_falls_silent_is_noticed() -> None:
    async with raw_server(SETTINGS) as (address, _heard):
        dialer = dialer_to(address, idle_s=0.02, answer_s=0.02)
        link = await link_of(dialer)
        with pytest.raises(grpc.aio.AioRpcError, match="did not answer within"):
            await asyncio.wait_for(link.unary(path("Wait"), b"", None, bytes), 20)
        assert dialer.link is None
        await dialer.close()


async def test_a_peer_that_comes_back_is_connected_again() -> None:
    port = unused_port()
    dialer = dialer_to(f"127.0.0.1:{port}")
    for _ in range(3):
        async with direct_server(Service(), port=port):
            while not await dialer.connected(20):  # as soon as it is time
                await asyncio.sleep(0.005)
            link = await link_of(dialer)
            assert await link.unary(path("Echo"), b"again", 20, bytes) == b"again"
        await until(lambda: dialer.link is None)
        assert not await dialer.connected(20)
    await dialer.close()


async def test_numbers_that_are_used_up_make_another_connection_while_calls_finish() -> None:
    service, links = Service(), list[ServerLink]()
    async with direct_server(service, links) as address:
        dialer = dialer_to(address, idle_s=0.01)
        first = await link_of(dialer)
        first._next = frames.STREAM_MAX
        last = first.unary(path("Wait"), b"last", 60, bytes)
        assert dialer.link is None
        second = await link_of(dialer)
        assert second is not first
        assert await second.unary(path("Echo"), b"other", 60, bytes) == b"other"
        service.go.set()
        assert await last == b"last"
        await until(lambda: first.is_closed)  # with its last call
        await until(lambda: links[0].is_closed)
        assert not second.is_closed
        await dialer.close()


async def test_connections_that_were_replaced_are_not_kept() -> None:
    links: list[ServerLink] = []
    async with direct_server(Service(), links) as address:
        dialer = dialer_to(address)
        for _ in range(5):
            (await link_of(dialer))._next = frames.STREAM_MAX + 2
        await link_of(dialer)
        assert not dialer._retiring
        await until(lambda: sum(not link.is_closed for link in links) == 1)
        await dialer.close()


async def test_a_connection_to_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # TCP connects a socket to itself when the port that it was given happens to be the one that it
    # asks for; here it is bound to it.
    port = unused_port()
    loop = asyncio.get_running_loop()
    create: Any = loop.create_connection

    async def create_from_there(*arguments: Any) -> Any:
        return await create(*arguments, local_addr=("127.0.0.1", port))

    dialer = dialer_to(f"127.0.0.1:{port}", backoff_s_min=30, backoff_s_max=30)
    with monkeypatch.context() as context:
        context.setattr(loop, "create_connection", create_from_there)
        assert not await dialer.connected(20)
    assert dialer.problem == f"cannot connect to 127.0.0.1:{port}: nobody listens there"
    await dialer.close()
    await asyncio.sleep(0)
    with socket.socket() as free:  # without SO_REUSEADDR: nothing lingers there
        free.bind(("127.0.0.1", port))
