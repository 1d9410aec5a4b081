"""A conversation is the same wherever its bytes are cut."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvstore.http2 import frames
from kvstore.http2.frames import ErrorCode, FrameType, Setting
from kvstore.http2.headers import encode
from tests.http2.support import (
    SETTINGS,
    Frame,
    Service,
    call_frames,
    data_frame,
    frames_of,
    headers_frame,
    path,
    served,
    until,
    with_prefix,
)


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
