"""The caller's end of a connection: unary calls, and streams of messages to the peer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import grpc
from grpc.aio import AioRpcError, Metadata

from kvstore.http2 import frames
from kvstore.http2.frames import ErrorCode
from kvstore.http2.headers import decode, details_of, request_block
from kvstore.http2.link import Link
from kvstore.http2.stream import MessageUnusable, Stream

Status = tuple[grpc.StatusCode, str, Mapping[str, str]]
"""How a call ended: its code, a sentence, and the trailers."""

_CODES: Final = {str(code.value[0]): code for code in grpc.StatusCode}
_HTTP_CODES: Final = {
    "400": grpc.StatusCode.INTERNAL,
    "401": grpc.StatusCode.UNAUTHENTICATED,
    "403": grpc.StatusCode.PERMISSION_DENIED,
    "404": grpc.StatusCode.UNIMPLEMENTED,
    "429": grpc.StatusCode.UNAVAILABLE,
    "502": grpc.StatusCode.UNAVAILABLE,
    "503": grpc.StatusCode.UNAVAILABLE,
    "504": grpc.StatusCode.UNAVAILABLE,
}
_RESET_CODES: Final = {
    ErrorCode.REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
    ErrorCode.CANCEL: grpc.StatusCode.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_TIMEOUT_BITS: Final = 7
_NO_HEADERS: Final[Mapping[str, str]] = {}
_OF_GRPC: Final = (":", "grpc-status", "grpc-message", "grpc-encoding", "content-type")
"""How headers begin that are not the service's own."""


class CallStream(Stream):
    """A call, as far as all kinds are alike. It ends once, with a status."""

    __slots__ = ("_has_headers", "_link", "_response", "_status")

    def __init__(self, link: ClientLink, number: int) -> None:
        super().__init__(number, link.new_window())
        self._link = link
        self._response: bytes | None = None
        self._has_headers = False
        self._status: Status | None = None

    def on_headers(self, block: bytes, *, is_last: bool) -> None:
        """See Stream."""
        headers = decode(block)
        if not self._has_headers:
            self._has_headers = True
            http = headers.get(":status", "")
            if http != "200":
                code = _HTTP_CODES.get(http, grpc.StatusCode.UNKNOWN)
                self._status = (code, f"HTTP status {http or 'missing'}", _NO_HEADERS)
        said = headers.get("grpc-status")
        if said is not None:
            code = _CODES.get(said, grpc.StatusCode.UNKNOWN)
            self._status = (code, details_of(headers), headers)
        if is_last:
            self.on_end()

    def on_message(self, message: bytes) -> None:
        """See Stream."""
        if self._response is not None:
            raise MessageUnusable("a second answer came")
        self._response = message

    def on_end(self) -> None:
        """See Stream."""
        self._link.forget(self.number)
        if self.unsent or not self.is_sending_done:
            self._link.transport.write(frames.reset_stream(self.number, ErrorCode.CANCEL))
        status = self._status
        if status is None:
            status = (grpc.StatusCode.UNKNOWN, "the peer ended the call without a status", {})
        self.end(status)

    def on_reset(self, code: int) -> None:
        """See Stream."""
        status = _RESET_CODES.get(code, grpc.StatusCode.INTERNAL)  # type: ignore[call-overload]
        self.end((status, f"the peer reset the stream, with code {code}", _NO_HEADERS))

    def on_lost(self, reason: str) -> None:
        """See Stream."""
        self.end((grpc.StatusCode.UNAVAILABLE, reason, _NO_HEADERS))

    def cancel(self) -> None:
        """Ends the call from here, without a word to its owner."""
        self._link.reset(self, ErrorCode.CANCEL)

    def end(self, status: Status) -> None:
        """The call is over."""
        raise NotImplementedError


