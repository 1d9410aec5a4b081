"""The server's end of a connection: runs the handlers that gRPC's own server would run."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, NoReturn, cast

import grpc
import structlog
from grpc.aio import EOF  # type: ignore[attr-defined]  # the stubs lack it

from kvstore.http2 import frames
from kvstore.http2 import headers as header_blocks
from kvstore.http2.frames import ErrorCode, Violation
from kvstore.http2.headers import RESPONSE_BLOCK, decode
from kvstore.http2.link import Link
from kvstore.http2.stream import MessageUnusable, Stream

_STREAMS_MAX: Final = 4096
_INBOX_BYTES_MAX: Final = 8 << 20
"""Of messages that a handler has not read: beyond it, nothing more is read from the peer."""

Handler = Any
"""A grpc.RpcMethodHandler: which of its functions there is depends on its kind."""

_log = structlog.get_logger(__name__)


def number_of(code: grpc.StatusCode) -> int:
    """As it is written in trailers."""
    number, _name = cast("tuple[int, str]", code.value)
    return number


class MethodTable:
    """The methods of a server, by their paths."""

    def __init__(self, handlers: Sequence[grpc.GenericRpcHandler[Any, Any]]) -> None:
        self._handlers = handlers
        self._known: dict[str, Handler] = {}

    def find(self, path: str) -> Handler | None:
        """The method at `path`; None: there is none."""
        if path in self._known:
            return self._known[path]
        details = _CallDetails(path)
        found = None
        for each in self._handlers:
            found = each.service(cast("grpc.HandlerCallDetails", details))
            if found is not None:
                self._known[path] = found  # so it is bounded by what there is
                break
        return found


class _CallDetails:
    """What a generic handler asks of a call."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata: tuple[tuple[str, str], ...] = ()


class _Aborted(Exception):
    """A handler ends its call."""

    def __init__(
        self, code: grpc.StatusCode, details: str, metadata: Iterable[tuple[str, str]]
    ) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details
        self.metadata = metadata


