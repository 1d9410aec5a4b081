"""Real nodes are killed with -9 under load: acknowledged writes stay, reads are never old."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from kvstore import AsyncClient, LocalCluster
from tests.support.leading import leading_node
from tests.support.registers import Workload

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

REGISTERS = 48
ROUNDS = 5
BLACKOUTS = 2
PAUSE_S = 0.02


async def test_a_node_killed_under_load_loses_nothing_and_comes_back(tmp_path: Path) -> None:
    random = Random(1)
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with AsyncClient(cluster.endpoints) as client:
            load = Workload(client, REGISTERS, pause_s=PAUSE_S)
            load.start()
            await load.acknowledges_more(REGISTERS)
            for _ in range(ROUNDS):
                leader = await leading_node(client)
                victim = leader if random.random() < 0.8 else random.choice(cluster.node_ids)
                cluster.kill(victim)
                await load.acknowledges_more(4 * REGISTERS)
                await asyncio.to_thread(cluster.up)
                await load.acknowledges_more(REGISTERS)
            await load.finish()
            await load.verify()
            assert load.tally.acknowledged > ROUNDS * 5 * REGISTERS
            assert load.tally.reads > ROUNDS


async def test_all_nodes_killed_at_once_under_load_lose_nothing(tmp_path: Path) -> None:
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with AsyncClient(cluster.endpoints) as client:
            load = Workload(client, REGISTERS, pause_s=PAUSE_S)
            load.start()
            for _ in range(BLACKOUTS):
                await load.acknowledges_more(8 * REGISTERS)
                for node in cluster.node_ids:
                    cluster.kill(node)
                await asyncio.to_thread(cluster.up)
                await load.acknowledges_more(REGISTERS)
            await load.finish()
            await load.verify()