class UnaryCall(CallStream):
    """A call with one request and one response, which `future` gets, or an AioRpcError."""

    __slots__ = ("_decode", "_timer", "future")

    def __init__(
        self, link: ClientLink, number: int, timeout_s: float | None, decode: Callable[[bytes], Any]
    ) -> None:
        super().__init__(link, number)
        self._decode = decode
        self.future: asyncio.Future[Any] = link.loop.create_future()
        self.future.add_done_callback(self._on_done)
        self._timer = (
            None if timeout_s is None else link.loop.call_later(timeout_s, self._on_deadline)
        )

    def end(self, status: Status) -> None:
        """See CallStream."""
        future = self.future
        if future.done():
            return
        code, details, headers = status
        if code is grpc.StatusCode.OK:
            if self._response is None:
                future.set_exception(failure(grpc.StatusCode.INTERNAL, "the answer is missing"))
                return
            try:
                future.set_result(self._decode(self._response))
            except Exception as problem:  # whatever a deserializer raises
                future.set_exception(failure(grpc.StatusCode.INTERNAL, f"unreadable: {problem}"))
        else:
            future.set_exception(failure(code, details, headers))

    def _on_done(self, future: asyncio.Future[Any]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if future.cancelled():
            self.cancel()

    def _on_deadline(self) -> None:
        self.cancel()
        self.end((grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", _NO_HEADERS))


class MessageStream(CallStream):
    """A call that many messages are written to; `on_over` is told how it ends."""

    __slots__ = ("_on_over", "is_over")

    def __init__(
        self, link: ClientLink, number: int, on_over: Callable[[grpc.StatusCode, str], None]
    ) -> None:
        super().__init__(link, number)
        self._on_over = on_over
        self.is_over = False

    def write(self, message: bytes) -> None:
        """Sends a message; nothing when the call is over."""
        if not self.is_over:
            self._link.send_message(self, message)

    def cancel(self) -> None:
        """See CallStream."""
        self.is_over = True
        super().cancel()

    def end(self, status: Status) -> None:
        """See CallStream."""
        if not self.is_over:
            self.is_over = True
            code, details, _headers = status
            self._on_over(code, details)


class ClientLink(Link):
    """See the module. `opened` completes when the peer has said what it takes."""

    def __init__(self, authority: str) -> None:
        super().__init__()
        self.opened: asyncio.Future[None] = self.loop.create_future()
        self._authority = authority
        self._next = 1
        self._is_going_away = False
        self.is_retired = False
        """Whether another connection has taken its place, so that it ends with its last call."""

    def _preface(self) -> bytes:
        return frames.PREFACE

    @property
    def is_open(self) -> bool:
        """Whether a call may begin."""
        if self.is_closed or self._is_going_away or not self.opened.done():
            return False
        most = self.peer_streams_max
        return self._next <= frames.STREAM_MAX and (most is None or len(self.streams) < most)

    def unary(
        self,
        method: str,
        request: bytes,
        timeout_s: float | None,
        decode: Callable[[bytes], Any],
    ) -> asyncio.Future[Any]:
        """Begins a call; cancelling what it returns ends it."""
        if not self.is_open:
            future: asyncio.Future[Any] = self.loop.create_future()
            future.set_exception(failure(grpc.StatusCode.UNAVAILABLE, "the connection is closed"))
            return future
        call = UnaryCall(self, self._number(), timeout_s, decode)
        self.add(call)
        opening = self._opening_of(call, method, timeout_s)
        self.send_message(call, request, is_last=True, before=opening)
        return call.future

    def open_stream(
        self, method: str, on_over: Callable[[grpc.StatusCode, str], None]
    ) -> MessageStream:
        """Begins a call that messages can be written to; the link has to be open."""
        call = MessageStream(self, self._number(), on_over)
        self.add(call)
        self.transport.write(self._opening_of(call, method, None))
        return call

    def cancel_all(self) -> None:
        """Cancels the calls that are under way."""
        for stream in list(self.streams.values()):
            if isinstance(stream, UnaryCall):
                stream.future.cancel()
            elif isinstance(stream, MessageStream):
                stream.cancel()

    def _opening_of(self, call: CallStream, method: str, timeout_s: float | None) -> bytes:
        timeout_ms = None if timeout_s is None else _coarse(max(1, round(timeout_s * 1000)))
        return frames.headers(call.number, request_block(method, self._authority, timeout_ms))

    def _number(self) -> int:
        number, self._next = self._next, self._next + 2
        return number

    def is_new(self, number: int) -> bool:
        """See Link."""
        return number >= self._next or number % 2 == 0

    def is_spent(self) -> bool:
        """See Link."""
        return self.is_retired and not self.streams

    def on_new_stream(self, number: int, block: bytes, *, is_last: bool) -> None:
        """See Link."""
        if not number or self.is_new(number):
            raise ValueError(f"headers on stream {number}, which nobody opened")

    def on_settings(self) -> None:
        """See Link."""
        if not self.opened.done():
            self.opened.set_result(None)

    def on_goaway(self, last: int, reason: str) -> None:
        """See Link."""
        self._is_going_away = True
        sentence = f"the peer ends the connection: {reason}" if reason else "the peer is ending"
        for number in [each for each in self.streams if each > last]:
            stream = self.forget(number)
            if stream is not None:
                stream.on_lost(sentence)

    def on_unusable(self, stream: Stream, reason: str, *, is_too_large: bool) -> None:
        """See Link."""
        self.reset(stream, ErrorCode.CANCEL)
        code = grpc.StatusCode.RESOURCE_EXHAUSTED if is_too_large else grpc.StatusCode.INTERNAL
        cast("CallStream", stream).end((code, reason, _NO_HEADERS))

    def on_over(self, reason: str) -> None:
        """See Link."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(reason))
            self.opened.exception()  # whoever has waited may have gone; that is no mistake


def _coarse(timeout_ms: int) -> int:
    """At most 1.6% less, and one of few numbers: so header blocks are often equal, and are written
    and read once. To decode one takes longer than all else that is done for a small call."""
    shift = max(0, timeout_ms.bit_length() - _TIMEOUT_BITS)
    return timeout_ms >> shift << shift


def failure(
    code: grpc.StatusCode, details: str, headers: Mapping[str, str] = _NO_HEADERS
) -> AioRpcError:
    """What a call raises that ended with `code`."""
    trailers = Metadata(*[each for each in headers.items() if not each[0].startswith(_OF_GRPC)])
    return AioRpcError(code, Metadata(), trailers, details, None)
