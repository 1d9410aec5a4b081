"""A connection as a machine: how it opens, and its end when the peer breaks a rule or floods it."""

from __future__ import annotations

import pytest

from kvstore.http2 import frames, link, serving
from kvstore.http2.calls import ClientLink
from kvstore.http2.frames import ErrorCode, FrameType, Setting
from kvstore.http2.headers import BLOCK_BYTES_MAX
from tests.http2.support import (
    SETTINGS,
    Pipe,
    Service,
    call_frames,
    code_of,
    data_frame,
    headers_frame,
    of_kind,
    served,
    until,
    with_prefix,
)


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
