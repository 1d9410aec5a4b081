"""The caller's end against gRPC's own server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from kvstore.http2.calls import ClientLink
from kvstore.http2.dialer import Dialer
from tests.http2.support import Service, genuine_server, holds, path, until

SIZES = (0, 1, 16 << 10, 1 << 20, 20 << 20)


def dialer_to(address: str) -> Dialer:
    return Dialer(
        address,
        connect_timeout_s=20,
        backoff_s_min=0.01,
        backoff_s_max=0.05,
        idle_s=20,
        answer_s=20,
    )


async def link_of(dialer: Dialer) -> ClientLink:
    assert await dialer.connected(20), dialer.problem
    assert dialer.link is not None
    return dialer.link


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.fixture
async def link(service: Service) -> AsyncIterator[ClientLink]:
    async with genuine_server(service) as (address, _server):
        dialer = dialer_to(address)
        yield await link_of(dialer)
        await dialer.close()


@pytest.mark.parametrize("size", SIZES)
async def test_messages_of_any_size_go_both_ways(link: ClientLink, size: int) -> None:
    request = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert await link.unary(path("Echo"), request, 60, bytes) == request
    assert not link.is_full


async def test_a_server_whose_windows_are_small_is_sent_no_more_than_it_takes(
    service: Service,
) -> None:
    small = (("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0))
    async with genuine_server(service, *small) as (address, _server):
        dialer = dialer_to(address)
        link = await link_of(dialer)
        requests = [bytes([number]) * 500_000 for number in range(8)]
        answers = [link.unary(path("Echo"), each, 60, bytes) for each in requests]
        assert holds(link.is_full)
        assert await asyncio.gather(*answers) == requests
        assert not link.is_full
        await dialer.close()


async def test_a_hundred_calls_at_once(link: ClientLink) -> None:
    requests = [b"%d" % number for number in range(100)]
    futures = [link.unary(path("Echo"), each, 60, bytes) for each in requests]
    assert await asyncio.gather(*futures) == requests
    assert not link.streams


async def test_an_error_comes_with_its_sentence_and_metadata(link: ClientLink) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await link.unary(path("Fail"), "größer als 100% ≤".encode(), 60, bytes)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "größer als 100% ≤"
    metadata: Any = caught.value.trailing_metadata()
    assert list(metadata) == [("reason", "tested")]


async def test_a_handler_that_breaks_is_unknown(link: ClientLink) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="KeyError") as caught:
        await link.unary(path("Break"), b"x", 60, bytes)
    assert caught.value.code() is grpc.StatusCode.UNKNOWN


async def test_a_method_that_is_not_there_is_unimplemented(link: ClientLink) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await link.unary("/no.Such/Method", b"", 60, bytes)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_server_knows_the_deadline(link: ClientLink, service: Service) -> None:
    await link.unary(path("Echo"), b"", 55.5, bytes)
    assert service.left_s is not None
    assert 30 < service.left_s <= 55.6
    await link.unary(path("Echo"), b"", None, bytes)
    assert service.left_s is None


async def test_a_deadline_ends_the_call_at_both_ends(link: ClientLink, service: Service) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await link.unary(path("Wait"), b"", 0.3, bytes)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: service.running == 0)
    assert await link.unary(path("Echo"), b"after", 60, bytes) == b"after"


async def test_the_server_sees_that_a_call_is_cancelled(link: ClientLink, service: Service) -> None:
    future = link.unary(path("Wait"), b"", 60, bytes)
    await until(lambda: service.running == 1)
    future.cancel()
    await until(lambda: service.cancelled == 1)
    assert not link.streams


async def test_many_messages_go_to_the_server_on_one_stream(link: ClientLink) -> None:
    ended: asyncio.Future[tuple[grpc.StatusCode, str]] = link.loop.create_future()
    stream = link.open_stream(path("Count"), lambda *end: ended.set_result(end))
    for number in range(200):
        stream.write(bytes(number * 37))
    link.send_message(stream, b"last", is_last=True)
    assert await asyncio.wait_for(ended, 60) == (grpc.StatusCode.OK, "")


async def test_a_stream_that_the_server_ends_says_why(link: ClientLink) -> None:
    ended: asyncio.Future[tuple[grpc.StatusCode, str]] = link.loop.create_future()
    stream = link.open_stream(path("Leave"), lambda *end: ended.set_result(end))
    for _ in range(50):
        stream.write(b"this")
    assert await asyncio.wait_for(ended, 60) == (grpc.StatusCode.DATA_LOSS, "enough of this")
    stream.write(b"nobody reads it")
    assert not link.streams
    assert await link.unary(path("Echo"), b"after", 60, bytes) == b"after"


async def test_a_server_that_stops_lets_calls_finish_and_takes_no_more(service: Service) -> None:
    async with genuine_server(service) as (address, server):
        dialer = dialer_to(address)
        link = await link_of(dialer)
        future = link.unary(path("Wait"), b"answer", 60, bytes)
        await until(lambda: service.running == 1)
        stopping = asyncio.create_task(server.stop(30))
        await until(lambda: not link.is_open)
        assert dialer.link is None
        service.go.set()
        assert await asyncio.wait_for(future, 60) == b"answer"
        await stopping
        await until(lambda: link.is_closed)
        await dialer.close()


async def test_no_more_calls_are_open_than_the_server_takes(service: Service) -> None:
    async with genuine_server(service, ("grpc.max_concurrent_streams", 2)) as (address, _server):
        dialer = dialer_to(address)
        first = await link_of(dialer)
        assert first.peer_streams_max == 2
        futures = [first.unary(path("Wait"), b"", 60, bytes) for _ in range(2)]
        assert dialer.link is None
        second = await link_of(dialer)
        assert second is not first
        assert await second.unary(path("Echo"), b"", 60, bytes) == b""
        service.go.set()
        await asyncio.gather(*futures)
        await dialer.close()


async def test_closing_cancels_what_is_under_way(service: Service) -> None:
    async with genuine_server(service) as (address, _server):
        dialer = dialer_to(address)
        future = (await link_of(dialer)).unary(path("Wait"), b"", 60, bytes)
        await until(lambda: service.running == 1)
        await dialer.close()
        assert future.cancelled()
        await until(lambda: service.cancelled == 1)
