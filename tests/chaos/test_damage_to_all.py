"""Damage to the data of all nodes, or of most: the cluster says so and serves nothing it would have
to guess. Where those that are sound are a majority after all, it serves, and only what was written.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from kvstore import AsyncClient, KVStoreError, LocalCluster, Unavailable
from kvstore.damage_mark import DAMAGED_NAME
from kvstore.local.processes import ProcessState
from tests.support.agreement import all_agree
from tests.support.damage import Kind, Place, damage, last_batch, places

pytestmark = [pytest.mark.chaos, pytest.mark.process, pytest.mark.timeout(600)]

VALUES = {b"key/%03d" % number: Random(number).randbytes(32 << 10) for number in range(400)}
SETTINGS = {"commit_log_segment_bytes": 8 << 20, "commit_log_kept_segments": 1}
PATIENCE_S = 6.0

Undo = Callable[[], None]


def data_of(cluster: LocalCluster, node: str) -> Path:
    return cluster.data_dir / node / "data"


async def filled(cluster: LocalCluster) -> None:
    async with AsyncClient(cluster.endpoints) as client:
        await asyncio.gather(
            *(client.put(key, value, timeout_s=60.0) for key, value in VALUES.items())
        )
        await all_agree(client, cluster.addresses)


def harm(path: Path, kind: Kind, random: Random, within: tuple[int, int] | None = None) -> Undo:
    before = path.read_bytes()
    damage(path, kind, random, within)
    return lambda: void(path.write_bytes(before))


def void(_result: object) -> None:
    """For what has a result that nobody wants."""


def old_log(data: Path, random: Random) -> Undo:
    path = places(data)[Place.OLD_SEGMENT][-1]
    return harm(path, Kind.FLIPS, random, (0, path.stat().st_size // 2))


def log_end(data: Path, random: Random) -> Undo:
    _batch, begins, ends = last_batch(data)
    return harm(places(data)[Place.LAST_SEGMENT][0], Kind.FLIPS, random, (begins, ends))


def manifest(data: Path, random: Random) -> Undo:
    return harm(places(data)[Place.MANIFEST][0], Kind.FLIPS, random)


def identity(data: Path, random: Random) -> Undo:
    return harm(places(data)[Place.IDENTITY][0], Kind.DELETED, random)


async def starts(cluster: LocalCluster, node: str) -> bool:
    """Whether it serves soon."""
    try:
        await asyncio.to_thread(cluster.start, node)
    except Unavailable:
        return False
    return True


async def read_nothing_wrong(endpoints: str) -> int:
    """How many values can be read; each is what was written."""
    count = 0
    async with AsyncClient(endpoints) as client:
        for key, value in list(VALUES.items())[::40]:
            try:
                found = await client.get(key, timeout_s=1.0)
            except KVStoreError:
                continue
            assert found == value, f"{key!r} is not what was written"
            count += 1
    return count


async def command(cluster: LocalCluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`kvstore …`, pointed to the cluster."""
    line = [sys.executable, "-m", "kvstore", *arguments]
    line += ["--endpoints", cluster.endpoints, "--timeout", "3"]
    return await asyncio.to_thread(
        subprocess.run, line, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("harmed", [3, 2])
@pytest.mark.parametrize("how", [old_log, log_end, manifest, identity])
async def test_nodes_whose_data_nobody_else_has_wait_and_touch_nothing(
    tmp_path: Path, how: Callable[[Path, Random], Undo], harmed: int
) -> None:
    """One that is sound is no majority either. Once the files are restored, all is there."""
    folder = tmp_path / "cluster"
    random = Random(harmed)
    with LocalCluster(partitions=2, data_dir=folder, settings=SETTINGS) as cluster:
        await filled(cluster)
        for node in cluster.node_ids:
            cluster.kill(node)
        victims = cluster.node_ids[:harmed]
        undo = [how(data_of(cluster, node), random) for node in victims]
        hasty = LocalCluster(data_dir=folder, ready_timeout_s=PATIENCE_S / 3)
        served = [await starts(hasty, node) for node in cluster.node_ids]
        assert served == [False] * 3
        assert await read_nothing_wrong(cluster.endpoints) == 0
        for node in victims:
            said = cluster.logs(node)
            assert "this node's data are damaged and will not be used" in said
            assert "waits for the cluster to give it a place" in said
            assert (data_of(cluster, node) / DAMAGED_NAME).exists()
            assert "a new life begins" not in said
        got = await command(cluster, "get", "key/000")
        assert got.returncode == 3, got.stderr
        assert all(each.state is ProcessState.RUNNING for each in cluster.status())
        for node in cluster.node_ids:
            cluster.stop(node)

        for node, mend in zip(victims, undo, strict=True):
            mend()
            (data_of(cluster, node) / DAMAGED_NAME).unlink()
        await asyncio.to_thread(cluster.up)
        assert await read_nothing_wrong(cluster.endpoints) == 10
        async with AsyncClient(cluster.endpoints) as client:
            await all_agree(client, cluster.addresses)


async def test_tables_that_are_damaged_on_all_nodes_are_never_read_as_something_else(
    tmp_path: Path,
) -> None:
    """Each node notices when it reads them. The first may be given a place, but there is nobody to
    get the data from; those that are left are no majority, or keep what can be read."""
    folder = tmp_path / "cluster"
    random = Random(5)
    with LocalCluster(partitions=2, data_dir=folder, settings=SETTINGS) as cluster:
        await filled(cluster)
        for node in cluster.node_ids:
            cluster.stop(node)
        for node in cluster.node_ids:
            for path in places(data_of(cluster, node))[Place.TABLE]:
                damage(path, Kind.FLIPS, random)
                damage(path, Kind.FLIPS, random)
        hasty = LocalCluster(data_dir=folder, ready_timeout_s=PATIENCE_S / 2)
        await asyncio.gather(*(starts(hasty, node) for node in cluster.node_ids))
        for _ in range(4):
            await read_nothing_wrong(cluster.endpoints)
        scrubbed = await command(cluster, "scrub", "--output", "json")
        assert scrubbed.returncode != 0
        if scrubbed.stdout:
            assert not json.loads(scrubbed.stdout)["agreed"]
        await read_nothing_wrong(cluster.endpoints)
        said = "".join(cluster.logs(node) for node in cluster.node_ids)
        assert "this node's data are damaged and will not be used" in said


async def test_damage_to_different_partitions_of_two_nodes_is_mended_as_long_as_one_is_whole(
    tmp_path: Path,
) -> None:
    """One after the other: each is given a place only where the others have what it had."""
    folder = tmp_path / "cluster"
    random = Random(6)
    with LocalCluster(partitions=2, data_dir=folder, settings=SETTINGS) as cluster:
        await filled(cluster)
        for node in ("n2", "n3"):
            cluster.stop(node)
            manifest(data_of(cluster, node), random)
            await asyncio.to_thread(cluster.start, node)
            async with AsyncClient(cluster.endpoints) as client:
                await all_agree(client, cluster.addresses)
        assert await read_nothing_wrong(cluster.endpoints) == 10
