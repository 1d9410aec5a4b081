"""Calls and rounds between simulated processes end as gRPC's do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc.aio import AioRpcError

from kvstore.generated.kvstore.v1 import kv_pb2
from kvstore.simulation.channel import SimulatedChannel
from kvstore.simulation.kernel import NS_PER_S, Kernel
from kvstore.simulation.network import STREAM_PATIENCE_S, Conditions, Network
from kvstore.simulation.process_loop import ProcessLoop
from kvstore.simulation.rpc import SimulatedServer
from kvstore.simulation.trace import Trace

Handler = Callable[[kv_pb2.GetRequest, Any], Awaitable[kv_pb2.GetResponse]]
METHOD = "/test.Service/Get"


class World:
    """A client process and a server process with one method."""

    def __init__(self, handler: Handler) -> None:
        self.kernel = Kernel(1, Trace())
        self.network = Network(self.kernel, Conditions())
        self.server_is_on = True
        self.client = self._process("client")
        self.handler = handler
        self.server: SimulatedServer | None = None
        self.start_server()
        self.channel = SimulatedChannel(
            "server:1",
            loop=self.client,
            network=self.network,
            directory=self,
            machine="client",
            random=self.kernel.random("channel"),
        )
        self.outcome: kv_pb2.GetResponse | AioRpcError | None = None

    def _process(self, name: str) -> ProcessLoop:
        loop = ProcessLoop(self.kernel, name)  # type: ignore[abstract]
        self.kernel.processes.append(loop)
        return loop

    def start_server(self) -> None:
        self.server_loop = self._process("server")
        self.server = SimulatedServer(self.server_loop, "server")
        method = grpc.unary_unary_rpc_method_handler(
            self.handler,
            kv_pb2.GetRequest.FromString,
            kv_pb2.GetResponse.SerializeToString,
        )
        services = grpc.method_handlers_generic_handler("test.Service", {"Get": method})
        self.server_loop.spawn(self.server.start([services]))
        self.kernel.run_until(self.kernel.now_ns)

    # Directory

    def machine_at(self, address: str) -> str:
        return address.partition(":")[0]

    def is_on(self, machine: str) -> bool:
        return self.server_is_on

    def server_on(self, machine: str) -> SimulatedServer | None:
        return self.server

    # What tests do

    def call(self, timeout_s: float = 1.0) -> asyncio.Task[None]:
        get = self.channel.method(METHOD, kv_pb2.GetResponse.FromString)

        async def ask() -> None:
            try:
                self.outcome = await get(kv_pb2.GetRequest(key=b"k"), timeout=timeout_s)
            except AioRpcError as problem:
                self.outcome = problem

        return self.client.spawn(ask())

    def run_for(self, seconds: float) -> None:
        self.kernel.run_until(self.kernel.now_ns + int(seconds * NS_PER_S))

    @property
    def code(self) -> grpc.StatusCode:
        assert isinstance(self.outcome, AioRpcError)
        return self.outcome.code()


async def answer(request: kv_pb2.GetRequest, _context: Any) -> kv_pb2.GetResponse:
    return kv_pb2.GetResponse(record=kv_pb2.Record(key=request.key))


class Held:
    """A handler that does not end, and knows if it was cancelled."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0

    async def __call__(self, _request: kv_pb2.GetRequest, _context: Any) -> kv_pb2.GetResponse:
        self.begun += 1
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return kv_pb2.GetResponse()


def test_a_call_is_answered() -> None:
    world = World(answer)
    world.call()
    world.run_for(1.0)
    assert isinstance(world.outcome, kv_pb2.GetResponse)
    assert world.outcome.record.key == b"k"
    assert world.channel.is_ready()


def test_a_handler_ends_its_call_with_a_status_and_says_how_definite_it_is() -> None:
    async def refuse(_request: kv_pb2.GetRequest, context: Any) -> kv_pb2.GetResponse:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "not here", (("outcome", "definite"),))
        raise AssertionError

    world = World(refuse)
    world.call()
    world.run_for(1.0)
    assert world.code is grpc.StatusCode.UNAVAILABLE
    assert isinstance(world.outcome, AioRpcError)
    assert world.outcome.details() == "not here"
    trailing: Any = world.outcome.trailing_metadata()
    assert list(trailing) == [("outcome", "definite")]


