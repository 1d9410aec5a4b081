"""The server's end against gRPC's own clients, and against ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest

from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.http2 import serving
from kvstore.http2.serving import ServerLink
from tests.http2.support import OPTIONS, Service, direct_server, path, until

SIZES = (0, 1, 16 << 10, 1 << 20, 20 << 20)
Channel = Any
"""The stubs ask for serializers, without which messages are bytes."""


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.fixture
async def links() -> list[ServerLink]:
    return []


@pytest.fixture
async def channel(service: Service, links: list[ServerLink]) -> AsyncIterator[Channel]:
    async with (
        direct_server(service, links) as address,
        grpc.aio.insecure_channel(address, options=OPTIONS) as opened,
    ):
        yield opened


def unary(channel: Channel, method: str, request: bytes, timeout: float = 60) -> Any:
    return channel.unary_unary(path(method))(request, timeout=timeout)


async def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(caught.value.details())


@pytest.mark.parametrize("size", SIZES)
async def test_messages_of_any_size_go_both_ways(channel: Channel, size: int) -> None:
    request = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert await unary(channel, "Echo", request) == request


async def test_responses_go_out_no_faster_than_the_windows_of_a_client_allow(
    service: Service,
) -> None:
    small = [*OPTIONS, ("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
    async with (
        direct_server(service) as address,
        grpc.aio.insecure_channel(address, options=small) as channel,
    ):
        answers = await asyncio.gather(*[unary(channel, "Size", b"400000") for _ in range(8)])
    assert [len(each) for each in answers] == [400_000] * 8


async def test_a_hundred_calls_at_once(channel: Channel) -> None:
    requests = [b"%d" % number for number in range(100)]
    assert await asyncio.gather(*[unary(channel, "Echo", each) for each in requests]) == requests


async def test_an_abort_comes_with_its_sentence_and_metadata(channel: Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(channel, "Fail", "größer als 100% ≤".encode())
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "größer als 100% ≤"
    metadata: Any = caught.value.trailing_metadata()
    assert metadata["reason"] == "tested"


async def test_a_handler_that_breaks_is_unknown(channel: Channel) -> None:
    code, details = await status_of(unary(channel, "Break", b"x"))
    assert (code, details) == (grpc.StatusCode.UNKNOWN, "Unexpected <class 'KeyError'>: 'x'")


@pytest.mark.parametrize(
    ("method", "sentence"),
    [("Nothing", "there is no method /test.Service/Nothing here"), ("Many", "with a stream")],
)
async def test_what_is_not_served_is_unimplemented(
    channel: Channel, method: str, sentence: str
) -> None:
    code, details = await status_of(unary(channel, method, b"x" * 100_000))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert sentence in details


async def test_a_handler_knows_the_deadline(channel: Channel, service: Service) -> None:
    await unary(channel, "Echo", b"", timeout=50)
    assert service.left_s is not None
    assert 30 < service.left_s < 51  # what is said of it is rounded up
    await channel.unary_unary(path("Echo"))(b"")
    assert service.left_s is None


async def test_a_deadline_that_passes_ends_the_handler(channel: Channel, service: Service) -> None:
    await channel.channel_ready()
    code, _ = await status_of(unary(channel, "Wait", b"", timeout=0.5))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: service.running == 0)


async def test_a_call_that_is_cancelled_cancels_its_handler(
    channel: Channel, service: Service, links: list[ServerLink]
) -> None:
    call = unary(channel, "Wait", b"")
    await until(lambda: service.running == 1)
    call.cancel()
    await until(lambda: service.cancelled == 1)
    assert not links[0].streams
    await until(lambda: not links[0].tasks)


async def test_a_client_that_goes_cancels_its_handlers(service: Service) -> None:
    async with direct_server(service) as address:
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            calls = [unary(channel, "Wait", b"") for _ in range(3)]
            await until(lambda: service.running == 3)
        await until(lambda: service.cancelled == 3)
        del calls


async def test_a_handler_reads_a_stream_to_its_end(channel: Channel) -> None:
    async def messages() -> AsyncIterator[bytes]:
        for number in range(300):
            yield bytes(number * 11)

    assert await channel.stream_unary(path("Count"))(messages(), timeout=60) == b"300 %d" % (
        sum(range(300)) * 11
    )


async def test_a_stream_without_messages_is_read_to_its_end(channel: Channel) -> None:
    async def messages() -> AsyncIterator[bytes]:
        for _ in range(0):
            yield b""

    assert await channel.stream_unary(path("Count"))(messages(), timeout=60) == b"0 0"


async def test_an_abort_in_the_middle_of_a_stream_ends_it_and_nothing_else(
    channel: Channel,
) -> None:
    other = unary(channel, "Wait", b"")
    call: Any = channel.stream_unary(path("Leave"))(timeout=60)
    await call.write(b"this")
    assert await status_of(call) == (grpc.StatusCode.DATA_LOSS, "enough of this")
    assert await unary(channel, "Echo", b"after") == b"after"
    assert not other.done()
    other.cancel()


async def test_a_handler_that_does_not_read_holds_its_sender_up(
    channel: Channel,
    service: Service,
    links: list[ServerLink],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "_INBOX_BYTES_MAX", 200_000)
    call: Any = channel.stream_unary(path("Slow"))(timeout=60)
    written = 0

    async def write() -> None:
        nonlocal written
        for _ in range(64):
            await call.write(bytes(1 << 20))
            written += 1
        await call.done_writing()

    writing = asyncio.create_task(write())
    await until(lambda: links and not links[0].transport.is_reading())
    held = next(iter(links[0].streams.values()))
    assert isinstance(held, serving.ServedCall)
    assert held._inbox_bytes < 10 << 20
    assert written < 64
    service.go.set()
    await writing
    assert await call == b""
    assert [len(each) for each in service.read] == [1 << 20] * 64


async def test_a_message_over_the_limit_is_refused_and_the_connection_goes_on(
    service: Service, links: list[ServerLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    unlimited = [*OPTIONS[2:], ("grpc.max_send_message_length", -1)]
    async with (
        direct_server(service, links) as address,
        grpc.aio.insecure_channel(address, options=unlimited) as channel,
    ):
        code, details = await status_of(unary(channel, "Echo", bytes(MESSAGE_BYTES_MAX + 1)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"the limit is {MESSAGE_BYTES_MAX}" in details
        assert await unary(channel, "Echo", b"after") == b"after"
        assert links[0].waiting_bytes == 0
    assert len(links) == 1


async def test_a_request_that_cannot_be_decoded_is_refused() -> None:
    def refuse(_data: bytes) -> bytes:
        raise RuntimeError("nonsense")

    class Picky(Service):
        def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
            one = grpc.unary_unary_rpc_method_handler(self.echo, refuse, bytes)
            return grpc.method_handlers_generic_handler("test.Service", {"Echo": one})

    async with (
        direct_server(Picky()) as address,
        grpc.aio.insecure_channel(address, options=OPTIONS) as channel,
    ):
        code, details = await status_of(unary(channel, "Echo", b""))
    assert (code, details) == (grpc.StatusCode.INTERNAL, "unreadable: nonsense")


async def test_stopping_lets_calls_finish_within_the_grace(
    channel: Channel, service: Service, links: list[ServerLink]
) -> None:
    call = asyncio.ensure_future(unary(channel, "Wait", b"answer"))
    await until(lambda: service.running == 1)
    stopping = asyncio.create_task(links[0].stop(60))
    await asyncio.sleep(0)
    assert not stopping.done()
    service.go.set()
    assert await call == b"answer"
    await asyncio.wait_for(stopping, 30)
    assert links[0].is_closed


@pytest.mark.parametrize("grace_s", [None, 0.05])
async def test_stopping_ends_calls_after_the_grace(
    channel: Channel, service: Service, links: list[ServerLink], grace_s: float | None
) -> None:
    call = asyncio.ensure_future(unary(channel, "Wait", b"answer"))
    await until(lambda: service.running == 1)
    await links[0].stop(grace_s)
    code, _ = await status_of(call)
    assert code in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
    assert service.cancelled == 1


async def test_a_client_with_threads_is_served_too(service: Service) -> None:
    def talk(address: str) -> tuple[bytes, bytes, grpc.StatusCode]:
        def messages() -> Iterator[bytes]:
            yield from (b"a", b"bc", bytes(100_000))

        channel: Any
        with grpc.insecure_channel(address, options=OPTIONS) as channel:
            large = channel.unary_unary(path("Echo"))(bytes(3 << 20), timeout=60)
            counted = channel.stream_unary(path("Count"))(messages(), timeout=60)
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path("Fail"))(b"no", timeout=60)
            return large, counted, caught.value.code()

    async with direct_server(service) as address:
        large, counted, code = await asyncio.to_thread(talk, address)
    assert large == bytes(3 << 20)
    assert counted == b"3 100003"
    assert code is grpc.StatusCode.FAILED_PRECONDITION
