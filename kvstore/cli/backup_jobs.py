"""What backup and restore do, without how it is shown."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kvstore.backup.contents import Contents
from kvstore.backup.file_format import Footer, Header
from kvstore.backup.reader import BackupReader
from kvstore.backup.writer import BackupWriter
from kvstore.cli.importer import Row
from kvstore.cli.progress import Advance
from kvstore.client.backup import BrokenOff
from kvstore.codec.backup import SectionEnd, SectionStart
from kvstore.codec.record import HEADER_BYTES, decode_record
from kvstore.codec.text import to_cell
from kvstore.errors import CorruptionError, InvalidArgument

if TYPE_CHECKING:
    from cluster.partition.map import ClusterMap, ClusterSettings
    from kvstore.client import AsyncClient


def header_of(cluster_map: ClusterMap, *, written_by: str, taken_ms: int) -> Header:
    """What a backup of the cluster with this map begins with."""
    settings = cluster_map.settings
    return Header(
        cluster_map.cluster_id,
        written_by,
        taken_ms,
        settings.partitions,
        settings.replication_factor,
        settings.key_bytes_max,
        settings.value_bytes_max,
    )


async def take(
    client: AsyncClient,
    writer: BackupWriter,
    header: Header,
    advance: Advance,
    on_broken_off: Callable[[int, str], None],
) -> Footer:
    """Writes every partition, one after another. `on_broken_off` is told of one that begins
    anew, and why."""
    writer.header(header)
    done = 0
    for partition in range(header.partitions):
        records = 0
        async with contextlib.aclosing(client.backup(partition)) as events:
            async for event in events:
                if isinstance(event, SectionStart):
                    records = 0
                    writer.start(event)
                elif isinstance(event, BrokenOff):
                    on_broken_off(partition, event.reason)
                elif isinstance(event, SectionEnd):
                    writer.end(event)
                    done += event.records
                else:
                    records += int.from_bytes(event[:4], "little")
                    writer.rows(event)
                    advance(partition, done + records)
    return writer.finish()


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was read from end to end, and is what was written."""

    header: Header
    footer: Footer
    contents: Contents
    bytes: int
    """Of the file."""


def check(path: Path, advance: Advance, settings: ClusterSettings | None = None) -> Checked:
    """Reads the whole file; raises ConfigurationError and CorruptionError, and InvalidArgument when
    a cluster with `settings` would not take one of its keys or values."""
    contents = Contents()
    with BackupReader.open(path) as reader:
        for chunk in reader.chunks():
            if settings is not None:
                _check_limits(chunk.keys, chunk.records, settings)
            contents.add(_pairs(chunk.keys, chunk.records))
            advance(reader.position_bytes, contents.records)
        if reader.footer is None:  # pragma: no cover - `chunks` has read it
            raise CorruptionError(f"{path} has no footer")
        return Checked(reader.header, reader.footer, contents, reader.size_bytes)


def _check_limits(keys: list[bytes], records: list[bytes], settings: ClusterSettings) -> None:
    for key, record in zip(keys, records, strict=True):
        if len(key) > settings.key_bytes_max:
            raise InvalidArgument(
                f"key {to_cell(key)} has {len(key)} bytes; the cluster's limit is"
                f" {settings.key_bytes_max}"
            )
        value_bytes = len(record) - HEADER_BYTES
        if value_bytes > settings.value_bytes_max:
            raise InvalidArgument(
                f"the value of key {to_cell(key)} has {value_bytes} bytes; the cluster's limit is"
                f" {settings.value_bytes_max} (--value-bytes-max of its first start)"
            )


def _pairs(keys: list[bytes], records: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(keys, (record[HEADER_BYTES:] for record in records), strict=True)


class BackupRows:
    """The rows of a checked file, from a second pass over it that checks them again."""

    def __init__(self, reader: BackupReader, present: frozenset[int] = frozenset()) -> None:
        """`present`: the chunks, by their number, that the cluster has already."""
        self._reader = reader
        self._present = present

    @property
    def position_bytes(self) -> int:
        """See RowSource."""
        return self._reader.position_bytes

    def __iter__(self) -> Iterator[Row]:
        for number, chunk in enumerate(self._reader.chunks()):
            if number not in self._present:
                for key, stored in zip(chunk.keys, chunk.records, strict=True):
                    record = decode_record(stored)
                    yield Row(key, record.value, record.expiry_ms)


async def refuse_non_empty(client: AsyncClient) -> None:
    """Raises InvalidArgument when the cluster has a key; every partition is asked."""
    async for key in client.scan_keys(limit=1):
        raise InvalidArgument(
            f"the cluster is not empty: it has key {to_cell(key)}; restore into an empty one, or"
            " give --resume if this is what an earlier restore of the same file left"
        )


async def chunks_present(client: AsyncClient, path: Path, advance: Advance) -> frozenset[int]:
    """The chunks of the file that the cluster has; raises InvalidArgument when it has anything
    that is not in the file, or another value."""
    whole: list[int] = []
    found = seen = 0
    with BackupReader.open(path) as reader:
        for number, chunk in enumerate(reader.chunks()):
            values = await asyncio.gather(*(client.get(key) for key in chunk.keys))
            present = 0
            for (key, value), stored in zip(_pairs(chunk.keys, chunk.records), values, strict=True):
                if stored is not None and stored != value:
                    raise InvalidArgument(
                        f"key {to_cell(key)} has another value in the cluster than in {path}"
                    )
                present += stored is not None
            if present == len(chunk.keys):
                whole.append(number)
            found += present
            seen += len(chunk.keys)
            advance(reader.position_bytes, seen)
    there = 0
    async for _key in client.scan_keys():
        there += 1
    if there != found:
        raise InvalidArgument(
            f"the cluster has {there} keys, and {found} of them are in {path}: it holds more than"
            " an earlier restore of this file has left"
        )
    return frozenset(whole)


async def read_back(client: AsyncClient, advance: Advance) -> Contents:
    """What the cluster holds now."""
    contents = Contents()
    batch: list[tuple[bytes, bytes]] = []
    async for pair in client.scan():
        batch.append(pair)
        if len(batch) == 1000:
            contents.add(batch)
            batch.clear()
            advance(0, contents.records)
    contents.add(batch)
    return contents