def test_a_deadline_ends_the_call_on_both_sides() -> None:
    held = Held()
    world = World(held)
    world.call(timeout_s=0.5)
    world.run_for(1.0)
    assert world.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (held.begun, held.cancelled) == (1, 1)


def test_a_caller_that_gives_up_has_its_handler_cancelled() -> None:
    held = Held()
    world = World(held)
    task = world.call(timeout_s=100.0)
    world.run_for(0.5)
    task.cancel()
    world.run_for(0.5)
    assert (held.begun, held.cancelled) == (1, 1)


def test_a_handler_hears_too_late_of_a_caller_that_gave_up_behind_a_cut() -> None:
    held = Held()
    world = World(held)
    task = world.call(timeout_s=100.0)
    world.run_for(0.5)
    world.network.cut("client", "server")
    task.cancel()
    world.run_for(1.0)
    assert held.cancelled == 0
    world.network.heal("client", "server")
    world.run_for(2.0)
    assert held.cancelled == 1


def test_a_request_may_arrive_after_its_caller_gave_up() -> None:
    held = Held()
    world = World(held)
    world.call()
    world.run_for(2.0)
    world.network.cut("client", "server")
    world.call(timeout_s=0.5)
    world.run_for(1.0)
    assert world.code is grpc.StatusCode.DEADLINE_EXCEEDED
    world.network.heal("client", "server")
    world.run_for(2.0)
    assert held.begun == 2


def test_a_killed_server_breaks_the_connection_at_once_and_a_new_one_is_found() -> None:
    world = World(Held())
    world.call(timeout_s=10.0)
    world.run_for(0.5)
    assert world.server is not None
    ended, world.server = world.server, None
    world.server_loop.kill()
    ended.end_connections()
    world.run_for(0.1)
    assert world.code is grpc.StatusCode.UNAVAILABLE
    world.call(timeout_s=0.2)
    world.run_for(0.2)
    assert world.channel.is_down(), "refused"
    world.handler = answer
    world.start_server()
    world.run_for(2.0)
    world.call()
    world.run_for(0.5)
    assert isinstance(world.outcome, kv_pb2.GetResponse)


def test_a_machine_without_power_says_nothing_and_its_connection_breaks_in_time() -> None:
    world = World(answer)
    world.call()
    world.run_for(0.5)
    world.server_loop.kill()
    world.server, world.server_is_on = None, False
    world.call(timeout_s=2 * STREAM_PATIENCE_S)
    world.run_for(STREAM_PATIENCE_S - 0.5)
    assert isinstance(world.outcome, kv_pb2.GetResponse), "still the first one"
    world.run_for(1.0)
    assert world.code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("way", [("client", "server"), ("server", "client")])
def test_connecting_over_a_cut_takes_its_time_and_fails(way: tuple[str, str]) -> None:
    world = World(answer)
    world.network.cut(*way)
    world.call(timeout_s=3.0)
    world.run_for(0.9)
    assert world.outcome is None
    world.run_for(0.15)
    assert world.code is grpc.StatusCode.UNAVAILABLE
    assert world.channel.is_down()
    world.network.heal(*way)
    world.run_for(3.0)
    assert world.channel.is_ready(), "it tries again by itself"


def test_a_paused_server_answers_later() -> None:
    world = World(answer)
    world.call()
    world.run_for(0.5)
    world.server_loop.pause()
    world.outcome = None
    world.call(timeout_s=5.0)
    world.run_for(2.0)
    assert world.outcome is None
    world.server_loop.resume()
    world.run_for(0.5)
    assert isinstance(world.outcome, kv_pb2.GetResponse)


def test_closing_a_channel_cancels_what_is_under_way_on_it() -> None:
    held = Held()
    world = World(held)
    task = world.call(timeout_s=100.0)
    world.run_for(0.5)
    world.client.spawn(world.channel.close())
    world.run_for(0.5)
    assert task.cancelled()
    assert held.cancelled == 1
