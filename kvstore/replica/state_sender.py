"""Sends applied states to followers that need what was compacted (dissertation 5.3).

A state is read from a view of the engine, chunk by chunk, as the receiver acknowledges them. A few
chunks are under way at a time; they are kept until they are acknowledged, and sent again when
nothing is heard for a while. When nothing is heard for long, the core is told that it failed, and
sends another: no stream is ever resumed by another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

import xxhash

from cluster.ids import GroupId, ReplicaId
from cluster.raft.messages import SnapshotRequest
from kvstore.codec.state_transfer import StateAck, StateChunk, checksum, encode_records
from kvstore.storage.engine import Engine, EngineView
from kvstore.storage.keys import replica_end, replica_prefix
from kvstore.storage.view_pages import ViewPages

STREAMS_MAX: Final = 2
"""Under way from one node."""
WINDOW_CHUNKS: Final = 4
"""Of one stream, sent and not acknowledged."""
RESEND_TICKS: Final = 10
SILENCE_TICKS_MAX: Final = 100
"""Without an acknowledgement, or from the last one until the receiver has installed the state."""
_PAGE_KEYS_MAX: Final = 4096


class StateReader:
    """The stream of one state."""

    __slots__ = ("_buffer", "_chunk_bytes", "_digest", "_pages")

    def __init__(self, view: EngineView, prefix: bytes, chunk_bytes: int) -> None:
        self._pages = ViewPages(view, prefix, _PAGE_KEYS_MAX)
        self._chunk_bytes = chunk_bytes
        self._buffer = bytearray()
        self._digest = xxhash.xxh3_64()

    def next(self) -> tuple[bytes, int | None]:
        """The next piece of the stream, and on the last one the hash of all."""
        cut = len(self._pages.prefix)
        while len(self._buffer) < self._chunk_bytes and not self._pages.is_read:
            page = self._pages.next(self._chunk_bytes)
            self._buffer += encode_records(cut, page.keys, page.values)
        data = bytes(self._buffer[: self._chunk_bytes])
        del self._buffer[: self._chunk_bytes]
        self._digest.update(data)
        is_last = self._pages.is_read and not self._buffer
        return data, self._digest.intdigest() if is_last else None

    def close(self) -> None:
        """Lets go of the view."""
        self._pages.close()


@dataclass(slots=True)
class _Stream:
    request: SnapshotRequest
    number: int
    reader: StateReader
    window: deque[StateChunk] = field(default_factory=deque)
    sequence: int = 0
    """Of the next chunk to be read."""
    is_read: bool = False
    silent_ticks: int = 0

    @property
    def first_unacknowledged(self) -> int:
        return self.sequence - len(self.window)


class StateSender:
    """See the module."""

    __slots__ = ("_chunk_bytes", "_engine", "_fail", "_leads", "_random", "_send", "_streams")

    def __init__(
        self,
        engine: Engine,
        random: Random,
        *,
        chunk_bytes: int,
        send: Callable[[GroupId, StateChunk], None],
        leads: Callable[[GroupId, SnapshotRequest], bool],
        fail: Callable[[GroupId, SnapshotRequest], None],
    ) -> None:
        """`leads` says whether this node still leads the group in the term of the request; `fail`
        tells its core that the snapshot will not arrive."""
        self._engine = engine
        self._chunk_bytes = chunk_bytes
        self._random = random
        self._send = send
        self._leads = leads
        self._fail = fail
        self._streams: dict[tuple[GroupId, ReplicaId], _Stream] = {}

    @property
    def streams(self) -> int:
        """How many states are being read."""
        return sum(not stream.is_read for stream in self._streams.values())

    def begin(self, group: GroupId, generation: int, request: SnapshotRequest) -> None:
        """Begins to send the state as it is now, which is the one that `request` describes."""
        self._drop((group, request.to))
        if self.streams >= STREAMS_MAX:
            self._fail(group, request)
            return
        prefix = replica_prefix(group, generation)
        view = self._engine.view(prefix, replica_end(group, generation))
        number = self._random.getrandbits(63)
        stream = _Stream(request, number, StateReader(view, prefix, self._chunk_bytes))
        self._streams[group, request.to] = stream
        self._fill(group, stream)

    def on_ack(self, group: GroupId, ack: StateAck) -> None:
        """Goes on with what comes next."""
        key = (group, ack.sender)
        stream = self._streams.get(key)
        if stream is None or stream.number != ack.stream:
            return
        if ack.refused or ack.expected < stream.first_unacknowledged:
            self._give_up(key)
            return
        if ack.expected > stream.sequence:
            return
        while stream.first_unacknowledged < ack.expected:
            stream.window.popleft()
            stream.silent_ticks = 0
        self._fill(group, stream)

    def tick(self) -> None:
        """Sends again what was not acknowledged, and gives up what was not for long."""
        for key, stream in list(self._streams.items()):
            stream.silent_ticks += 1
            if not self._leads(key[0], stream.request):
                self._drop(key)
            elif stream.silent_ticks >= SILENCE_TICKS_MAX:
                self._give_up(key)
            elif stream.silent_ticks % RESEND_TICKS == 0:
                for chunk in stream.window:
                    self._send(key[0], chunk)

    def forget_peer(self, peer: ReplicaId) -> None:
        """`peer` has connected: it may have lost what it had of a state."""
        for key in [key for key in self._streams if key[1] == peer]:
            self._give_up(key)

    def close(self) -> None:
        """Lets go of all views."""
        for key in list(self._streams):
            self._drop(key)

    def _fill(self, group: GroupId, stream: _Stream) -> None:
        request = stream.request
        # Alone at first: the receiver may not want it.
        window = WINDOW_CHUNKS if stream.first_unacknowledged else 1
        while not stream.is_read and len(stream.window) < window:
            data, state_hash = stream.reader.next()
            chunk = StateChunk(
                request.sender,
                request.to,
                request.term,
                request.snapshot,
                stream.number,
                stream.sequence,
                data,
                checksum(data),
                state_hash,
            )
            stream.sequence += 1
            stream.window.append(chunk)
            self._send(group, chunk)
            if state_hash is not None:
                stream.is_read = True
                stream.reader.close()

    def _give_up(self, key: tuple[GroupId, ReplicaId]) -> None:
        request = self._streams[key].request
        self._drop(key)
        self._fail(key[0], request)

    def _drop(self, key: tuple[GroupId, ReplicaId]) -> None:
        stream = self._streams.pop(key, None)
        if stream is not None:
            stream.reader.close()
