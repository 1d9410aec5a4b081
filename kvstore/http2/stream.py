"""One stream of a connection: its windows, what waits to be sent, and messages as they come in."""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Final

_PREFIX: Final = Struct(">BL")
PREFIX_BYTES: Final = _PREFIX.size


class MessageTooLarge(Exception):
    """A peer announces a message beyond the limit."""


class MessageUnusable(Exception):
    """A peer sends what cannot be taken as a message of this call: the call is over for it."""


class Stream:
    """See the module; calls are made of it."""

    __slots__ = (
        "held_bytes",
        "is_sending_done",
        "number",
        "partial",
        "received_bytes",
        "send_window",
        "unsent",
        "wanted_bytes",
    )

    def __init__(self, number: int, send_window: int) -> None:
        self.number = number
        self.send_window = send_window
        self.unsent: deque[memoryview] = deque()
        """Bytes that no window has had room for."""
        self.is_sending_done = False
        """Whether the last frame has been handed over, or stands at the end of `unsent`."""
        self.received_bytes = 0
        """Since the peer's window was last opened."""
        self.partial = bytearray()
        """Of a message that has not come in whole."""
        self.wanted_bytes = PREFIX_BYTES
        """How many of them it takes to go on."""
        self.held_bytes = 0
        """Of a message that came in whole and waits for the end of its call."""

    def on_headers(self, block: bytes, *, is_last: bool) -> None:
        """Headers, or trailers, have come. Raises ValueError for what cannot be read."""
        raise NotImplementedError

    def on_message(self, message: bytes) -> None:
        """A message has come in whole; raises MessageUnusable for one too many."""
        raise NotImplementedError

    def on_end(self) -> None:
        """The peer sends nothing more."""
        raise NotImplementedError

    def on_reset(self, code: int) -> None:
        """The peer ended the stream at once."""
        raise NotImplementedError

    def on_lost(self, reason: str) -> None:
        """The connection is gone."""
        raise NotImplementedError

    def take_data(self, data: bytes, message_bytes_max: int) -> None:
        """Hands on the messages that `data` completes.

        Raises MessageTooLarge, and MessageUnusable for compressed ones: nobody was told that they
        are understood.
        """
        if self.partial:
            self.partial += data
            if len(self.partial) < self.wanted_bytes:
                return
            data = bytes(self.partial)
        start, end = 0, len(data)
        self.wanted_bytes = PREFIX_BYTES
        while end - start >= PREFIX_BYTES:
            compressed, size = _PREFIX.unpack_from(data, start)
            if compressed:
                raise MessageUnusable("a message is compressed, which nobody asked for")
            if size > message_bytes_max:
                raise MessageTooLarge(
                    f"a message has {size} bytes; the limit is {message_bytes_max}"
                )
            stop = start + PREFIX_BYTES + size
            if stop > end:
                self.wanted_bytes = stop - start
                break
            self.on_message(data[start + PREFIX_BYTES : stop])
            start = stop
        if self.partial or start < end:
            self.partial = bytearray(data[start:])


def prefix_of(message: bytes) -> bytes:
    """What gRPC writes before a message."""
    return _PREFIX.pack(0, len(message))
