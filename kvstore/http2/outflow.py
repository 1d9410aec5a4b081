"""What goes out on a connection: messages, as far as the peer leaves room for them (RFC 9113, 5.2).

A message is written at once where the windows of its stream and of the connection have room for all
of it, in one frame. Else it waits in its stream, and goes out piece by piece as windows are opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from kvstore.http2 import frames
from kvstore.http2.frames import ErrorCode, FrameType, Violation
from kvstore.http2.stream import PREFIX_BYTES, Stream, prefix_of

_HEADER: Final = frames.HEADER
_DATA: Final = int(FrameType.DATA)


class Outflow:
    """See the module. Of one connection; its transport is set as soon as there is one."""

    def __init__(self, on_sent: Callable[[Stream], None]) -> None:
        """`on_sent` is told of a stream on which something waited, when all of that is on its
        way."""
        self.transport: asyncio.Transport
        self.on_room: Callable[[], None] = _nothing
        """Told when there may be room again."""
        self.stream_window = frames.WINDOW_DEFAULT
        """How much may be sent on a stream that is opened now."""
        self.frame_bytes = frames.FRAME_BYTES_DEFAULT
        """Of one frame, at most."""
        self.is_transport_full = False
        self._on_sent = on_sent
        self._window = frames.WINDOW_DEFAULT
        self._blocked: dict[int, Stream] = {}

    @property
    def is_blocked(self) -> bool:
        """Whether something waits for room in a window."""
        return bool(self._blocked)

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be sent that no more should be handed over."""
        return self.is_transport_full or bool(self._blocked)

    def send(
        self, stream: Stream, message: bytes, *, is_last: bool, before: bytes, after: bytes
    ) -> bool:
        """See Link.send_message."""
        size = PREFIX_BYTES + len(message)
        stream.is_sending_done = is_last
        if (
            size <= self.frame_bytes
            and size <= self._window
            and size <= stream.send_window
            and not stream.unsent
        ):
            self._window -= size
            stream.send_window -= size
            flags = frames.END_STREAM if is_last else 0
            head = _HEADER.pack(size >> 16, size & 0xFFFF, _DATA, flags, stream.number)
            self.transport.write(b"".join((before, head, prefix_of(message), message, after)))
            return True
        if before:
            self.transport.write(before)
        stream.unsent.append(memoryview(prefix_of(message) + message))
        self._blocked[stream.number] = stream
        self._push(stream)
        return False

    def open(self, increment: int) -> None:
        """The peer has opened the connection's window by so much."""
        was_shut = self._window <= 0
        self._window += increment
        _check_window(self._window)
        if was_shut:
            self.pump()

    def open_stream(self, stream: Stream, increment: int) -> bool:
        """The peer has opened a stream's window by so much; whether something waited for that."""
        stream.send_window += increment
        _check_window(stream.send_window)
        if stream.number not in self._blocked:
            return False
        self._push(stream)
        self._say_room()
        return True

    def resize_streams(self, size: int, streams: Iterable[Stream]) -> None:
        """The peer has said with how much the windows of streams begin: those that are open, all of
        `streams`, change by the difference."""
        if size > frames.WINDOW_MAX:
            raise Violation(ErrorCode.FLOW_CONTROL_ERROR, f"a window has {size} bytes")
        for stream in streams:
            stream.send_window += size - self.stream_window
            _check_window(stream.send_window)
        self.stream_window = size

    def pump(self) -> None:
        """Sends of all that waits as much as there is room for, stream by stream."""
        if self._blocked:
            for stream in list(self._blocked.values()):
                if self._window <= 0:
                    break
                if stream.number in self._blocked:
                    self._push(stream)
            self._say_room()

    def drop(self, number: int) -> None:
        """A stream has ended: nothing of it waits any more."""
        if self._blocked.pop(number, None) is not None:
            self._say_room()

    def close(self) -> None:
        """The connection is over: nothing waits any more."""
        self._blocked = {}

    def _push(self, stream: Stream) -> None:
        """Sends of what waits on a stream as much as there is room for."""
        while stream.unsent:
            room = min(self._window, stream.send_window, self.frame_bytes)
            data = stream.unsent[0]
            if room <= 0 < len(data):
                return
            piece, rest = data[:room], data[room:]
            if rest:
                stream.unsent[0] = rest
            else:
                stream.unsent.popleft()
            is_last = stream.is_sending_done and not stream.unsent
            size = len(piece)
            self._window -= size
            stream.send_window -= size
            flags = frames.END_STREAM if is_last else 0
            header = _HEADER.pack(size >> 16, size & 0xFFFF, _DATA, flags, stream.number)
            self.transport.write(header)
            self.transport.write(piece)
        if self._blocked.pop(stream.number, None) is not None:
            self._on_sent(stream)

    def _say_room(self) -> None:
        if not self._blocked:
            self.on_room()


def _check_window(size: int) -> None:
    if size > frames.WINDOW_MAX:
        raise Violation(ErrorCode.FLOW_CONTROL_ERROR, f"a window grows to {size} bytes")


def _nothing(*_arguments: Any) -> None:
    """What is done while nobody waits."""
