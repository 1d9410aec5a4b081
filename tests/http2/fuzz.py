"""Bytes that nobody wrote, for both ends of a connection: from one seed, as many as wanted.

    python -m tests.http2.fuzz --count 100000 --seed 1

An input is random bytes, frames whose fields are any, or a valid conversation with random damage;
it comes in pieces. Nothing may be raised but for the calls, no call may stay without an end, what
is counted of unfinished messages must be nothing in the end, and what is answered must be frames.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from random import Random

import grpc.aio
from structlog.testing import capture_logs

from kvstore.http2 import frames
from kvstore.http2.calls import ClientLink
from kvstore.http2.frames import FrameType, Setting
from kvstore.http2.headers import OK_TRAILERS, RESPONSE_BLOCK, encode, error_response
from kvstore.http2.link import Link
from tests.http2.support import (
    SETTINGS,
    Pipe,
    Service,
    call_frames,
    data_frame,
    frames_of,
    headers_frame,
    path,
    served,
    with_prefix,
)

_WRITTEN_BYTES_MAX = 1 << 20
"""What an input of some kilobytes may be answered with."""


class Fuzzer:
    """Makes inputs and checks what becomes of them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.outcomes: Counter[str] = Counter()

    def run(self, count: int) -> None:
        with capture_logs():  # handlers that break say so, each time
            asyncio.run(self._run(count))

    async def _run(self, count: int) -> None:
        for _ in range(count):
            choice = self._random.random()
            for_server = self._random.random() < 0.6
            if choice < 0.1:
                data = self._noise()
            elif choice < 0.5:
                data = SETTINGS + self._forged()
            else:
                data = self._damaged(self._request() if for_server else self._response())
            if for_server:
                await self._check_server(data)
            else:
                await self._check_client(data)

    # Checks

    def _feed(self, link: Link, data: bytes) -> None:
        while data and not link.is_closed:
            size = self._random.choice((1, 9, 30, 200, len(data)))
            link.data_received(data[:size])
            data = data[size:]

    async def _check_server(self, data: bytes) -> None:
        service = Service()
        service.go.set()
        link, pipe = served(service)
        self._feed(link, data)
        for _ in range(3):
            await asyncio.sleep(0)
        self._conclude(link, pipe, "server")
        await link.stop(None)
        assert not link.tasks
        assert link.waiting_bytes == 0 or link.is_closed

    async def _check_client(self, data: bytes) -> None:
        link, pipe = ClientLink("host"), Pipe()
        link.connection_made(pipe)
        link.data_received(SETTINGS)
        pipe.taken()
        futures = [link.unary(path("Echo"), b"x" * 100, None, bytes) for _ in range(3)]
        ends: list[object] = []
        stream = link.open_stream(path("Count"), lambda *end: ends.append(end))
        stream.write(bytes(70_000))
        self._feed(link, data)
        self._conclude(link, pipe, "client")
        link.lose("the input ended")
        assert len(ends) == 1
        for future in futures:
            assert future.done()
            problem = future.exception()
            if problem is None:
                self.outcomes["answers"] += 1
            else:
                assert isinstance(problem, grpc.aio.AioRpcError)
                self.outcomes["failures"] += 1
        await asyncio.sleep(0)

    def _conclude(self, link: Link, pipe: Pipe, end: str) -> None:
        assert link.is_closed == pipe.is_shut
        assert len(pipe.written) < _WRITTEN_BYTES_MAX
        frames_of(bytes(pipe.written))
        if not link.is_closed:
            kept = [len(each.partial) + each.held_bytes for each in link.streams.values()]
            assert link.waiting_bytes == sum(kept)
        self.outcomes[f"{end} {'ended' if link.is_closed else 'goes on'}"] += 1

    # Inputs

    def _noise(self) -> bytes:
        data = self._random.randbytes(self._random.randrange(300))
        return SETTINGS + data if self._random.random() < 0.5 else data

    def _forged(self) -> bytes:
        """Frames that are whole; their fields are any."""
        random = self._random
        parts = []
        for _ in range(random.randint(1, 12)):
            kind = random.choice([*FrameType, FrameType.DATA, FrameType.HEADERS, 2, 11])
            number = random.choice((0, 1, 1, 3, 3, 5, 7, 2, random.getrandbits(32)))
            flags = random.choice((0, 1, 4, 5, 4, 5, 8, 0x2D, random.getrandbits(8)))
            parts.append(frames.frame(kind, flags, number, self._payload(kind)))
        return b"".join(parts)

    def _payload(self, kind: int) -> bytes:
        random = self._random
        if random.random() < 0.15:
            return random.randbytes(random.randrange(40))
        match kind:
            case FrameType.DATA:
                message = with_prefix(random.randbytes(random.choice((0, 3, 200))))
                return message[: random.choice((len(message), len(message), 3, 6))]
            case FrameType.HEADERS | FrameType.CONTINUATION:
                method = random.choice(("Echo", "Count", "Fail", "Nothing", "Many", "Size"))
                request = encode([(":path", path(method)), ("grpc-timeout", "9S")])
                return random.choice((request, request, RESPONSE_BLOCK, OK_TRAILERS))
            case FrameType.SETTINGS:
                name: int = random.choice((*Setting, random.getrandbits(16)))
                value = random.choice((0, 1, 20_000, 1 << 20, random.getrandbits(32)))
                return name.to_bytes(2) + value.to_bytes(4)
            case FrameType.PING | FrameType.GOAWAY:
                return random.randbytes(8)
            case _:
                return random.choice((1, 7, 50_000, random.getrandbits(32))).to_bytes(4)

    def _request(self) -> bytes:
        random = self._random
        parts = [SETTINGS]
        for number in range(1, 2 * random.randint(1, 5), 2):
            body = random.randbytes(random.randrange(400))
            match random.randrange(5):
                case 0 | 1:
                    parts.append(call_frames(number, random.choice(("Echo", "Wait")), body))
                case 2:
                    parts.append(call_frames(number, "Fail", b"no"))
                case 3:
                    parts += (headers_frame(number, "Count"), data_frame(number, with_prefix(body)))
                    parts += (data_frame(number, with_prefix(body), is_last=True),)
                case _:
                    parts += (headers_frame(number, "Leave"), data_frame(number, with_prefix(b"x")))
            if random.random() < 0.3:
                parts.append(frames.window_update(0, 1000) + frames.window_update(number, 1000))
        return b"".join(parts)

    def _response(self) -> bytes:
        random = self._random
        parts = [SETTINGS, frames.window_update(0, 1 << 20)]
        last = frames.END_HEADERS | frames.END_STREAM
        for number in random.sample((1, 3, 5, 7), random.randint(1, 4)):
            head = frames.frame(FrameType.HEADERS, frames.END_HEADERS, number, RESPONSE_BLOCK)
            body = data_frame(number, with_prefix(random.randbytes(random.randrange(400))))
            trailers = OK_TRAILERS if random.random() < 0.8 else error_response(9, "no")
            parts += (head, body, frames.frame(FrameType.HEADERS, last, number, trailers))
        return b"".join(parts)

    def _damaged(self, data: bytes) -> bytes:
        random = self._random
        damaged = bytearray(data)
        for _ in range(random.randint(0, 3)):
            at = random.randrange(len(damaged) + 1)
            match random.randrange(5):
                case 0 | 1 if at < len(damaged):
                    damaged[at] ^= 1 << random.randrange(8)
                case 2:
                    del damaged[at : at + random.randrange(30)]
                case 3:
                    damaged[at:at] = damaged[at : at + random.randrange(100)]
                case _:
                    damaged[at:at] = random.randbytes(random.randrange(20))
        return bytes(damaged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    fuzzer = Fuzzer(arguments.seed)
    started_s = time.monotonic()
    fuzzer.run(arguments.count)
    elapsed_s = time.monotonic() - started_s
    print(f"{arguments.count} inputs in {elapsed_s:.0f} s: {dict(fuzzer.outcomes)}")  # noqa: T201


if __name__ == "__main__":
    main()
