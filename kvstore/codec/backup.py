"""A partition's data in a backup: rows, in chunks, on the wire and in the file.

```
rows   list of keys | list of records                                    byteslist.py, record.py
```

A chunk's rows are in byte order of their keys, and so are the chunks. Code that makes them and code
that takes them agree on nothing else, so that what a node sends goes into the file as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import google_crc32c
import xxhash

from cluster.ids import Index, PartitionId, Term
from cluster.partition.ranges import partition_of_hash
from kvstore.codec.byteslist import CodecError, decode_list, encode_list
from kvstore.codec.limits import KEY_BYTES_MAX, VALUE_BYTES_MAX_CEILING
from kvstore.codec.record import HEADER_BYTES, RECORD_FORMAT
from kvstore.codec.routing import key_hash

CHUNK_BYTES: Final = 256 << 10
"""Of keys and records that a node puts into one chunk, unless a single row has more."""
ROWS_BYTES_MAX: Final = VALUE_BYTES_MAX_CEILING + KEY_BYTES_MAX + HEADER_BYTES + 1024
"""Of one chunk: the largest row there can be, and its framing."""


@dataclass(frozen=True, slots=True)
class SectionStart:
    """Of which moment the data of a partition are."""

    partition: PartitionId
    applied_index: Index
    term: Term
    """Of the entry at `applied_index`; 0: not known."""
    revision: int
    """Of the last write that is in them."""


@dataclass(frozen=True, slots=True)
class SectionEnd:
    """What they were, all together."""

    partition: PartitionId
    records: int
    rows_hash: int
    """XXH3 (64 bits) of the rows of all chunks."""


def checksum(data: bytes) -> int:
    """What stands beside `data` in a chunk: its CRC32C."""
    return int(google_crc32c.value(data))


def encode_rows(keys: Sequence[bytes], records: Sequence[bytes]) -> bytes:
    """One chunk's rows; both are parallel."""
    return encode_list(keys) + encode_list(records)


def decode_rows(data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Keys and records in `data`, parallel; raises CodecError where it does not follow the
    format, and where keys do not rise."""
    keys, position = decode_list(data)
    records, position = decode_list(data, position)
    if position != len(data) or len(keys) != len(records):
        raise CodecError("a chunk's lists differ in length or are followed by more bytes")
    before = b""
    for key in keys:
        if key <= before:
            raise CodecError(f"key {key!r} stands after {before!r}")
        before = key
    for record in records:
        if len(record) < HEADER_BYTES or record[0] != RECORD_FORMAT:
            raise CodecError(f"{len(record)} bytes are not a record of format {RECORD_FORMAT}")
    return keys, records


class SectionTally:
    """Checks the chunks of one partition as they come, and sums them up."""

    __slots__ = ("_digest", "_last_key", "_partition", "_partitions", "records")

    def __init__(self, partition: PartitionId, partitions: int) -> None:
        """`partitions`: how many there are in the cluster."""
        self._partition = partition
        self._partitions = partitions
        self._last_key = b""
        self._digest = xxhash.xxh3_64()
        self.records = 0

    def add(self, rows: bytes) -> tuple[list[bytes], list[bytes]]:
        """Keys and records of the next chunk; raises CodecError when it cannot be that."""
        keys, records = decode_rows(rows)
        if keys and keys[0] <= self._last_key:
            raise CodecError(f"key {keys[0]!r} stands after {self._last_key!r}")
        for key in keys:
            if partition_of_hash(key_hash(key), self._partitions) != self._partition:
                raise CodecError(f"key {key!r} does not belong to partition {self._partition}")
        if keys:
            self._last_key = keys[-1]
        self._digest.update(rows)
        self.records += len(keys)
        return keys, records

    def end(self) -> SectionEnd:
        """What there was."""
        return SectionEnd(self._partition, self.records, self._digest.intdigest())
