"""Real nodes on small disks that are filled under load, restarted full, and given room again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from kvstore import AsyncClient, KVStoreError, LocalCluster, OutcomeUnknown, ResourceExhausted
from kvstore.client.status import ClusterStatus, NodeStatus

DISK_MIB = 64
ROOMY_MIB = 512
SETTINGS = {
    "value_bytes_max": 256 << 10,
    "commit_log_segment_bytes": 8 << 20,
    "disk_reserve_bytes": 16 << 20,
}
VALUE_BYTES = 16 << 10
WRITERS = 4
FILL_S_MAX = 60.0
TIMEOUT_S = 5.0

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system of 64 MB"),
]


class SmallDisks:
    """File systems of a fixed size, in memory."""

    def __init__(self) -> None:
        self._folders: list[Path] = []

    def mount(self, folder: Path) -> None:
        """Puts `folder`, as it is, on a small disk."""
        aside = folder.with_name(f"{folder.name}-aside")
        folder.rename(aside)
        folder.mkdir()
        size = f"size={DISK_MIB}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
        self._folders.append(folder)
        shutil.copytree(aside, folder, dirs_exist_ok=True)

    def make_room(self) -> None:
        for folder in self._folders:
            size = f"remount,size={ROOMY_MIB}m"
            subprocess.run(["mount", "-o", size, str(folder)], check=True)

    def stuff(self) -> None:
        """Somebody else takes all that is left, to the last byte."""
        for folder in self._folders:
            found = os.statvfs(folder)
            descriptor = os.open(folder / "stuffing", os.O_RDWR | os.O_CREAT)
            os.posix_fallocate(descriptor, 0, found.f_bavail * found.f_frsize)
            os.close(descriptor)

    def unmount(self) -> None:
        for folder in self._folders:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def disks() -> Iterator[SmallDisks]:
    disks = SmallDisks()
    try:
        yield disks
    finally:
        disks.unmount()


@contextlib.contextmanager
def on_small_disks(cluster: LocalCluster, disks: SmallDisks, *nodes: str) -> Iterator[None]:
    """Runs `cluster`, which is new, with some of its nodes on small disks."""
    cluster.up()
    cluster.down()
    for node in nodes:
        disks.mount(cluster.data_dir / node)
    with cluster:
        yield


class Writers:
    """Puts keys of their own with values that cannot be compressed, and remembers what came of
    them."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._random = Random(1)
        self.acknowledged: dict[bytes, bytes] = {}
        self.refused: ResourceExhausted | None = None
        self.problems: list[KVStoreError] = []
        self._count = 0

    async def fill(self, until: Callable[[], bool]) -> None:
        """Puts until it is so."""
        async with asyncio.timeout(FILL_S_MAX):
            await asyncio.gather(*(self._write(until) for _ in range(WRITERS)))

    async def _write(self, until: Callable[[], bool]) -> None:
        while not until():
            await self.put()

    async def put(self) -> None:
        self._count += 1
        key = b"key-%06d" % self._count
        value = self._random.randbytes(VALUE_BYTES)
        try:
            await self._client.put(key, value, timeout_s=TIMEOUT_S)
        except ResourceExhausted as refused:
            self.refused = refused
        except KVStoreError as problem:
            self.problems.append(problem)
        else:
            self.acknowledged[key] = value

    async def verify(self) -> None:
        """Every acknowledged write is there."""
        for key, value in self.acknowledged.items():
            assert await self._client.get(key, timeout_s=TIMEOUT_S) == value


async def node_status(client: AsyncClient, node: str) -> NodeStatus:
    return next(each for each in (await client.status()).nodes if each.node_id == node)


async def eventually(client: AsyncClient, holds: Callable[[ClusterStatus], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds(await client.status()):
            await asyncio.sleep(0.2)


async def writes_again(writers: Writers) -> None:
    before = len(writers.acknowledged)
    async with asyncio.timeout(30):
        while len(writers.acknowledged) < before + 50:
            await writers.put()


@pytest.mark.chaos  # half a minute
async def test_where_all_disks_are_full_writes_are_refused_and_all_else_goes_on(
    tmp_path: Path, disks: SmallDisks
) -> None:
    folder = tmp_path / "cluster"
    cluster = LocalCluster(data_dir=folder, partitions=4, settings=SETTINGS)
    with on_small_disks(cluster, disks, "n1", "n2", "n3"):
        async with AsyncClient(cluster.endpoints) as client:
            writers = Writers(client)
            await writers.fill(lambda: writers.refused is not None)
            assert "is short of space" in str(writers.refused)
            assert "make room" in str(writers.refused)
            assert not [p for p in writers.problems if not isinstance(p, OutcomeUnknown)]
            assert len(writers.acknowledged) * VALUE_BYTES > 5 << 20
            await eventually(client, lambda s: all(n.short_of_space for n in s.nodes))
            await writers.verify()
            disks.stuff()
            for node in cluster.node_ids:
                cluster.kill(node)
            await asyncio.to_thread(cluster.up)
            await eventually(client, lambda s: s.is_healthy)
            # What was acknowledged and not yet applied may wait for room, and reads with it.
            await eventually(client, lambda s: all(n.short_of_space for n in s.nodes))
            with pytest.raises(ResourceExhausted):
                await client.put(b"more", bytes(VALUE_BYTES), timeout_s=TIMEOUT_S)
            disks.make_room()
            await writes_again(writers)
            await writers.verify()
            await eventually(client, lambda s: not any(n.short_of_space for n in s.nodes))


async def test_a_node_on_a_full_disk_leads_nothing_and_the_others_take_writes(
    tmp_path: Path, disks: SmallDisks
) -> None:
    folder = tmp_path / "cluster"
    cluster = LocalCluster(data_dir=folder, partitions=4, settings=SETTINGS)
    with on_small_disks(cluster, disks, "n1"):
        async with AsyncClient(cluster.endpoints) as client:
            writers = Writers(client)
            full = False

            async def look() -> None:
                nonlocal full
                while not full:
                    status = await node_status(client, "n1")
                    full = bool(status.short_of_space) and status.leads == 0
                    await asyncio.sleep(0.1)

            await asyncio.gather(writers.fill(lambda: full), look())
            await writes_again(writers)
            assert (await node_status(client, "n1")).leads == 0
            disks.stuff()
            cluster.kill("n1")
            await asyncio.to_thread(cluster.up)
            await writes_again(writers)
            await writers.verify()
            disks.make_room()
            await eventually(client, lambda s: not any(n.short_of_space for n in s.nodes))
            # It catches up, and is given back what it is meant to lead.
            await eventually(client, lambda s: all(n.leads for n in s.nodes))
            await writers.verify()
            assert not [p for p in writers.problems if not isinstance(p, OutcomeUnknown)]
