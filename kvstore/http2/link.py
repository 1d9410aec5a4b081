"""A connection, as both of its ends have it: frames as they come in, settings, pings, and its end.

Messages are written at once (outflow.py). What the peer leaves no room for waits in its stream, and
`is_full` says so when much waits here or in the socket: whoever writes more than a bounded amount
has to stop then, until `on_room` is called.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.http2 import frames
from kvstore.http2.frames import ErrorCode, FrameType, Setting, Violation
from kvstore.http2.headers import BLOCK_BYTES_MAX
from kvstore.http2.keep_alive import KeepAlive
from kvstore.http2.outflow import Outflow
from kvstore.http2.stream import MessageTooLarge, MessageUnusable, Stream

_HEADER: Final = frames.HEADER
_HEADER_BYTES: Final = frames.HEADER_BYTES
_DATA: Final = int(FrameType.DATA)
_WINDOW_REFILL: Final = frames.WINDOW_MAX // 2
_WRITE_BUFFER_BYTES: Final = 1 << 20
_WAITING_BYTES_MAX: Final = 2 * MESSAGE_BYTES_MAX
"""Of messages of all streams that have not come in whole, or whose calls wait for their end."""
_CONTROL_FRAMES_MAX: Final = 10_000
"""That are answered, or carry nothing, in a row and between two looks of `keep_alive`: beyond it a
peer means no good."""
_PING_BYTES: Final = 8
_LINGER_S: Final = 5.0

_SETTINGS: Final = (
    (Setting.HEADER_TABLE_SIZE, 0),
    (Setting.ENABLE_PUSH, 0),
    (Setting.INITIAL_WINDOW_SIZE, frames.WINDOW_MAX),
    (Setting.MAX_FRAME_SIZE, frames.FRAME_BYTES_MAX),
    (Setting.DIRECT, 1),
)
_OPENING: Final = frames.window_update(0, frames.WINDOW_MAX - frames.WINDOW_DEFAULT)
_SETTINGS_ACK: Final = frames.frame(FrameType.SETTINGS, frames.ACK, 0)


class Link(asyncio.Protocol):
    """See the module. One end or the other adds calls."""

    def __init__(self, *, streams_max: int | None = None) -> None:
        """`streams_max` is how many the peer may have under way."""
        self.loop: Final = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.streams: dict[int, Stream] = {}
        self.is_closed = False
        self.peer_streams_max: int | None = None
        """How many the peer takes at once; None: it has not said."""
        self.outflow: Final = Outflow(self.on_sent)
        self._streams_max = streams_max
        self._rest = b""
        self.waiting_bytes = 0
        """See _WAITING_BYTES_MAX."""
        self._expected: int | None = FrameType.SETTINGS
        """The only type that the next frame may have: at first, and within a header block."""
        self._header_stream = 0
        self._header_flags = 0
        self._header_block = b""
        self._received_bytes = 0
        self._control_frames = 0
        self.has_heard = True
        """Whether the peer has said anything since keep-alive last looked."""
        self._keep_alive: KeepAlive | None = None
        self._on_frame: dict[int, Callable[[int, int, bytes], None]] = {
            FrameType.HEADERS: self._on_headers,
            FrameType.CONTINUATION: self._on_continuation,
            FrameType.RST_STREAM: self._on_reset,
            FrameType.SETTINGS: self._on_settings,
            FrameType.PUSH_PROMISE: self._on_push,
            FrameType.PING: self._on_ping,
            FrameType.GOAWAY: self._on_goaway,
            FrameType.WINDOW_UPDATE: self._on_window_update,
        }

    # --- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = self.outflow.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        values = list(_SETTINGS)
        if self._streams_max is not None:
            values.append((Setting.MAX_CONCURRENT_STREAMS, self._streams_max))
        self.transport.write(self._preface() + frames.settings(values) + _OPENING)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.lose(f"the connection was lost: {exc}" if exc else "the peer closed the connection")

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self.outflow.is_transport_full = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.outflow.is_transport_full = False
        self.outflow.on_room()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.has_heard = True
        if self._rest:
            data = self._rest + data
        start, end = 0, len(data)
        while end - start >= _HEADER_BYTES:
            high, low, kind, flags, number = _HEADER.unpack_from(data, start)
            length = high << 16 | low
            if length > frames.FRAME_BYTES_MAX:
                self.fail(ErrorCode.FRAME_SIZE_ERROR, f"a frame has {length} bytes")
                return
            stop = start + _HEADER_BYTES + length
            if stop > end:
                break
            payload = data[start + _HEADER_BYTES : stop]
            start = stop
            if not self._take(kind, flags, number & frames.STREAM_MASK, payload):
                return
        self._rest = data[start:]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> bool:
        """Takes a frame; whether the connection goes on."""
        try:
            if self._expected is not None and kind != self._expected:
                raise ValueError(f"a frame of type {kind} comes, not of type {self._expected}")
            if kind == _DATA:
                self._on_data(flags, number, payload)
            else:
                on_frame = self._on_frame.get(kind)
                if on_frame is not None:
                    on_frame(flags, number, payload)
        except Violation as problem:
            self.fail(problem.code, str(problem))
        except ValueError as problem:
            self.fail(ErrorCode.PROTOCOL_ERROR, str(problem))
        return not self.is_closed

    # --- what comes in

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        self._received_bytes += len(payload)
        if self._received_bytes >= _WINDOW_REFILL:
            self.transport.write(frames.window_update(0, self._received_bytes))
            self._received_bytes = 0
        stream = self.streams.get(number)
        if stream is None:
            if not number or self.is_new(number):
                raise ValueError(f"DATA on stream {number}, which is not open")
            return  # it was ended here while this was on its way
        stream.received_bytes += len(payload)
        is_last = flags & frames.END_STREAM
        if stream.received_bytes >= _WINDOW_REFILL and not is_last:
            self.transport.write(frames.window_update(number, stream.received_bytes))
            stream.received_bytes = 0
        if flags & frames.PADDED:
            payload = frames.without_padding(flags & frames.PADDED, payload)
        if payload:
            self._control_frames = 0
            before = len(stream.partial)
            try:
                stream.take_data(payload, MESSAGE_BYTES_MAX)
            except (MessageTooLarge, MessageUnusable) as problem:
                self.waiting_bytes += len(stream.partial) - before
                self.on_unusable(
                    stream, str(problem), is_too_large=isinstance(problem, MessageTooLarge)
                )
                return
            self.waiting_bytes += len(stream.partial) - before
            if self.waiting_bytes > _WAITING_BYTES_MAX:
                raise Violation(ErrorCode.ENHANCE_YOUR_CALM, "too many large messages at once")
        else:
            self._count_control()
        if is_last and number in self.streams:
            if stream.partial:
                self.on_unusable(stream, "the last message is not whole", is_too_large=False)
            else:
                stream.on_end()

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        payload = frames.without_padding(flags, payload)
        self._header_flags = flags
        self._take_block(number, payload, flags)

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if not number or number != self._header_stream:
            raise ValueError("CONTINUATION continues nothing")
        self._take_block(number, self._header_block + payload, flags)

    def _take_block(self, number: int, block: bytes, flags: int) -> None:
        if len(block) > BLOCK_BYTES_MAX:
            raise ValueError(f"headers have {len(block)} bytes; the limit is {BLOCK_BYTES_MAX}")
        if not flags & frames.END_HEADERS:
            self._count_control()
            self._header_stream, self._header_block = number, block
            self._expected = FrameType.CONTINUATION
            return
        self._header_stream, self._header_block = 0, b""
        self._expected = None
        is_last = bool(self._header_flags & frames.END_STREAM)
        stream = self.streams.get(number)
        if stream is not None:
            stream.on_headers(block, is_last=is_last)
        else:
            self.on_new_stream(number, block, is_last=is_last)

    def _on_reset(self, _flags: int, number: int, payload: bytes) -> None:
        self._count_control()
        code = frames.read_uint32(payload)
        if not number or self.is_new(number):
            raise ValueError(f"RST_STREAM for stream {number}, which is not open")
        stream = self.forget(number)
        if stream is not None:
            stream.on_reset(code)

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ValueError(f"SETTINGS on stream {number}")
        if flags & frames.ACK:
            if payload:
                raise Violation(ErrorCode.FRAME_SIZE_ERROR, "what confirms SETTINGS says something")
            return
        self._count_control()
        self._expected = None
        for name, value in dict(frames.read_settings(payload)).items():
            if name == Setting.INITIAL_WINDOW_SIZE:
                self.outflow.resize_streams(value, self.streams.values())
            elif name == Setting.ENABLE_PUSH:
                if value > 1:
                    raise ValueError(f"ENABLE_PUSH is {value}")
            elif name == Setting.MAX_FRAME_SIZE:
                if not frames.FRAME_BYTES_DEFAULT <= value < 1 << 24:
                    raise ValueError(f"frames of {value} bytes")
                self.outflow.frame_bytes = min(value, frames.FRAME_BYTES_MAX)
            elif name == Setting.MAX_CONCURRENT_STREAMS:
                self.peer_streams_max = value
        self.transport.write(_SETTINGS_ACK)
        self.on_settings()
        self.outflow.pump()

    def _on_push(self, _flags: int, _number: int, _payload: bytes) -> None:
        raise ValueError("PUSH_PROMISE comes, which was forbidden")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) != _PING_BYTES:
            raise Violation(ErrorCode.FRAME_SIZE_ERROR, f"PING has {len(payload)} bytes")
        if number:
            raise ValueError(f"PING on stream {number}")
        if not flags & frames.ACK:
            self._count_control()
            self.transport.write(frames.frame(FrameType.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _flags: int, number: int, payload: bytes) -> None:
        self._count_control()
        if number:
            raise ValueError(f"GOAWAY on stream {number}")
        last, _code, reason = frames.read_goaway(payload)
        self.on_goaway(last, reason)

    def _on_window_update(self, _flags: int, number: int, payload: bytes) -> None:
        increment = frames.read_uint32(payload) & frames.WINDOW_MAX
        if not increment:
            raise ValueError("WINDOW_UPDATE opens nothing")
        outflow = self.outflow
        if not number:
            outflow.open(increment)
        else:
            stream = self.streams.get(number)
            if stream is None:
                if self.is_new(number):
                    raise ValueError(f"WINDOW_UPDATE for stream {number}, which is not open")
            elif outflow.open_stream(stream, increment):
                return
        if not outflow.is_blocked:
            self._count_control()

    def _count_control(self) -> None:
        self._control_frames += 1
        if self._control_frames > _CONTROL_FRAMES_MAX:
            raise Violation(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that carry nothing")

    # --- what goes out

    @property
    def has_calls(self) -> bool:
        """Whether there are calls under way."""
        return bool(self.streams)

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be sent that no more should be handed over."""
        return self.outflow.is_full

    def add(self, stream: Stream) -> None:
        """Opens a stream."""
        self.streams[stream.number] = stream

    def new_window(self) -> int:
        """How much may be sent on a stream that is opened now."""
        return self.outflow.stream_window

    def send_message(
        self,
        stream: Stream,
        message: bytes,
        *,
        is_last: bool = False,
        before: bytes = b"",
        after: bytes = b"",
    ) -> bool:
        """Sends a message of a stream behind the frames `before` it, as soon as the peer has room.
        Whether the frames `after` it are sent, too: if not, `on_sent` has to see to them.

        All with one write where it fits: a write wakes the peer.
        """
        return self.outflow.send(stream, message, is_last=is_last, before=before, after=after)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """Ends a stream at once, without a word more."""
        if self.forget(stream.number) is not None:
            self.transport.write(frames.reset_stream(stream.number, code))

    def forget(self, number: int) -> Stream | None:
        """Drops a stream that has ended; returns it if there was one."""
        stream = self.streams.pop(number, None)
        if stream is not None:
            self.waiting_bytes -= len(stream.partial) + stream.held_bytes
            stream.held_bytes = 0
            self.outflow.drop(number)
        return stream

    # --- its end

    def keep_alive(self, idle_s: float, answer_s: float, *, without_calls: bool = False) -> None:
        """From now on asks a peer that has said nothing for `idle_s`, and gives it up when it does
        not answer within `answer_s`; while there are no streams, only if `without_calls`."""
        self._keep_alive = KeepAlive(self, idle_s, answer_s, without_calls=without_calls)

    def on_look(self) -> None:
        """Keep-alive looks after the connection: what was counted between two looks starts anew."""
        self._control_frames = 0
        self.has_heard = False

    def ping(self) -> None:
        """Asks the peer to say something."""
        self.transport.write(frames.frame(FrameType.PING, 0, 0, bytes(_PING_BYTES)))

    def fail(self, code: ErrorCode, reason: str) -> None:
        """Ends the connection for something that the peer did."""
        if not self.is_closed:
            self.transport.write(frames.goaway(self.last_stream(), code, reason))
            self.lose(reason)

    def lose(self, reason: str, *, abort: bool = False) -> None:
        """The connection is over: all calls are told, and it is closed, if need be (`abort`)
        without what was written and has not gone out."""
        if self.is_closed:
            return
        self.is_closed = True
        if self._keep_alive is not None:
            self._keep_alive.end()
        if abort:
            self.transport.abort()
        else:
            hang_up(self.transport)
        streams, self.streams = self.streams, {}
        self.outflow.close()
        for stream in streams.values():
            stream.on_lost(reason)
        self.on_over(reason)
        self.outflow.on_room()

    # --- what the two ends do differently

    def _preface(self) -> bytes:
        return b""

    def is_new(self, number: int) -> bool:
        """Whether the peer has not opened this stream yet."""
        raise NotImplementedError

    def last_stream(self) -> int:
        """The last one that the peer has opened."""
        return 0

    def on_new_stream(self, number: int, block: bytes, *, is_last: bool) -> None:
        """Headers have come of a stream that is not open."""
        raise NotImplementedError

    def on_settings(self) -> None:
        """The peer has said what it takes."""

    def on_goaway(self, last: int, reason: str) -> None:
        """The peer serves no streams above `last`."""
        raise NotImplementedError

    def on_unusable(self, stream: Stream, reason: str, *, is_too_large: bool) -> None:
        """A message on `stream` exceeds the limit, or cannot be one: the call is over."""
        raise NotImplementedError

    def is_deaf(self) -> bool:
        """Whether the peer is not read from, so that its answer to a ping would not be heard."""
        return False

    def is_spent(self) -> bool:
        """Whether nothing will be asked on this connection any more."""
        return False

    def on_sent(self, stream: Stream) -> None:
        """All that waited on `stream` is on its way."""

    def on_over(self, reason: str) -> None:
        """The connection is over, and all calls have been told."""


def hang_up(transport: asyncio.WriteTransport) -> None:
    """Closes a connection as soon as what was written to it has gone out; the peer has a few
    seconds to take it."""
    transport.close()
    if transport.get_write_buffer_size():
        asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)
