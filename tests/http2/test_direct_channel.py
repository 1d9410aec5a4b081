"""The client's channel, against nodes' servers and gRPC's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from kvstore.client.channel import ConnectionClosed, call
from kvstore.client.direct_channel import DirectChannel
from kvstore.generated.kvstore.v1 import admin_pb2
from kvstore.rpc.server import NodeServer
from tests.http2.support import OPTIONS, until, unused_port

REQUEST = admin_pb2.StatusRequest()


class Admin:
    """Answers GetMap and Status, the latter when it may."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.running = 0
        self.cancelled = 0

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        unary = grpc.unary_unary_rpc_method_handler
        methods: Any = {
            "GetMap": unary(
                self.get_map,
                admin_pb2.GetMapRequest.FromString,
                admin_pb2.GetMapResponse.SerializeToString,
            ),
            "Status": unary(
                self.status,
                admin_pb2.StatusRequest.FromString,
                admin_pb2.StatusResponse.SerializeToString,
            ),
        }
        return grpc.method_handlers_generic_handler("kvstore.v1.Admin", methods)

    async def get_map(self, _request: Any, _context: Any) -> admin_pb2.GetMapResponse:
        return admin_pb2.GetMapResponse()

    async def status(self, _request: Any, _context: Any) -> admin_pb2.StatusResponse:
        self.running += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return admin_pb2.StatusResponse()


@pytest.fixture
async def admin() -> Admin:
    return Admin()


@pytest.fixture(params=["a node", "gRPC's own server"])
async def address(admin: Admin, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    port = unused_port()
    server: Any
    if request.param == "a node":
        server = NodeServer(f"127.0.0.1:{port}")
        await server.start([admin.handler()])
    else:
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((admin.handler(),))
        server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def channel(address: str) -> AsyncIterator[DirectChannel]:
    channel = DirectChannel(address)
    yield channel
    await channel.close()


async def test_a_call_connects_by_itself(channel: DirectChannel) -> None:
    answer = await call(channel.get_map, admin_pb2.GetMapRequest(), 20)
    assert isinstance(answer, admin_pb2.GetMapResponse)
    assert channel.is_ready()
    assert not channel.is_down()


async def test_to_ask_whether_it_is_ready_connects(channel: DirectChannel) -> None:
    assert not channel.is_ready()
    assert await channel.connected(20)
    assert channel.is_ready()


async def test_a_deadline_passes(channel: DirectChannel, admin: Admin) -> None:
    assert await channel.connected(20)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel.status, REQUEST, 0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: admin.running == admin.cancelled)


async def test_a_caller_that_is_cancelled_cancels_its_call(
    channel: DirectChannel, admin: Admin
) -> None:
    asking = asyncio.create_task(call(channel.status, REQUEST, 60))
    await until(lambda: admin.running == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: admin.cancelled == 1)


async def test_a_channel_that_is_closed_says_so_to_those_who_wait(
    channel: DirectChannel, admin: Admin
) -> None:
    asking = asyncio.create_task(call(channel.status, REQUEST, 60))
    await until(lambda: admin.running == 1)
    await channel.close()
    with pytest.raises(ConnectionClosed):
        await asking
    with pytest.raises(grpc.aio.AioRpcError, match="the connection is closed"):
        await call(channel.status, REQUEST, 60)


async def test_a_method_that_the_node_does_not_know_is_unimplemented(
    channel: DirectChannel,
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel.scrub, admin_pb2.ScrubRequest(), 20)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_nobody_there_is_unavailable_with_the_reason_and_the_channel_down() -> None:
    address = f"127.0.0.1:{unused_port()}"
    channel = DirectChannel(address)
    with pytest.raises(grpc.aio.AioRpcError, match=f"cannot connect to {address}") as caught:
        await call(channel.status, REQUEST, 20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await channel.close()
