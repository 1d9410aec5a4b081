"""Small backup files, made of plain dicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cluster.ids import Index, PartitionId, Term
from cluster.partition.ranges import partition_of_hash
from kvstore.backup.file_format import Footer, Header
from kvstore.backup.writer import BackupWriter
from kvstore.codec.backup import SectionStart, SectionTally, encode_rows
from kvstore.codec.record import encode_record
from kvstore.codec.routing import key_hash

Data = Mapping[bytes, bytes]


def header(partitions: int) -> Header:
    return Header("c1", "0.1.0", 1_700_000_000_000, partitions, 3, 4096, 1 << 20)


def start(partition: int, revision: int = 7) -> SectionStart:
    return SectionStart(PartitionId(partition), Index(9), Term(2), revision)


def chunks_of(data: Data, partition: int, partitions: int, rows: int = 3) -> Iterator[bytes]:
    """The rows of one partition, some to a chunk; at least one chunk."""
    keys = sorted(k for k in data if partition_of_hash(key_hash(k), partitions) == partition)
    for first in range(0, max(1, len(keys)), rows):
        some = keys[first : first + rows]
        yield encode_rows(some, [encode_record(data[key], 2, 3, 4) for key in some])


def write_section(
    writer: BackupWriter, partition: int, partitions: int, chunks: Iterable[bytes]
) -> None:
    tally = SectionTally(PartitionId(partition), partitions)
    writer.start(start(partition))
    for rows in chunks:
        tally.add(rows)
        writer.rows(rows)
    writer.end(tally.end())


def write_file(path: Path, data: Data, partitions: int = 2, *, compress: bool = False) -> Footer:
    with BackupWriter(path, compress=compress) as writer:
        writer.header(header(partitions))
        for partition in range(partitions):
            chunks = chunks_of(data, partition, partitions)
            write_section(writer, partition, partitions, chunks)
        return writer.finish()
