"""What is sent keeps to the peer's windows, in order; what comes is read no faster than used."""

from __future__ import annotations

import pytest

from kvstore.http2 import frames, link, serving
from kvstore.http2.frames import ErrorCode, FrameType, Setting
from tests.http2.support import (
    SETTINGS,
    Service,
    call_frames,
    calling,
    data_frame,
    headers_frame,
    holds,
    of_kind,
    path,
    served,
    small_window,
    until,
    with_prefix,
)


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
    client.outflow.on_room = lambda: told.append(client.is_full)
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
