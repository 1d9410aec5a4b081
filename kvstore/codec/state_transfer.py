"""A group's applied state on its way from a leader to a follower, in chunks.

The state is a stream of bytes, cut anywhere: records of all that is under the replica's prefix, in
key order, without that prefix.

```
record    u32 key length | u32 value length | key | value                              little-endian
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

import google_crc32c

from cluster.ids import ReplicaId, Term
from cluster.raft.messages import SnapshotRequest
from cluster.raft.snapshot import SnapshotMeta
from kvstore.codec.byteslist import CodecError

RECORD_BYTES_MAX: Final = 64 << 20
_LENGTHS: Final = Struct("<II")


@dataclass(slots=True)  # not frozen for the reason given in messages.py
class StateChunk:
    """A piece of the state that `snapshot` describes."""

    sender: ReplicaId
    to: ReplicaId
    term: Term
    """Of the sender, which leads in it."""
    snapshot: SnapshotMeta
    stream: int
    """Tells one attempt from all others."""
    sequence: int
    """Of the chunk in its stream, from 0."""
    data: bytes
    checksum: int
    """CRC32C of `data`."""
    state_hash: int | None = None
    """XXH3 of the whole stream, on its last chunk only."""

    @property
    def request(self) -> SnapshotRequest:
        """What the receiver's core is told once the whole stream is there."""
        return SnapshotRequest(self.sender, self.to, self.term, self.snapshot)


@dataclass(slots=True)
class StateAck:
    """Answers each StateChunk."""

    sender: ReplicaId
    to: ReplicaId
    stream: int
    expected: int
    """All chunks below it have arrived."""
    refused: bool = False
    """The stream is not wanted, or no more."""

    @property
    def term(self) -> Term:
        """It claims none."""
        return Term(0)


def checksum(data: bytes) -> int:
    """What stands in a chunk with `data`."""
    return int(google_crc32c.value(data))


def encode_records(cut: int, keys: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """The records of parallel `keys`, without their first `cut` bytes, and `values`."""
    pack = _LENGTHS.pack
    parts: list[bytes] = []
    for key, value in zip(keys, values, strict=True):
        parts += (pack(len(key) - cut, len(value)), key[cut:], value)
    return b"".join(parts)


def take_records(buffer: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """The whole records at the beginning of `buffer`, which it then no longer holds.

    Raises CodecError on a record that is larger than any.
    """
    start = 0
    try:
        while len(buffer) - start >= _LENGTHS.size:
            key_length, value_length = _LENGTHS.unpack_from(buffer, start)
            if key_length + value_length > RECORD_BYTES_MAX:
                raise CodecError(f"a record of {key_length} and {value_length} bytes is none")
            key_at = start + _LENGTHS.size
            value_at = key_at + key_length
            end = value_at + value_length
            if end > len(buffer):
                return
            yield bytes(buffer[key_at:value_at]), bytes(buffer[value_at:end])
            start = end
    finally:
        del buffer[:start]
