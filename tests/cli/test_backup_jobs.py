"""Backup and restore between clusters of different shapes, over real connections to fake nodes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.partition.map import ClusterSettings
from kvstore.backup.reader import BackupReader
from kvstore.backup.writer import BackupWriter
from kvstore.cli.backup_jobs import (
    BackupRows,
    check,
    chunks_present,
    header_of,
    read_back,
    refuse_non_empty,
    take,
)
from kvstore.cli.importer import Importer
from kvstore.client import AsyncClient
from kvstore.codec.record import decode_record
from kvstore.errors import CorruptionError, InvalidArgument, Unavailable
from tests.client.fake_cluster import FakeCluster, running

Data = dict[bytes, bytes]


def silent(_position: int, _records: int) -> None:
    pass


def client_of(cluster: FakeCluster) -> AsyncClient:
    return AsyncClient(cluster.endpoints)


async def put_all(cluster: FakeCluster, data: Data) -> None:
    async with client_of(cluster) as kv:
        await asyncio.gather(*(kv.put(key, value) for key, value in data.items()))


async def back_up(cluster: FakeCluster, path: Path) -> None:
    async with client_of(cluster) as kv:
        header = header_of(await kv.cluster_map(), written_by="0.1.0", taken_ms=1)
        with BackupWriter(path, replace=True) as writer:
            await take(kv, writer, header, silent, lambda _partition, _reason: None)


async def restore(cluster: FakeCluster, path: Path, present: frozenset[int] = frozenset()) -> int:
    async with client_of(cluster) as kv:
        with BackupReader.open(path) as reader:
            importer = Importer(BackupRows(reader, present), silent)
            await importer.run(kv)
        return importer.done


async def present(cluster: FakeCluster, path: Path) -> frozenset[int]:
    async with client_of(cluster) as kv:
        return await chunks_present(kv, path, silent)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.dictionaries(st.binary(min_size=1, max_size=9), st.binary(max_size=30), max_size=30),
    before=st.integers(1, 5),
    after=st.integers(1, 5),
)
async def test_a_restore_brings_back_the_data_whatever_the_number_of_partitions(
    tmp_path_factory: pytest.TempPathFactory, data: Data, before: int, after: int
) -> None:
    path = tmp_path_factory.mktemp("backup") / "a"
    async with running(1, before) as source, running(1, after) as target:
        await put_all(source, data)
        await back_up(source, path)
        await restore(target, path)
        assert target.data == data
        async with client_of(target) as kv:
            assert await read_back(kv, silent) == check(path, silent).contents


async def test_each_section_keeps_revisions_and_the_restore_gives_new_ones(
    tmp_path: Path,
) -> None:
    async with running(1, 1) as source, running(1, 1) as target:
        for value in (b"1", b"2", b"3"):
            await put_all(source, {b"key": value})
        await back_up(source, tmp_path / "a")
        checked = check(tmp_path / "a", silent)
        assert [section.start.revision for section in checked.footer.sections] == [3]
        await restore(target, tmp_path / "a")
        record = decode_record(target.partitions[0].data[b"key"])
        assert (record.value, record.version, record.mod_revision) == (b"3", 1, 1)


async def test_a_cluster_with_a_key_anywhere_is_not_restored_into() -> None:
    async with running(1, 4) as cluster:
        async with client_of(cluster) as kv:
            await refuse_non_empty(kv)
        for partition in range(4):
            (key,) = cluster.keys_of(partition, 1)
            await put_all(cluster, {key: b""})
            async with client_of(cluster) as kv:
                with pytest.raises(InvalidArgument, match=f"not empty: it has key {key.decode()};"):
                    await refuse_non_empty(kv)
                await kv.delete(key)


def some(count: int) -> Data:
    return {b"key-%04d" % number: b"%d" % number for number in range(count)}


async def test_what_an_interrupted_restore_left_is_completed(tmp_path: Path) -> None:
    data = some(200)
    path = tmp_path / "a"
    async with running(1, 3) as source, running(1, 2) as target:
        await put_all(source, data)
        await back_up(source, path)
        for left in (0, 1, 70, 199, 200):
            await put_all(target, dict(list(data.items())[:left]))
            have = await present(target, path)
            put = await restore(target, path, have)
            assert target.data == data
            assert put == 0 if left == 200 else put >= 200 - left
            for partition in target.partitions:
                partition.data.clear()


async def test_a_resumed_restore_puts_no_chunk_again_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    async with running(1, 1) as cluster:
        await put_all(cluster, some(6))  # two rows to a chunk
        await back_up(cluster, path)
        async with client_of(cluster) as kv:
            await kv.delete(b"key-0002")
        assert await present(cluster, path) == {0, 2}
        assert await restore(cluster, path, frozenset({0, 2})) == 2
        assert cluster.data == some(6)


@pytest.mark.parametrize(
    ("strange", "refusal"),
    [
        ({b"key-0003": b"other"}, "key key-0003 has another value in the cluster than in"),
        ({b"foreign": b"1"}, "the cluster has 21 keys, and 20 of them are in"),
    ],
)
async def test_a_cluster_with_anything_else_is_not_resumed(
    tmp_path: Path, strange: Data, refusal: str
) -> None:
    path = tmp_path / "a"
    async with running(1, 2) as cluster:
        await put_all(cluster, some(20))
        await back_up(cluster, path)
        await put_all(cluster, strange)
        with pytest.raises(InvalidArgument, match=refusal):
            await present(cluster, path)


@pytest.mark.parametrize(
    ("key_bytes_max", "value_bytes_max", "refusal"),
    [
        (8, 2, r"the value of key key-0100 has 3 bytes; the cluster's limit is 2"),
        (7, 3, r"key key-\d+ has 8 bytes; the cluster's limit is 7"),
        (8, 3, None),
    ],
)
async def test_a_cluster_that_does_not_take_all_is_told_before_anything_is_written(
    tmp_path: Path, key_bytes_max: int, value_bytes_max: int, refusal: str | None
) -> None:
    path = tmp_path / "a"
    async with running(1, 1) as cluster:
        await put_all(cluster, some(120))
        await back_up(cluster, path)
    limits = ClusterSettings(1, 1, key_bytes_max, value_bytes_max)
    if refusal is None:
        check(path, silent, limits)
    else:
        with pytest.raises(InvalidArgument, match=refusal):
            check(path, silent, limits)


async def test_a_file_that_goes_bad_under_the_restore_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    async with running(1, 1) as source, running(1, 1) as target:
        await put_all(source, some(40))
        await back_up(source, path)
        bad = bytearray(path.read_bytes())
        bad[len(bad) // 2] ^= 1
        path.write_bytes(bad)
        with pytest.raises(CorruptionError, match="it is damaged"):
            await restore(target, path)
        assert target.data.items() < some(40).items(), "only what was checked has been put"


async def test_a_backup_that_fails_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    async with running(1, 2) as cluster:
        await put_all(cluster, some(20))

        async def not_the_last(node, partition, context):  # type: ignore[no-untyped-def]
            for chunk in partition.chunks()[:-1]:
                await context.write(chunk)

        cluster.nodes[1].backup = not_the_last
        with pytest.raises(Unavailable, match="broke off"):
            await back_up(cluster, path)
    assert os.listdir(tmp_path) == []
