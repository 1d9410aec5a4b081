"""Takes in states that leaders send, beside what there is: in the next generation of the group.

Nothing of it is visible until it is installed (`state_installer`). What arrives is written in
batches of one chunk; a stream that breaks off leaves keys that the next one, or the next start,
deletes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import xxhash

from cluster.ids import GroupId, ReplicaId
from cluster.raft.messages import SnapshotRequest
from cluster.raft.snapshot import SnapshotMeta
from kvstore.codec.byteslist import CodecError
from kvstore.codec.state_transfer import StateAck, StateChunk, checksum, take_records
from kvstore.errors import CorruptionError, ResourceExhausted
from kvstore.replica.replica import Replica
from kvstore.storage.engine import Engine
from kvstore.storage.keys import replica_end, replica_prefix
from kvstore.storage.position import load_generation, load_position_of

STREAMS_MAX: Final = 2
"""To one node at a time."""
SILENCE_TICKS_MAX: Final = 200
"""After which a stream is forgotten."""


@dataclass(slots=True)
class _Stream:
    number: int
    request: SnapshotRequest
    generation: int
    """Where it is written."""
    digest: xxhash.xxh3_64
    expected: int = 0
    partial: bytearray = field(default_factory=bytearray)
    """The beginning of a record whose end has not arrived."""
    is_whole: bool = False
    silent_ticks: int = 0


class StateReceiver:
    """See the module."""

    __slots__ = ("_arrived", "_engine", "_has_room", "_me", "_replicas", "_send", "_streams")

    def __init__(
        self,
        me: ReplicaId,
        engine: Engine,
        replicas: Mapping[GroupId, Replica],
        send: Callable[[GroupId, StateAck], None],
        arrived: Callable[[Replica, SnapshotRequest], None],
        *,
        has_room: Callable[[], bool],
    ) -> None:
        """`arrived` hands a request to the core of a replica: its state is whole, or not needed.
        `has_room`: whether the disk may take another state."""
        self._has_room = has_room
        self._me = me
        self._engine = engine
        self._replicas = replicas
        self._send = send
        self._arrived = arrived
        self._streams: dict[GroupId, _Stream] = {}

    @property
    def streams(self) -> int:
        """How many states are arriving, or are there and not yet installed."""
        return len(self._streams)

    @property
    def bytes_held(self) -> int:
        """Of records whose end has not arrived."""
        return sum(len(stream.partial) for stream in self._streams.values())

    def on_chunk(self, group: GroupId, chunk: StateChunk) -> None:
        """Takes the chunk if it is the next one, and says which one is."""
        stream = self._streams.get(group)
        if stream is None or stream.number != chunk.stream:
            if chunk.sequence:
                self._answer(group, chunk, 0)
                return
            try:
                stream = self._begin(group, chunk, stream)
            except ResourceExhausted:
                stream = None  # it would not find room either
            if stream is None:
                self._answer(group, chunk, 0, refused=True)
                return
        stream.silent_ticks = 0
        if chunk.sequence == stream.expected and checksum(chunk.data) == chunk.checksum:
            try:
                self._take(group, stream, chunk)
                if stream.is_whole:
                    self._arrived(self._replicas[group], stream.request)
            except (CodecError, CorruptionError, ResourceExhausted):
                self.drop(group)
                self._answer(group, chunk, 0, refused=True)
                return
        self._answer(group, chunk, stream.expected)

    def take(self, group: GroupId, snapshot: SnapshotMeta) -> int | None:
        """The generation that holds the whole state of `snapshot`, which is now the caller's."""
        stream = self._streams.get(group)
        if stream is None or not stream.is_whole or stream.request.snapshot != snapshot:
            return None
        del self._streams[group]
        return stream.generation

    def drop_whole(self, group: GroupId) -> None:
        """The core has no use for the state that is there."""
        stream = self._streams.get(group)
        if stream is not None and stream.is_whole:
            self.drop(group)

    def drop(self, group: GroupId) -> None:
        """Forgets the stream of `group` and deletes what has arrived of it."""
        stream = self._streams.pop(group, None)
        if stream is not None:
            # Without room it stays for the next stream, or the next start, to delete.
            with contextlib.suppress(ResourceExhausted):
                self._clear(group, stream.generation)

    def tick(self) -> None:
        """Forgets streams that have broken off."""
        for group, stream in list(self._streams.items()):
            stream.silent_ticks += 1
            if stream.silent_ticks >= SILENCE_TICKS_MAX:
                self.drop(group)

    def _begin(self, group: GroupId, chunk: StateChunk, other: _Stream | None) -> _Stream | None:
        """A new stream for `chunk`, its first; None where it is not wanted."""
        replica = self._replicas.get(group)
        if replica is None or replica.is_installing or not self._has_room():
            return None
        core = replica.core
        if chunk.term < core.term or chunk.snapshot.index <= core.commit:
            # It needs no state for its answer, which the leader has to hear.
            self._arrived(replica, chunk.request)
            return None
        if other is not None:
            newer = (chunk.term, chunk.snapshot.index) >= (
                other.request.term,
                other.request.snapshot.index,
            )
            if other.is_whole or not newer:
                return None
            self.drop(group)
        if len(self._streams) >= STREAMS_MAX:
            return None
        generation = load_generation(self._engine, group).number + 1
        self._clear(group, generation)
        stream = _Stream(chunk.stream, chunk.request, generation, xxhash.xxh3_64())
        self._streams[group] = stream
        return stream

    def _take(self, group: GroupId, stream: _Stream, chunk: StateChunk) -> None:
        stream.digest.update(chunk.data)
        stream.partial += chunk.data
        prefix = replica_prefix(group, stream.generation)
        batch = self._engine.new_batch()
        for key, value in take_records(stream.partial):
            batch.put(prefix + key, value)
        self._engine.write(batch)
        if chunk.state_hash is not None:
            self._check(group, stream, chunk.state_hash)
            stream.is_whole = True
        stream.expected += 1

    def _check(self, group: GroupId, stream: _Stream, state_hash: int) -> None:
        """Raises CorruptionError unless what has arrived is what was sent."""
        if stream.partial or stream.digest.intdigest() != state_hash:
            raise CorruptionError("a state has not arrived as it was sent")
        position = load_position_of(self._engine, group, stream.generation)
        if position.applied_index != stream.request.snapshot.index:
            raise CorruptionError("a state that has arrived is not the one that was announced")

    def _clear(self, group: GroupId, generation: int) -> None:
        batch = self._engine.new_batch()
        batch.delete_range(replica_prefix(group, generation), replica_end(group, generation))
        self._engine.write(batch)

    def _answer(
        self, group: GroupId, chunk: StateChunk, expected: int, *, refused: bool = False
    ) -> None:
        self._send(group, StateAck(self._me, chunk.sender, chunk.stream, expected, refused))
