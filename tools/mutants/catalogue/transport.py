"""Mistakes of HTTP/2 transports: windows, ends of streams, resets, and connections that hang."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_LINK: Final = "kvstore/http2/link.py"
_OUTFLOW: Final = "kvstore/http2/outflow.py"
_CALLS: Final = "kvstore/http2/calls.py"
_SERVING: Final = "kvstore/http2/serving.py"

TRANSPORT: Final = (
    Mutation(
        name="window-of-stream-not-opened-again",
        area=Area.TRANSPORT,
        mistake="Only the connection's window is refilled: a long stream stops after two GiB.",
        seen="RFC 9113, 5.2.1: windows are of streams and of the connection",
        path=_LINK,
        old="""\
        if stream.received_bytes >= _WINDOW_REFILL and not is_last:
""",
        new="""\
        if stream.received_bytes > frames.WINDOW_MAX and not is_last:
""",
    ),
    Mutation(
        name="data-of-ended-calls-not-counted",
        area=Area.TRANSPORT,
        mistake="What comes for calls that were reset uses the connection's window up for good.",
        seen="RFC 9113, 5.1: DATA after RST_STREAM count toward the connection's window",
        path=_LINK,
        old="""\
        self._received_bytes += len(payload)
""",
        new="""\
        if number in self.streams:
            self._received_bytes += len(payload)
""",
    ),
    Mutation(
        name="window-of-connection-not-used-up",
        area=Area.TRANSPORT,
        mistake="What had to wait is sent past the connection's window: others end the connection.",
        seen="RFC 9113, 6.9.1",
        path=_OUTFLOW,
        old="""\
            size = len(piece)
            self._window -= size
""",
        new="""\
            size = len(piece)
""",
    ),
    Mutation(
        name="settings-forget-what-is-on-its-way",
        area=Area.TRANSPORT,
        mistake="A new initial size replaces a stream's window, which had been used in part.",
        seen="RFC 9113, 6.9.2: windows change by the difference and may fall below nothing",
        path=_OUTFLOW,
        old="""\
            stream.send_window += size - self.stream_window
""",
        new="""\
            stream.send_window = size
""",
    ),
    Mutation(
        name="end-with-the-first-piece",
        area=Area.TRANSPORT,
        mistake="A message that is sent in pieces ends its stream with the first of them.",
        seen="RFC 9113, 6.1: END_STREAM is for the last frame",
        path=_OUTFLOW,
        old="""\
            is_last = stream.is_sending_done and not stream.unsent
""",
        new="""\
            is_last = stream.is_sending_done
""",
    ),
    Mutation(
        name="trailers-before-data",
        area=Area.TRANSPORT,
        mistake="The trailers of a response overtake what of it waits for a window.",
        seen="RFC 9113, 8.1",
        path=_SERVING,
        old="""\
        if self.send_message(call, body, before=before, after=after):
            self.forget(number)
""",
        new="""\
        if not self.send_message(call, body, before=before, after=after):
            self.on_sent(call)
""",
    ),
    Mutation(
        name="finished-message-kept",
        area=Area.TRANSPORT,
        mistake="What a message was gathered in is not emptied when it ends with a frame.",
        seen="gRPC's messages do not end where frames do",
        path="kvstore/http2/stream.py",
        old="""\
        if self.partial or start < end:
""",
        new="""\
        if start < end:
""",
    ),
    Mutation(
        name="refused-message-miscounted",
        area=Area.TRANSPORT,
        mistake="Bytes of a message that is refused are taken off what was never counted: the"
        " bound on unfinished messages moves away.",
        seen="found by reading",
        path=_LINK,
        old="""\
                self.waiting_bytes += len(stream.partial) - before
                self.on_unusable(
""",
        new="""\
                self.on_unusable(
""",
    ),
    Mutation(
        name="header-block-interrupted",
        area=Area.TRANSPORT,
        mistake="Other frames are taken in the middle of a header block.",
        seen="RFC 9113, 4.3: a block is one unit; CVE-2024-27316 and its kin",
        path=_LINK,
        old="""\
            self._expected = FrameType.CONTINUATION
""",
        new="",
    ),
    Mutation(
        name="cancel-told-to-nobody",
        area=Area.TRANSPORT,
        mistake="A call that its caller cancels is forgotten and not reset: the peer works on.",
        seen="gRPC over HTTP/2: cancellation is RST_STREAM",
        path=_CALLS,
        old="""\
        if future.cancelled():
            self.cancel()
""",
        new="""\
        if future.cancelled():
            self._link.forget(self.number)
""",
    ),
    Mutation(
        name="deadline-told-to-nobody",
        area=Area.TRANSPORT,
        mistake="A call whose deadline passes is not reset: its stream stays open.",
        seen="streams that leak until no call may begin",
        path=_CALLS,
        old="""\
        self.cancel()
        self.end((grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", _NO_HEADERS))
""",
        new="""\
        self.end((grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", _NO_HEADERS))
""",
    ),
    Mutation(
        name="goaway-leaves-calls-waiting",
        area=Area.TRANSPORT,
        mistake="Calls above the last one that a peer serves wait until their deadlines.",
        seen="RFC 9113, 6.8",
        path=_CALLS,
        old="""\
        for number in [each for each in self.streams if each > last]:
""",
        new="""\
        for number in [each for each in self.streams if each > last and self.is_closed]:
""",
    ),
    Mutation(
        name="silent-peer-asked-for-ever",
        area=Area.TRANSPORT,
        mistake="Keep-alive asks and asks, and never gives a peer up.",
        seen="half-open connections",
        path="kvstore/http2/keep_alive.py",
        old="""\
            self._pinged = True
""",
        new="",
    ),
    Mutation(
        name="ended-call-keeps-connection-stopped",
        area=Area.TRANSPORT,
        mistake="A handler that ends without having read all leaves its connection unread.",
        seen="found by reading",
        path=_SERVING,
        old="""\
        if self._paused:
            self._resume(number)
        stream = super().forget(number)
""",
        new="""\
        stream = super().forget(number)
""",
    ),
    Mutation(
        name="reset-calls-not-counted",
        area=Area.TRANSPORT,
        mistake="Handlers of calls that were reset are not counted: any number may be made to run.",
        seen="CVE-2023-44487, rapid reset",
        path=_SERVING,
        old="""\
        if self._is_going_away or max(len(self.streams), len(self.tasks)) >= _STREAMS_MAX:
""",
        new="""\
        if self._is_going_away or len(self.streams) >= _STREAMS_MAX:
""",
    ),
    Mutation(
        name="passage-without-backpressure",
        area=Area.TRANSPORT,
        mistake="A visitor that does not read is buffered for without a bound.",
        seen="proxies that run out of memory",
        path="kvstore/rpc/front_door.py",
        old="""\
            self._other.transport.pause_reading()
""",
        new="""\
            pass
""",
    ),
    Mutation(
        name="first-words-of-inner-server-lost",
        area=Area.TRANSPORT,
        mistake="The two sides of a passage are joined when both are there: what gRPC's own server"
        " says before that is lost, and its client waits.",
        seen="made here, and found by the tests of real nodes",
        path="kvstore/rpc/front_door.py",
        old="""\
            await loop.create_unix_connection(lambda: _Passage(self, outer), sock=way)
""",
        new="""\
            _, inner = await loop.create_unix_connection(lambda: _Passage(self), sock=way)
            inner._other, outer._other = outer, inner
""",
    ),
)
