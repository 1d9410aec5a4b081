"""The caller's end as a machine: how calls end."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from kvstore.http2 import frames
from kvstore.http2.frames import ErrorCode, FrameType, Setting
from kvstore.http2.headers import OK_TRAILERS, RESPONSE_BLOCK, decode, encode
from tests.http2.support import (
    answer,
    calling,
    data_frame,
    holds,
    of_kind,
    path,
    small_window,
    with_prefix,
)


async def test_an_answer_is_read() -> None:
    client, _pipe = calling()
    future = client.unary(path("Echo"), b"", None, bytes)
    client.data_received(answer(1, b"answer"))
    assert await future == b"answer"
    assert not client.streams


async def test_calls_above_what_a_goaway_names_fail_and_the_others_go_on() -> None:
    client, _pipe = calling()
    first, second = (client.unary(path("Echo"), b"", None, bytes) for _ in range(2))
    client.data_received(frames.goaway(1, ErrorCode.NO_ERROR, "stopping"))
    assert not client.is_open
    with pytest.raises(grpc.aio.AioRpcError, match="the peer ends the connection: stopping"):
        await second
    client.data_received(answer(1, b"still"))
    assert await first == b"still"


async def test_a_first_goaway_that_names_all_streams_fails_none() -> None:
    client, _pipe = calling()
    future = client.unary(path("Echo"), b"", None, bytes)
    client.data_received(frames.goaway(frames.STREAM_MAX, ErrorCode.NO_ERROR))
    assert not client.is_open
    assert not future.done()
    client.data_received(answer(1, b"yes"))
    assert await future == b"yes"


async def test_a_caller_that_has_used_up_its_numbers_opens_no_more() -> None:
    client, pipe = calling()
    client._next = frames.STREAM_MAX
    assert holds(client.is_open)
    future = client.unary(path("Echo"), b"", None, bytes)
    assert pipe.taken()[0][2] == frames.STREAM_MAX
    assert not client.is_open
    with pytest.raises(grpc.aio.AioRpcError, match="the connection is closed"):
        await client.unary(path("Echo"), b"", None, bytes)
    client.data_received(answer(frames.STREAM_MAX, b"last"))
    assert await future == b"last"


async def test_a_caller_opens_no_more_calls_than_the_peer_takes() -> None:
    client, _pipe = calling()
    client.data_received(frames.settings([(Setting.MAX_CONCURRENT_STREAMS, 1)]))
    future = client.unary(path("Echo"), b"", None, bytes)
    assert not client.is_open
    client.data_received(answer(1, b""))
    await future
    assert client.is_open


async def test_a_deadline_is_said_and_kept() -> None:
    client, pipe = calling()
    future = client.unary(path("Wait"), b"", 0.01, bytes)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(future, 20)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    head, _data, reset = pipe.taken()
    assert b"grpc-timeout\x0310m" in head[3]
    assert (reset[0], reset[2]) == (FrameType.RST_STREAM, 1)
    assert frames.read_uint32(reset[3]) == ErrorCode.CANCEL


async def test_deadlines_are_said_in_few_words_that_are_nearly_right() -> None:
    client, pipe = calling()
    said: dict[str, int] = {}
    for timeout_ms in range(1, 60_000, 7):
        client.unary(path("Wait"), b"", timeout_ms / 1000, bytes).cancel()
        header = decode(of_kind(pipe.taken(), FrameType.HEADERS)[0][3])["grpc-timeout"]
        said[header] = timeout_ms
        assert timeout_ms * 0.984 <= int(header[:-1]) <= timeout_ms
        assert header.endswith("m")
        await asyncio.sleep(0)
    assert len(said) < 700


async def test_a_cancelled_call_is_reset() -> None:
    client, pipe = calling()
    future = client.unary(path("Wait"), b"", None, bytes)
    pipe.taken()
    future.cancel()
    await asyncio.sleep(0)
    assert pipe.kinds() == [FrameType.RST_STREAM]
    assert not client.streams


UNUSABLE: dict[str, tuple[bytes, grpc.StatusCode, str]] = {
    "two answers": (
        answer(1, b"a").replace(data_frame(1, with_prefix(b"a")), data_frame(1, bytes(10))),
        grpc.StatusCode.INTERNAL,
        "a second answer came",
    ),
    "half an answer": (
        data_frame(1, with_prefix(b"abc")[:-1], is_last=True),
        grpc.StatusCode.INTERNAL,
        "the last message is not whole",
    ),
    "a compressed one": (data_frame(1, b"\x01\0\0\0\0"), grpc.StatusCode.INTERNAL, "compressed"),
    "one too large": (
        data_frame(1, b"\0\x7f\0\0\0"),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "the limit is",
    ),
    "no status": (
        data_frame(1, with_prefix(b""), is_last=True),
        grpc.StatusCode.UNKNOWN,
        "without a status",
    ),
    "an unknown status": (
        frames.frame(FrameType.HEADERS, 5, 1, encode([(":status", "200"), ("grpc-status", "99")])),
        grpc.StatusCode.UNKNOWN,
        "",
    ),
    "a web server's": (
        frames.frame(FrameType.HEADERS, 5, 1, encode([(":status", "503")])),
        grpc.StatusCode.UNAVAILABLE,
        "HTTP status 503",
    ),
    "a refusal": (
        frames.reset_stream(1, ErrorCode.REFUSED_STREAM),
        grpc.StatusCode.UNAVAILABLE,
        "code 7",
    ),
    "a cancellation": (
        frames.reset_stream(1, ErrorCode.CANCEL),
        grpc.StatusCode.CANCELLED,
        "code 8",
    ),
    "another reset": (
        frames.reset_stream(1, ErrorCode.PROTOCOL_ERROR),
        grpc.StatusCode.INTERNAL,
        "code 1",
    ),
}


@pytest.mark.parametrize("name", list(UNUSABLE))
async def test_an_answer_that_is_none_fails_its_call_alone(name: str) -> None:
    data, code, sentence = UNUSABLE[name]
    client, _pipe = calling()
    future, other = (client.unary(path("Echo"), b"", None, bytes) for _ in range(2))
    client.data_received(data)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(future, 20)
    assert caught.value.code() is code
    assert sentence in str(caught.value.details())
    assert client.waiting_bytes == 0
    client.data_received(answer(3, b"fine"))
    assert await other == b"fine"


async def test_ok_without_an_answer_is_a_failure() -> None:
    client, _pipe = calling()
    future = client.unary(path("Echo"), b"", None, bytes)
    client.data_received(frames.frame(FrameType.HEADERS, 5, 1, RESPONSE_BLOCK + OK_TRAILERS))
    with pytest.raises(grpc.aio.AioRpcError, match="the answer is missing"):
        await future


async def test_an_answer_that_cannot_be_decoded_is_a_failure() -> None:
    def refuse(_data: bytes) -> Any:
        raise RuntimeError("nonsense")

    client, _pipe = calling()
    future = client.unary(path("Echo"), b"", None, refuse)
    client.data_received(answer(1, b"x"))
    with pytest.raises(grpc.aio.AioRpcError, match="unreadable: nonsense"):
        await future


async def test_a_call_that_is_answered_before_it_was_sent_is_not_sent_to_its_end() -> None:
    client, pipe = calling()
    small_window(client, 10)
    future = client.unary(path("Echo"), bytes(100), None, bytes)
    pipe.taken()
    client.data_received(answer(1, b"early"))
    assert await future == b"early"
    assert pipe.kinds() == [FrameType.RST_STREAM]
    assert not client.is_full


async def test_a_lost_connection_fails_all_its_calls() -> None:
    client, _pipe = calling()
    futures = [client.unary(path("Echo"), b"", None, bytes) for _ in range(3)]
    ended: list[tuple[grpc.StatusCode, str]] = []
    client.open_stream(path("Count"), lambda *end: ended.append(end))
    client.connection_lost(None)
    assert ended == [(grpc.StatusCode.UNAVAILABLE, "the peer closed the connection")]
    for future in futures:
        with pytest.raises(grpc.aio.AioRpcError, match="the peer closed the connection"):
            await future
