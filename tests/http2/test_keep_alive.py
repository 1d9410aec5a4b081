"""Peers that fall silent are asked and given up; those that cannot answer are not."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from kvstore.http2 import frames, link, serving
from kvstore.http2.frames import FrameType
from tests.http2.support import (
    SETTINGS,
    Service,
    call_frames,
    calling,
    data_frame,
    headers_frame,
    path,
    served,
    until,
    with_prefix,
)


async def test_a_silent_peer_is_asked_and_given_up() -> None:
    client, pipe = calling()
    future = client.unary(path("Wait"), b"", None, bytes)
    pipe.taken()
    client.keep_alive(0.02, 0.02)
    with pytest.raises(grpc.aio.AioRpcError, match=r"did not answer within 0\.02 s") as caught:
        await asyncio.wait_for(future, 20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert pipe.taken() == [(FrameType.PING, 0, 0, bytes(8))]
    assert pipe.is_aborted, "nothing that was written will be taken"


async def test_a_peer_that_answers_is_kept() -> None:
    client, pipe = calling()
    client.unary(path("Wait"), b"", None, bytes)
    pipe.taken()
    client.keep_alive(0.01, 1.0)
    for _ in range(3):
        await until(lambda: pipe.kinds() == [FrameType.PING])
        client.data_received(frames.frame(FrameType.PING, frames.ACK, 0, bytes(8)))
    assert not client.is_closed
    client.lose("done")


async def test_without_calls_a_caller_does_not_ask_and_a_server_does() -> None:
    client, client_pipe = calling()
    server, server_pipe = served(Service())
    client.keep_alive(0.001, 0.001)
    server.keep_alive(0.001, 0.001, without_calls=True)
    await until(lambda: server.is_closed)
    assert server_pipe.kinds()[0] == FrameType.PING
    assert client_pipe.taken() == []
    assert not client.is_closed
    client.lose("done")


async def test_a_peer_that_takes_what_is_written_is_not_given_up() -> None:
    server, pipe = served(Service())
    server.data_received(SETTINGS + call_frames(1, "Wait"))
    pipe.unwritten_bytes = 1 << 30
    looks = 0

    def look() -> int:
        nonlocal looks
        looks += 1
        pipe.unwritten_bytes -= 1
        return pipe.unwritten_bytes

    pipe.get_write_buffer_size = look  # type: ignore[method-assign]
    server.keep_alive(0.001, 0.001)
    await until(lambda: looks > 10)
    assert not server.is_closed
    pipe.get_write_buffer_size = lambda: 1 << 30  # type: ignore[method-assign]
    await until(lambda: server.is_closed)


async def test_a_peer_whose_answer_would_not_be_read_is_not_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "_INBOX_BYTES_MAX", 10)
    server, pipe = served(Service())
    looks = 0

    def look() -> int:
        nonlocal looks
        looks += 1
        return 0

    pipe.get_write_buffer_size = look  # type: ignore[method-assign]
    server.data_received(
        SETTINGS + headers_frame(1, "Slow") + data_frame(1, with_prefix(bytes(99)))
    )
    pipe.taken()
    server.keep_alive(0.001, 0.001)
    await until(lambda: looks > 10)
    assert pipe.taken() == []
    assert not server.is_closed
    await server.stop(None)


async def test_what_is_written_at_the_end_has_a_bounded_time_to_go_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "_LINGER_S", 0.01)
    server, pipe = served(Service())
    pipe.unwritten_bytes = 100
    server.lose("done")
    assert not pipe.is_aborted
    await until(lambda: pipe.is_aborted)
