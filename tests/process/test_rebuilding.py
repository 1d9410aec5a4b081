"""Real nodes lose their data, or find them damaged: they are refused, rejoin, and rebuild."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from cluster.ids import NodeId
from kvstore import AsyncClient, LocalCluster, Unavailable
from kvstore.damage_mark import DAMAGED_NAME
from kvstore.data_directory import SET_ASIDE_FOLDER
from tests.support.damage import last_batch
from tests.support.registers import Workload

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

REGISTERS = 24
PAUSE_S = 0.02
FILLER_BYTES = 64 << 10


def data_of(cluster: LocalCluster, node: str) -> Path:
    return cluster.data_dir / node / "data"


async def replica_of(client: AsyncClient, node: str) -> int:
    status = await client.status()
    return next(each.replica for each in status.nodes if each.node_id == node)


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.1)


async def all_lives_are_recorded(cluster: LocalCluster) -> None:
    """On stable storage everywhere: before, nobody can be refused (docs/cli.md)."""
    said = re.compile(r"lives are on stable storage.*\[1, 2, 3\]")
    await until(lambda: all(said.search(cluster.logs(node)) for node in cluster.node_ids))


async def serves_without(cluster: LocalCluster, away: str, load: Workload) -> None:
    """Writes go on when another node is killed: so the one that was rebuilt votes."""
    cluster.kill(away)
    await load.acknowledges_more(4 * REGISTERS)
    await asyncio.to_thread(cluster.start, away)


async def test_a_wiped_node_is_refused_and_takes_its_place_anew_under_load(tmp_path: Path) -> None:
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        await all_lives_are_recorded(cluster)
        async with AsyncClient(cluster.endpoints) as client:
            load = Workload(client, REGISTERS, pause_s=PAUSE_S)
            load.start()
            await load.acknowledges_more(2 * REGISTERS)
            cluster.kill("n2")
            shutil.rmtree(data_of(cluster, "n2"))

            with pytest.raises(Unavailable, match="n2 is down"):
                await asyncio.to_thread(cluster.start, "n2")
            said = cluster.logs("n2")
            assert "knows replica 2 by other data" in said
            assert "Start it with --rejoin" in said
            await load.acknowledges_more(2 * REGISTERS)

            shutil.rmtree(data_of(cluster, "n2"))
            await asyncio.to_thread(lambda: cluster.start("n2", rejoin=True))
            assert await replica_of(client, "n2") == 4
            await serves_without(cluster, "n3", load)
            cluster.kill("n2")
            await asyncio.to_thread(cluster.start, "n2")  # as ever, from now on
            assert await replica_of(client, "n2") == 4
            await load.finish()
            await load.verify()


def flip_bits(path: Path, first: int, count: int = 64) -> None:
    random = Random(1)
    data = bytearray(path.read_bytes())
    for _ in range(count):
        data[random.randrange(first, len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(data)


def flip_in_log(data: Path) -> None:
    """In the middle of what was written, so that it is no torn end."""
    segment = min((data / "log").glob("*.segment"))
    content = bytearray(segment.read_bytes())
    content[20_000] ^= 0xFF
    segment.write_bytes(content)


def flip_in_engine(data: Path) -> None:
    tables = sorted((data / "engine").glob("*.sst"), key=lambda path: path.stat().st_size)
    flip_bits(tables[-1], 0)


def flip_in_last_batch(data: Path) -> None:
    """Nothing follows that could tell it from a torn write."""
    _batch, begins, ends = last_batch(data)
    segment = max((data / "log").glob("*.segment"))
    content = bytearray(segment.read_bytes())
    content[(begins + ends) // 2 // 8 * 8] ^= 0xFF
    segment.write_bytes(content)


def lose_last_segment(data: Path) -> None:
    max((data / "log").glob("*.segment")).unlink()


def damage_identity(data: Path) -> None:
    flip_bits(data / "IDENTITY", 0)


def lose_identity(data: Path) -> None:
    (data / "IDENTITY").unlink()


DAMAGES = [
    flip_in_log,
    flip_in_last_batch,
    lose_last_segment,
    flip_in_engine,
    damage_identity,
    lose_identity,
]
QUICK_LOOK = [flip_in_last_batch, flip_in_engine, lose_identity]


@pytest.mark.parametrize(
    "damage",
    [
        # The others take as long, and go by the same way: with the rounds of make chaos-storage.
        pytest.param(damage, marks=[] if damage in QUICK_LOOK else pytest.mark.chaos)
        for damage in DAMAGES
    ],
)
async def test_a_damaged_node_rebuilds_itself_and_nothing_is_lost(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        await all_lives_are_recorded(cluster)
        async with AsyncClient(cluster.endpoints) as client:
            filler = {b"filler/%03d" % number: bytes(FILLER_BYTES) for number in range(50)}
            for key, value in filler.items():
                await client.put(key, value)
            load = Workload(client, REGISTERS, pause_s=PAUSE_S)
            load.start()
            await load.acknowledges_more(2 * REGISTERS)
            cluster.stop("n2")  # flushed, so that the engine has files
            data = data_of(cluster, "n2")
            damage(data)
            await asyncio.to_thread(cluster.start, "n2")
            for key, value in filler.items():
                assert await client.get(key) == value
            said = cluster.logs("n2")
            assert "this node's data are damaged and will not be used" in said
            await until(lambda: "a new life begins" in cluster.logs("n2"))
            assert (data / SET_ASIDE_FOLDER / "log").exists()
            assert not (data / DAMAGED_NAME).exists()
            await asyncio.to_thread(cluster.wait_ready)
            await caught_up(client, "n2")
            assert await replica_of(client, "n2") == 4
            rebuilds = {each.node_id: each.rebuilds for each in (await client.status()).nodes}
            assert rebuilds == {"n1": 0, "n2": 1, "n3": 0}
            await serves_without(cluster, "n1", load)
            await load.finish()
            await load.verify()


async def caught_up(client: AsyncClient, node: str) -> None:
    """By the word of all leaders, for what they have now."""
    async with asyncio.timeout(60):
        while True:
            status = await client.status()
            lags = [
                (group.lag or {}).get(NodeId(node), 0 if group.leader == node else None)
                for group in (status.meta, *status.partitions)
            ]
            if all(lag is not None and lag < 100 for lag in lags):
                return
            await asyncio.sleep(0.1)


async def test_the_last_copy_is_not_touched(tmp_path: Path) -> None:
    with LocalCluster(nodes=1, data_dir=tmp_path / "cluster") as cluster:
        async with AsyncClient(cluster.endpoints) as client:
            for number in range(50):
                await client.put(b"filler/%03d" % number, bytes(FILLER_BYTES))
        cluster.stop("n1")
        data = data_of(cluster, "n1")
        flip_in_log(data)
        before = {path: path.read_bytes() for path in (data / "log").iterdir()}
        with pytest.raises(Unavailable, match="n1 is down"):
            await asyncio.to_thread(cluster.start, "n1")
        said = cluster.logs("n1")
        assert "may be the last copy" in said
        assert "kvstore inspect" in said
        assert {path: path.read_bytes() for path in (data / "log").iterdir()} == before
        assert (data / DAMAGED_NAME).exists()


async def test_a_node_whose_disk_rots_again_and_again_stays_out(tmp_path: Path) -> None:
    settings = {"rebuilds_max": 1}
    with LocalCluster(data_dir=tmp_path / "cluster", settings=settings) as cluster:
        await all_lives_are_recorded(cluster)
        async with AsyncClient(cluster.endpoints) as client:
            data = data_of(cluster, "n2")
            cluster.kill("n2")
            lose_identity(data)
            await asyncio.to_thread(cluster.start, "n2")
            assert await replica_of(client, "n2") == 4

            cluster.kill("n2")
            lose_last_segment(data)
            with pytest.raises(Unavailable, match=r"n2 is down \(exit code 2\)"):
                await asyncio.to_thread(cluster.start, "n2")
            said = cluster.logs("n2", lines=1)
            assert "node n2 stays out" in said
            assert "rebuilt 1 times before" in said
            assert (data / DAMAGED_NAME).exists()

            shutil.rmtree(data)
            await asyncio.to_thread(lambda: cluster.start("n2", rejoin=True))
            assert await replica_of(client, "n2") == 5