class ServedCall(Stream):
    """A call, and what its handler knows of it: the part of grpc.aio.ServicerContext that the
    services here use."""

    __slots__ = (
        "_deadline_s",
        "_has_ended",
        "_inbox",
        "_inbox_bytes",
        "_link",
        "_method",
        "_reader",
        "task",
    )

    def __init__(
        self,
        link: ServerLink,
        number: int,
        method: Handler,
        timeout_s: float | None,
    ) -> None:
        super().__init__(number, link.new_window())
        self._link = link
        self._method = method
        self._deadline_s = None if timeout_s is None else link.loop.time() + timeout_s
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._has_ended = False
        self._reader: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None

    # --- what handlers ask

    def peer(self) -> str:
        """Whose connection it is: its address."""
        return self._link.peer

    def time_remaining(self) -> float | None:
        """Seconds until the caller gives up; None: it waits for as long as it takes."""
        if self._deadline_s is None:
            return None
        return max(0.0, self._deadline_s - self._link.loop.time())

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Iterable[tuple[str, str]] = (),
    ) -> NoReturn:
        """Ends the call."""
        raise _Aborted(code, details, trailing_metadata)

    async def read(self) -> Any:
        """The next message of the caller; EOF after the last one."""
        while not self._inbox:
            if self._has_ended:
                return EOF
            self._reader = self._link.loop.create_future()
            await self._reader
        message = self._inbox.popleft()
        self._inbox_bytes -= len(message)
        if self._inbox_bytes <= _INBOX_BYTES_MAX:
            self._link.resume_reading(self)
        return self._decoded(message)

    def _decoded(self, message: bytes) -> Any:
        try:
            return self._method.request_deserializer(message)
        except Exception as problem:  # whatever a deserializer raises
            raise _Aborted(grpc.StatusCode.INTERNAL, f"unreadable: {problem}", ()) from problem

    # --- what comes in

    def on_headers(self, block: bytes, *, is_last: bool) -> None:
        """See Stream."""
        if not is_last:
            raise ValueError(f"stream {self.number} has headers in its middle")
        self.on_end()

    def on_message(self, message: bytes) -> None:
        """See Stream."""
        if not self._method.request_streaming:
            self._on_request(message)
            return
        if self._has_ended:
            raise Violation(ErrorCode.STREAM_CLOSED, f"DATA after the end of {self.number}")
        self._inbox.append(message)
        self._inbox_bytes += len(message)
        if self._inbox_bytes > _INBOX_BYTES_MAX:
            self._link.pause_reading(self)
        self._wake()

    def _on_request(self, message: bytes) -> None:
        """The one message of a unary call: its handler runs when the call's end has come, too."""
        if self._inbox or self._has_ended:
            raise MessageUnusable("a second request came")
        self._inbox.append(message)
        self.held_bytes = len(message)
        self._link.waiting_bytes += len(message)

    def on_end(self) -> None:
        """See Stream."""
        if self._has_ended:
            raise Violation(ErrorCode.STREAM_CLOSED, f"stream {self.number} ends twice")
        self._has_ended = True
        if self._method.request_streaming:
            self._wake()
        else:
            self._link.waiting_bytes -= self.held_bytes
            self.held_bytes = 0
            self._start(self._unary)

    def on_reset(self, code: int) -> None:
        """See Stream."""
        self._stop()

    def on_lost(self, reason: str) -> None:
        """See Stream."""
        self._stop()

    def begin(self) -> None:
        """Runs the handler, unless it waits for the whole request."""
        if self._method.request_streaming:
            self._start(self._streaming)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _stop(self) -> None:
        self._link.resume_reading(self)
        if self.task is not None:
            self.task.cancel()

    # --- running the handler

    def _start(self, work: Callable[[], Awaitable[Any]]) -> None:
        self.task = self._link.loop.create_task(self._run(work))
        self._link.tasks[self.task] = None
        self.task.add_done_callback(self._link.forget_task)

    async def _unary(self) -> Any:
        if len(self._inbox) != 1:
            raise _Aborted(
                grpc.StatusCode.INTERNAL, f"{len(self._inbox)} messages came, not one", ()
            )
        request = self._decoded(self._inbox.popleft())
        return await self._method.unary_unary(request, self)

    async def _streaming(self) -> Any:
        return await self._method.stream_unary(None, self)

    async def _run(self, work: Callable[[], Awaitable[Any]]) -> None:
        try:
            response = await work()
            body = self._method.response_serializer(response)
        except _Aborted as end:
            self._finish(end.code, end.details, end.metadata)
        except asyncio.CancelledError:
            self._finish(grpc.StatusCode.CANCELLED, "the call was cancelled", ())
            raise
        except Exception as problem:
            _log.exception("a call failed")
            sentence = f"Unexpected {type(problem)}: {problem}"
            self._finish(grpc.StatusCode.UNKNOWN, sentence, ())
        else:
            self._link.respond(self, body)

    def _finish(
        self, code: grpc.StatusCode, details: str, metadata: Iterable[tuple[str, str]]
    ) -> None:
        number = number_of(code)
        block = header_blocks.error_response(number, details, metadata)
        self._link.end(self, block, is_whole=self._has_ended)


