"""A connection as a machine: bytes in, bytes out, and its end when the peer breaks a rule."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvstore.http2 import frames, link, serving
from kvstore.http2.calls import ClientLink
from kvstore.http2.frames import ErrorCode, FrameType, Setting
from kvstore.http2.headers import BLOCK_BYTES_MAX, OK_TRAILERS, RESPONSE_BLOCK, decode, encode
from tests.http2.support import (
    SETTINGS,
    Frame,
    Pipe,
    Service,
    call_frames,
    data_frame,
    frames_of,
    headers_frame,
    holds,
    path,
    served,
    until,
    with_prefix,
)


def calling() -> tuple[ClientLink, Pipe]:
    """The caller's end; the peer has said its settings, and the opening has been read."""
    client, pipe = ClientLink("host:1"), Pipe()
    client.connection_made(pipe)
    client.data_received(SETTINGS)
    pipe.taken()
    return client, pipe


def answer(number: int, message: bytes) -> bytes:
    head = frames.frame(FrameType.HEADERS, frames.END_HEADERS, number, RESPONSE_BLOCK)
    flags = frames.END_HEADERS | frames.END_STREAM
    tail = frames.frame(FrameType.HEADERS, flags, number, OK_TRAILERS)
    return head + data_frame(number, with_prefix(message)) + tail


def code_of(pipe: Pipe) -> ErrorCode:
    """Why the connection was ended, by the last frame written."""
    kind, _flags, _number, payload = pipe.taken()[-1]
    assert kind == FrameType.GOAWAY
    assert pipe.is_shut
    return ErrorCode(frames.read_goaway(payload)[1])


def of_kind(found: list[Frame], kind: FrameType) -> list[Frame]:
    return [each for each in found if each[0] == kind]


# --- opening


async def test_the_opening_says_what_is_taken_and_that_it_speaks_directly() -> None:
    client, pipe = ClientLink("host:1"), Pipe()
    client.connection_made(pipe)
    assert pipe.written.startswith(frames.PREFACE)
    (kind, _, _, payload), window = pipe.taken()
    said = dict(frames.read_settings(payload))
    assert kind == FrameType.SETTINGS
    assert said == {
        Setting.HEADER_TABLE_SIZE: 0,
        Setting.ENABLE_PUSH: 0,
        Setting.INITIAL_WINDOW_SIZE: frames.WINDOW_MAX,
        Setting.MAX_FRAME_SIZE: frames.FRAME_BYTES_MAX,
        0xF4B5: 1,
    }
    grown = frames.read_uint32(window[3]) + frames.WINDOW_DEFAULT
    assert (window[0], window[2], grown) == (FrameType.WINDOW_UPDATE, 0, frames.WINDOW_MAX)


async def test_a_server_says_how_many_calls_it_takes_at_once() -> None:
    server, pipe = serving.ServerLink(serving.MethodTable(()), lambda _link: None), Pipe()
    server.connection_made(pipe)
    assert dict(frames.read_settings(pipe.taken()[0][3]))[Setting.MAX_CONCURRENT_STREAMS] == 4096


async def test_settings_and_pings_are_confirmed() -> None:
    server, pipe = served(Service())
    server.data_received(SETTINGS + frames.frame(FrameType.PING, 0, 0, b"8 bytes!"))
    assert pipe.taken() == [
        (FrameType.SETTINGS, frames.ACK, 0, b""),
        (FrameType.PING, frames.ACK, 0, b"8 bytes!"),
    ]
    server.data_received(frames.frame(FrameType.PING, frames.ACK, 0, bytes(8)))
    server.data_received(frames.frame(FrameType.SETTINGS, frames.ACK, 0))
    assert pipe.taken() == []


async def test_frames_of_unknown_types_are_passed_over() -> None:
    server, pipe = served(Service())
    server.data_received(SETTINGS + frames.frame(2, 0, 1, bytes(5)) + frames.frame(200, 7, 9, b"x"))
    assert pipe.kinds() == [FrameType.SETTINGS]


# --- rules that a peer breaks

