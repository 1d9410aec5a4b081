"""SIGTERM: leadership goes first, what is applied is flushed, and the next start replays little."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from kvstore import AsyncClient, LocalCluster
from tests.support.registers import Workload

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

EXIT_S_MAX = 5.0
WRITES = 2_000


def entries_to_replay(cluster: LocalCluster, node: str) -> int:
    """Of the node's last start, by its log."""
    return int(re.findall(r"entries_to_replay=(\d+)", cluster.logs(node))[-1])


async def test_a_node_asked_to_end_under_load_does_so_in_time_and_costs_no_write(
    tmp_path: Path,
) -> None:
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with AsyncClient(cluster.endpoints) as client:
            load = Workload(client, 32, pause_s=0.02)
            load.start()
            for node in cluster.node_ids:
                await load.acknowledges_more(200)
                started = time.monotonic()
                await asyncio.to_thread(cluster.stop, node)
                assert time.monotonic() - started < EXIT_S_MAX
                await load.acknowledges_more(200)
                await asyncio.to_thread(cluster.up)
            await load.finish()
            await load.verify()
            assert load.tally.refused == 0


async def test_a_node_that_ended_well_replays_little(tmp_path: Path) -> None:
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with AsyncClient(cluster.endpoints) as client:
            for first in range(0, WRITES, 100):
                await asyncio.gather(
                    *(client.put(b"%d" % i, b"x") for i in range(first, first + 100))
                )
        cluster.down()
        await asyncio.to_thread(cluster.up)
        written = WRITES // 100 * 16
        for node in cluster.node_ids:
            assert entries_to_replay(cluster, node) < written // 10