class ServerLink(Link):
    """See the module. Whoever makes it has read the preface; `on_gone` is told when it is over."""

    def __init__(self, methods: MethodTable, on_gone: Callable[[ServerLink], None]) -> None:
        super().__init__(streams_max=_STREAMS_MAX)
        self.tasks: dict[asyncio.Task[None], None] = {}
        self._methods = methods
        self._on_gone = on_gone
        self._last = 0
        self._is_going_away = False
        self._paused: dict[int, None] = {}
        self._answering: dict[int, ServedCall] = {}
        self._drained: asyncio.Future[None] | None = None
        self.peer = ""
        """The address at the other end; empty where there is none to be told."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See Link."""
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        if name is not None:
            self.peer = f"[{name[0]}]:{name[1]}"

    # --- reading no more than is worked off

    def pause_writing(self) -> None:
        """See Link: who does not read what is answered is not listened to."""
        super().pause_writing()
        self._pause(0)

    def resume_writing(self) -> None:
        """See Link."""
        super().resume_writing()
        self._resume(0)

    def pause_reading(self, call: ServedCall) -> None:
        """Its handler has enough to read."""
        self._pause(call.number)

    def resume_reading(self, call: ServedCall) -> None:
        """Its handler has read."""
        if self._paused:
            self._resume(call.number)

    def _pause(self, number: int) -> None:
        if not self._paused:
            self.transport.pause_reading()
        self._paused[number] = None

    def _resume(self, number: int) -> None:
        if self._paused.pop(number, self) is None and not self._paused and not self.is_closed:
            self.transport.resume_reading()

    def is_deaf(self) -> bool:
        """See Link. A caller that does not read (stream 0) is not excused."""
        return any(self._paused)

    # --- calls

    def is_new(self, number: int) -> bool:
        """See Link."""
        return number > self._last or number % 2 == 0

    def last_stream(self) -> int:
        """See Link."""
        return self._last

    def on_new_stream(self, number: int, block: bytes, *, is_last: bool) -> None:
        """See Link."""
        if number % 2 == 0:
            raise ValueError(f"a caller opens stream {number}")
        if number <= self._last:
            return  # trailers of a call that has ended here
        self._last = number
        # Handlers of calls that were reset may still be ending: they count, too.
        if self._is_going_away or max(len(self.streams), len(self.tasks)) >= _STREAMS_MAX:
            self._refuse(number)
            return
        headers = decode(block)
        path = headers.get(":path", "")
        method = self._methods.find(path)
        if method is None or method.response_streaming:
            sentence = (
                f"there is no method {path} here"
                if method is None
                else (f"{path} answers with a stream, which is not spoken directly")
            )
            self._answer_at_once(number, grpc.StatusCode.UNIMPLEMENTED, sentence)
            return
        try:
            timeout_s = header_blocks.timeout_s(headers)
        except ValueError as problem:
            self._answer_at_once(number, grpc.StatusCode.INTERNAL, str(problem))
            return
        call = ServedCall(self, number, method, timeout_s)
        self.add(call)
        call.begin()
        if is_last:
            call.on_end()

    def _refuse(self, number: int) -> None:
        stream = Stream(number, 0)
        self.add(stream)
        self.reset(stream, ErrorCode.REFUSED_STREAM)

    def _answer_at_once(self, number: int, code: grpc.StatusCode, sentence: str) -> None:
        block = header_blocks.error_response(number_of(code), sentence)
        self.transport.write(frames.headers(number, block, is_last=True))

    def respond(self, call: ServedCall, body: bytes) -> None:
        """Sends the response of a call that went well."""
        if self.streams.get(call.number) is not call:
            return
        number = call.number
        before = frames.headers(number, RESPONSE_BLOCK)
        after = frames.headers(number, header_blocks.OK_TRAILERS, is_last=True)
        self._answering[number] = call
        if self.send_message(call, body, before=before, after=after):
            self.forget(number)

    def on_sent(self, stream: Stream) -> None:
        """See Link: behind its response go the trailers."""
        call = self._answering.pop(stream.number, None)
        if call is not None:
            self.end(call, header_blocks.OK_TRAILERS, is_whole=True)

    def end(self, call: ServedCall, block: bytes, *, is_whole: bool) -> None:
        """Ends a call with trailers. Where the caller would go on sending, it is told not to."""
        if self.is_closed or self.streams.get(call.number) is not call:
            return
        self.transport.write(frames.headers(call.number, block, is_last=True))
        if is_whole:
            self.forget(call.number)
        else:
            self.reset(call, ErrorCode.NO_ERROR)

    def forget(self, number: int) -> Stream | None:
        """See Link."""
        self._answering.pop(number, None)
        if self._paused:
            self._resume(number)
        stream = super().forget(number)
        if self._drained is not None and not self.streams and not self._drained.done():
            self._drained.set_result(None)
        return stream

    def on_unusable(self, stream: Stream, reason: str, *, is_too_large: bool) -> None:
        """See Link."""
        code = grpc.StatusCode.RESOURCE_EXHAUSTED if is_too_large else grpc.StatusCode.INTERNAL
        if stream.number in self._answering:  # its response is under way
            self.reset(stream, ErrorCode.INTERNAL_ERROR)
        else:
            self._answer_at_once(stream.number, code, reason)
            self.reset(stream, ErrorCode.NO_ERROR)
        stream.on_lost(reason)

    # --- its end

    def forget_task(self, task: asyncio.Task[None]) -> None:
        """A handler has ended."""
        self.tasks.pop(task, None)

    def go_away(self) -> None:
        """Takes no new calls from now on."""
        if not self.is_closed and not self._is_going_away:
            self._is_going_away = True
            self.transport.write(
                frames.goaway(self._last, ErrorCode.NO_ERROR, "the node is stopping")
            )

    async def stop(self, grace_s: float | None) -> None:
        """Ends it: calls under way may go on for `grace_s`."""
        self.go_away()
        if self.streams and grace_s:
            self._drained = self.loop.create_future()
            await asyncio.wait((self._drained,), timeout=grace_s)
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(list(self.tasks))
        self.lose("the node has stopped")

    def on_goaway(self, last: int, reason: str) -> None:
        """See Link: the caller opens no more; what is under way goes on."""

    def on_over(self, reason: str) -> None:
        """See Link."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._on_gone(self)