GREAT = frames.settings([(Setting.INITIAL_WINDOW_SIZE, frames.WINDOW_MAX)])
BROKEN: dict[str, tuple[bytes, ErrorCode]] = {
    "settings of odd length": (
        frames.frame(FrameType.SETTINGS, 0, 0, bytes(7)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "settings on a stream": (
        frames.frame(FrameType.SETTINGS, 0, 1, b""),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "settings confirmed with more": (
        frames.frame(FrameType.SETTINGS, frames.ACK, 0, bytes(6)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "a window too large": (
        frames.settings([(Setting.INITIAL_WINDOW_SIZE, 1 << 31)]),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "frames too small": (
        frames.settings([(Setting.MAX_FRAME_SIZE, 16_383)]),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "frames too large": (
        frames.settings([(Setting.MAX_FRAME_SIZE, 1 << 24)]),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "push neither on nor off": (
        frames.settings([(Setting.ENABLE_PUSH, 2)]),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a push": (frames.frame(FrameType.PUSH_PROMISE, 4, 1, bytes(9)), ErrorCode.PROTOCOL_ERROR),
    "a short ping": (frames.frame(FrameType.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "a long ping": (frames.frame(FrameType.PING, 0, 0, bytes(9)), ErrorCode.FRAME_SIZE_ERROR),
    "a ping on a stream": (frames.frame(FrameType.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "a short goaway": (frames.frame(FrameType.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "a goaway on a stream": (
        frames.frame(FrameType.GOAWAY, 0, 1, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "an update of nothing": (frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "an update of nothing on a stream": (
        headers_frame(1, "Count") + frames.window_update(1, 0),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a short update": (
        frames.frame(FrameType.WINDOW_UPDATE, 0, 0, bytes(3)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "an update of an idle stream": (frames.window_update(5, 1), ErrorCode.PROTOCOL_ERROR),
    "a connection's window beyond 2^31-1": (
        frames.window_update(0, frames.WINDOW_MAX),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "a stream's window beyond 2^31-1": (
        headers_frame(1, "Count") + frames.window_update(1, frames.WINDOW_MAX),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "a stream's window beyond 2^31-1 by settings": (
        headers_frame(1, "Count") + frames.window_update(1, 1) + GREAT,
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "a reset of an idle stream": (
        frames.reset_stream(1, ErrorCode.CANCEL),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a reset of the connection": (
        frames.reset_stream(0, ErrorCode.CANCEL),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a long reset": (
        headers_frame(1, "Count") + frames.frame(FrameType.RST_STREAM, 0, 1, bytes(5)),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "data on an idle stream": (data_frame(1, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data on the connection": (data_frame(0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data on a stream of the server's": (
        call_frames(3, "Wait") + data_frame(2, b"x"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "data with more padding than data": (
        headers_frame(1, "Count") + frames.frame(FrameType.DATA, frames.PADDED, 1, b"\x05ab"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "data after a call's end": (
        headers_frame(1, "Slow") + data_frame(1, b"", is_last=True) + data_frame(1, bytes(5)),
        ErrorCode.STREAM_CLOSED,
    ),
    "a call that ends twice": (
        call_frames(1, "Wait") + data_frame(1, b"", is_last=True),
        ErrorCode.STREAM_CLOSED,
    ),
    "a call on an even stream": (headers_frame(2, "Wait"), ErrorCode.PROTOCOL_ERROR),
    "a call on the connection": (headers_frame(0, "Wait"), ErrorCode.PROTOCOL_ERROR),
    "headers in the middle of a call": (
        headers_frame(1, "Count") + headers_frame(1, "Count"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers that cannot be read": (
        frames.frame(FrameType.HEADERS, frames.END_HEADERS, 1, b"\xff"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "headers that continue nothing": (
        frames.frame(FrameType.CONTINUATION, frames.END_HEADERS, 1, b""),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers that are continued by others": (
        frames.frame(FrameType.HEADERS, 0, 1, b"") + frames.frame(FrameType.PING, 0, 0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers continued on another stream": (
        frames.frame(FrameType.HEADERS, 0, 1, b"")
        + frames.frame(FrameType.CONTINUATION, frames.END_HEADERS, 3, b""),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers that are too long": (
        frames.frame(FrameType.HEADERS, 0, 1, bytes(BLOCK_BYTES_MAX))
        + frames.frame(FrameType.CONTINUATION, frames.END_HEADERS, 1, b"x"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a frame beyond the limit": (
        frames.HEADER.pack(4, 1, FrameType.DATA, 0, 1),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
async def test_a_peer_that_breaks_a_rule_is_told_which_and_left(name: str) -> None:
    data, code = BROKEN[name]
    server, pipe = served(Service())
    server.data_received(SETTINGS + data)
    assert code_of(pipe) is code
    assert server.is_closed
    await server.stop(None)


@pytest.mark.parametrize(
    "first", [frames.window_update(0, 1), call_frames(1, "Echo"), frames.frame(9, 4, 1)]
)
async def test_settings_come_first(first: bytes) -> None:
    server, pipe = served(Service())
    server.data_received(first)
    assert code_of(pipe) is ErrorCode.PROTOCOL_ERROR


async def test_a_frame_as_large_as_the_limit_is_taken() -> None:
    service = Service()
    server, pipe = served(service)
    message = bytes(frames.FRAME_BYTES_MAX - 5)
    server.data_received(SETTINGS + call_frames(1, "Size", b"1"))
    server.data_received(headers_frame(3, "Count") + data_frame(3, with_prefix(message)))
    assert not server.is_closed
    await server.stop(None)
    assert pipe.is_shut


async def test_what_comes_for_calls_that_have_ended_is_passed_over() -> None:
    server, pipe = served(Service())
    server.data_received(SETTINGS + call_frames(1, "Nothing") + call_frames(3, "Nothing"))
    pipe.taken()
    server.data_received(
        frames.reset_stream(1, ErrorCode.CANCEL)
        + frames.window_update(1, 10)
        + data_frame(1, b"late")
        + headers_frame(1, "Echo", is_last=True)
    )
    assert pipe.taken() == []
    assert not server.is_closed


# --- floods: each ends the connection, after no more than so many frames

FLOODS = {
    "pings": frames.frame(FrameType.PING, 0, 0, bytes(8)),
    "settings": SETTINGS,
    "empty data": data_frame(1, b""),
    "padding": frames.frame(FrameType.DATA, frames.PADDED, 1, b"\x02\0\0"),
    "updates": frames.window_update(0, 1),
    "resets": b"reset",
    "goaways": frames.goaway(0, ErrorCode.NO_ERROR),
}


@pytest.mark.parametrize("name", list(FLOODS))
async def test_a_flood_ends_the_connection(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_CONTROL_FRAMES_MAX", 100)
    server, pipe = served(Service())
    server.data_received(SETTINGS + headers_frame(1, "Count"))
    number = 3
    count = 0
    while not server.is_closed and count < 200:
        count += 1
        frame = FLOODS[name]
        if name == "resets":
            frame = headers_frame(number, "Count") + frames.reset_stream(number, ErrorCode.CANCEL)
            number += 2
        server.data_received(frame)
    assert count in (100, 101), "the settings count, too"
    assert code_of(pipe) is ErrorCode.ENHANCE_YOUR_CALM
    await server.stop(None)


async def test_a_header_block_is_not_continued_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_CONTROL_FRAMES_MAX", 100)
    server, pipe = served(Service())
    server.data_received(SETTINGS + frames.frame(FrameType.HEADERS, 0, 1, b""))
    server.data_received(frames.frame(FrameType.CONTINUATION, 0, 1, b"") * 100)
    assert code_of(pipe) is ErrorCode.ENHANCE_YOUR_CALM


async def test_frames_that_carry_something_excuse_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "_CONTROL_FRAMES_MAX", 4)
    server, _pipe = served(Service())
    server.data_received(SETTINGS + headers_frame(1, "Count"))
    ping = frames.frame(FrameType.PING, 0, 0, bytes(8))
    for _ in range(20):
        server.data_received(ping * 3 + data_frame(1, with_prefix(b"x")))
    assert not server.is_closed
    await server.stop(None)


async def test_calls_that_are_reset_as_soon_as_they_run_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "_STREAMS_MAX", 10)
    service = Service()
    server, pipe = served(service)
    flood = b"".join(
        call_frames(number, "Wait") + frames.reset_stream(number, ErrorCode.CANCEL)
        for number in range(1, 2001, 2)
    )
    server.data_received(SETTINGS + flood)
    assert len(server.tasks) == 10
    refused = of_kind(pipe.taken(), FrameType.RST_STREAM)
    assert len(refused) == 990
    assert {frames.read_uint32(payload) for *_, payload in refused} == {ErrorCode.REFUSED_STREAM}
    await until(lambda: not server.tasks)
    assert not server.streams


async def test_no_more_calls_are_taken_at_once_than_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "_STREAMS_MAX", 3)
    service = Service()
    server, pipe = served(service)
    server.data_received(SETTINGS + b"".join(call_frames(n, "Wait") for n in range(1, 9, 2)))
    assert of_kind(pipe.taken(), FrameType.RST_STREAM)[0][2] == 7
    service.go.set()
    await until(lambda: not server.streams)
    server.data_received(call_frames(9, "Wait"))
    await until(lambda: not server.streams and not server.tasks)
    assert FrameType.RST_STREAM not in pipe.kinds()


async def test_messages_that_are_not_whole_take_a_bounded_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "_WAITING_BYTES_MAX", 10_000)
    server, pipe = served(Service())
    server.data_received(SETTINGS)
    half = b"\0\0\0\x10\x00" + bytes(2995)
    for number in (1, 3, 5):
        server.data_received(headers_frame(number, "Echo") + data_frame(number, half))
    assert server.waiting_bytes == 9000
    server.data_received(frames.reset_stream(1, ErrorCode.CANCEL))
    assert server.waiting_bytes == 6000
    # One that is whole waits for the end of its call.
    server.data_received(headers_frame(7, "Echo") + data_frame(7, with_prefix(bytes(2000))))
    assert server.waiting_bytes == 8000
    server.data_received(data_frame(7, b"", is_last=True))
    assert server.waiting_bytes == 6000
    server.data_received(data_frame(3, bytes(1101)) + data_frame(5, bytes(1101)))
    assert server.waiting_bytes == 2 * 4096, "whole now, but their calls have not ended"
    assert not server.is_closed
    server.data_received(headers_frame(9, "Echo") + data_frame(9, half))
    assert code_of(pipe) is ErrorCode.ENHANCE_YOUR_CALM
    await server.stop(None)


async def test_a_refused_message_leaves_the_count_as_it_was() -> None:
    server, pipe = served(Service())
    server.data_received(SETTINGS)
    for number in range(1, 9, 2):
        server.data_received(headers_frame(number, "Count") + data_frame(number, b"\0\xff"))
        server.data_received(data_frame(number, b"\xff\xff\xff" + bytes(1000)))
    assert server.waiting_bytes == 0
    assert not server.streams
    statuses = [payload for *_, payload in of_kind(pipe.taken(), FrameType.HEADERS)]
    assert len(statuses) == 4
    await server.stop(None)


# --- windows


def small_window(client: ClientLink, size: int) -> None:
    client.data_received(frames.settings([(Setting.INITIAL_WINDOW_SIZE, size)]))


async def test_what_has_no_room_waits_and_goes_out_in_order_and_the_end_with_its_last() -> None:
    client, pipe = calling()
    small_window(client, 10)
    pipe.taken()
    request = bytes(range(97))
    client.unary(path("Echo"), request, None, bytes)
    out = of_kind(pipe.taken(), FrameType.DATA)
    while not client.is_closed and client.is_full:
        client.data_received(frames.window_update(1, 7))
        out += of_kind(pipe.taken(), FrameType.DATA)
    assert b"".join(payload for *_, payload in out) == with_prefix(request)
    assert [len(payload) for *_, payload in out] == [10, *[7] * 13, 1]
    assert [flags for _, flags, _, _ in out] == [0] * 14 + [frames.END_STREAM]
    client.lose("done")


async def test_a_frame_is_no_larger_than_the_peer_takes() -> None:
    client, pipe = calling()
    small_window(client, 1 << 20)
    client.data_received(frames.window_update(0, 1 << 20))
    pipe.taken()
    client.unary(path("Echo"), bytes(100_000), None, bytes)
    sizes = [len(payload) for *_, payload in of_kind(pipe.taken(), FrameType.DATA)]
    assert sizes == [16_384] * 6 + [100_005 - 6 * 16_384]
    client.data_received(frames.settings([(Setting.MAX_FRAME_SIZE, 50_000)]))
    pipe.taken()
    client.unary(path("Echo"), bytes(99_995), None, bytes)
    assert [len(each[3]) for each in of_kind(pipe.taken(), FrameType.DATA)] == [50_000, 50_000]
    client.lose("done")


async def test_the_window_of_the_connection_bounds_all_streams_together() -> None:
    client, pipe = calling()
    small_window(client, 1 << 20)
    pipe.taken()
    for _ in range(3):
        client.unary(path("Echo"), bytes(30_000), None, bytes)
    sent = sum(len(each[3]) for each in of_kind(pipe.taken(), FrameType.DATA))
    assert sent == frames.WINDOW_DEFAULT
    client.data_received(frames.window_update(0, 30_000))
    sent += sum(len(each[3]) for each in of_kind(pipe.taken(), FrameType.DATA))
    assert sent == 3 * 30_005 if client.is_full is False else frames.WINDOW_DEFAULT + 30_000
    client.lose("done")


async def test_a_window_that_settings_shrink_below_nothing_is_waited_for() -> None:
    client, pipe = calling()
    small_window(client, 100)
    client.unary(path("Echo"), bytes(145), None, bytes)
    small_window(client, 20)  # 100 are on their way: 80 too many
    pipe.taken()
    client.data_received(frames.window_update(1, 80))
    assert of_kind(pipe.taken(), FrameType.DATA) == []
    client.data_received(frames.window_update(1, 20))
    assert [len(each[3]) for each in of_kind(pipe.taken(), FrameType.DATA)] == [20]
    small_window(client, 1000)
    assert [len(each[3]) for each in of_kind(pipe.taken(), FrameType.DATA)] == [30]
    client.lose("done")


async def test_trailers_come_behind_a_response_that_had_to_wait() -> None:
    server, pipe = served(Service())
    server.data_received(frames.settings([(Setting.INITIAL_WINDOW_SIZE, 1000)]))
    server.data_received(call_frames(1, "Size", b"4000"))
    await until(lambda: server.is_full)
    while server.is_full:
        server.data_received(frames.window_update(1, 900))
    out = [each for each in pipe.taken() if each[2] == 1]
    assert [kind for kind, *_ in out] == [FrameType.HEADERS, *[FrameType.DATA] * 5, 1]
    assert [flags & frames.END_STREAM for _, flags, *_ in out] == [0] * 6 + [1]
    assert b"".join(each[3] for each in out[1:-1]) == with_prefix(bytes(4000))
    assert not server.streams


async def test_windows_are_opened_again_before_they_are_used_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "_WINDOW_REFILL", 1000)
    server, pipe = served(Service())
    server.data_received(SETTINGS + headers_frame(1, "Count"))
    pipe.taken()
    padded = frames.frame(FrameType.DATA, frames.PADDED, 1, b"\x04" + with_prefix(b"") + bytes(4))
    for _ in range(1000):
        server.data_received(padded)
    opened = {0: 0, 1: 0}
    for _, _, number, payload in of_kind(pipe.taken(), FrameType.WINDOW_UPDATE):
        opened[number] += frames.read_uint32(payload)
    assert opened == {0: 10_000, 1: 10_000}
    await server.stop(None)


async def test_data_of_ended_calls_count_for_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "_WINDOW_REFILL", 1000)
    server, pipe = served(Service())
    server.data_received(SETTINGS + call_frames(1, "Nothing"))
    pipe.taken()
    server.data_received(data_frame(1, bytes(1000)))
    (update,) = pipe.taken()
    assert update[2] == 0
    assert frames.read_uint32(update[3]) >= 1000


async def test_whoever_waits_for_room_is_told_when_a_blocked_call_ends() -> None:
    client, _pipe = calling()
    small_window(client, 10)
    told: list[bool] = []
    future = client.unary(path("Echo"), bytes(100), None, bytes)
    client.on_room = lambda: told.append(client.is_full)
    assert client.is_full
    future.cancel()
    await until(lambda: told)
    assert told == [False]


# --- reading no more than is worked off


async def test_a_handler_that_does_not_read_stops_the_connection_and_one_that_reads_starts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "_INBOX_BYTES_MAX", 1000)
    service = Service()
    server, pipe = served(service)
    server.data_received(SETTINGS + headers_frame(1, "Slow"))
    message = data_frame(1, with_prefix(bytes(400)))
    server.data_received(message * 2)
    assert holds(pipe.is_read)
    server.data_received(message)
    assert not holds(pipe.is_read)
    service.go.set()
    await until(lambda: len(service.read) == 3)
    assert pipe.is_read
    await server.stop(None)


@pytest.mark.parametrize("end", ["it is reset", "it aborts"])
async def test_a_call_that_ends_unread_does_not_leave_the_connection_stopped(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "_INBOX_BYTES_MAX", 1000)
    server, pipe = served(Service())
    aborts = end == "it aborts"
    server.data_received(SETTINGS + headers_frame(1, "Leave" if aborts else "Slow"))
    server.data_received(data_frame(1, with_prefix(b"x" * 900)) * 4)
    assert not pipe.is_read
    if not aborts:
        server.data_received(frames.reset_stream(1, ErrorCode.CANCEL))
    await until(lambda: pipe.is_read)
    server.data_received(call_frames(3, "Echo", b"next"))
    await until(lambda: 3 not in server.streams)
    assert data_frame(3, with_prefix(b"next")) in bytes(pipe.written)


async def test_a_large_request_does_not_stop_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "_INBOX_BYTES_MAX", 1000)
    server, pipe = served(Service())
    server.data_received(SETTINGS + headers_frame(1, "Echo"))
    server.data_received(data_frame(1, with_prefix(bytes(5000))))
    assert pipe.is_read
    server.data_received(data_frame(1, b"", is_last=True))
    await until(lambda: not server.streams)
    assert data_frame(1, with_prefix(bytes(5000))) in bytes(pipe.written)


async def test_a_caller_that_does_not_read_its_answers_is_not_listened_to() -> None:
    server, pipe = served(Service())
    server.pause_writing()
    assert holds(server.is_full)
    assert not holds(pipe.is_read)
    server.resume_writing()
    assert pipe.is_read
    assert not server.is_full


# --- keep-alive


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


# --- the caller's end


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


# --- wherever the bytes are cut, and whatever they are


def conversation() -> bytes:
    """What a caller says who uses all that there is."""
    padded = b"\x03" + with_prefix(b"padded") + bytes(3)
    block = encode([(":path", path("Count"))])
    return b"".join(
        [
            frames.settings([(Setting.INITIAL_WINDOW_SIZE, 50)]),
            frames.frame(FrameType.SETTINGS, frames.ACK, 0),
            call_frames(1, "Echo", b"x" * 120),
            frames.frame(FrameType.HEADERS, 0, 3, block[:7]),
            frames.frame(FrameType.CONTINUATION, 0, 3, b""),
            frames.frame(FrameType.CONTINUATION, frames.END_HEADERS, 3, block[7:]),
            data_frame(3, with_prefix(b"one") + with_prefix(b"two")[:4]),
            frames.frame(2, 0, 3, bytes(5)),
            data_frame(3, with_prefix(b"two")[4:]),
            frames.frame(FrameType.DATA, frames.PADDED | frames.END_STREAM, 3, padded),
            frames.frame(FrameType.PING, 0, 0, b"alive?!?"),
            frames.window_update(1, 200),
            headers_frame(5, "Nothing", is_last=True),
            call_frames(7, "Fail", "schlecht ≤".encode()),
            call_frames(9, "Wait"),
            frames.reset_stream(9, ErrorCode.CANCEL),
            frames.frame(FrameType.HEADERS, 0x2C, 11, b"\x02" + bytes(5) + block + bytes(2)),
            data_frame(11, b"", is_last=True),
        ]
    )


async def replies(pieces: list[bytes]) -> dict[int, list[Frame]]:
    """What a server answers to bytes that come in `pieces`, by stream."""
    server, pipe = served(Service())
    for piece in pieces:
        server.data_received(piece)
        assert not server.is_closed
    await until(lambda: not server.streams and not server.tasks)
    found: dict[int, list[Frame]] = {}
    for frame in pipe.taken():
        found.setdefault(frame[2], []).append(frame)
    for each in found.values():
        whole = b"".join(frame[3] for frame in each if frame[0] == FrameType.DATA)
        each[:] = [frame for frame in each if frame[0] != FrameType.DATA]
        each.append((FrameType.DATA, 0, 0, whole))
    return found


EXPECTED: dict[int, list[Frame]] = {}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_conversation_is_the_same_wherever_it_is_cut(data: st.DataObject) -> None:
    said = conversation()
    if not EXPECTED:
        EXPECTED.update(asyncio.run(replies([said])))
        assert set(EXPECTED) == {0, 1, 3, 5, 7, 11}
        assert EXPECTED[3][-1][3] == with_prefix(b"3 12")
    edges = data.draw(st.lists(st.integers(0, len(said)), max_size=60))
    edges = sorted({0, len(said), *edges})
    pieces = [said[start:end] for start, end in pairwise(edges)]
    assert asyncio.run(replies(pieces)) == EXPECTED


def test_a_conversation_is_the_same_byte_by_byte() -> None:
    said = conversation()
    whole = asyncio.run(replies([said]))
    assert asyncio.run(replies([said[at : at + 1] for at in range(len(said))])) == whole


def test_frames_are_told_apart() -> None:
    assert [kind for kind, *_ in frames_of(SETTINGS + frames.window_update(0, 1))] == [4, 8]
