"""Real nodes apply each write once: through answers that are lost, kills, pauses and restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from kvstore import AsyncClient, LocalCluster
from tests.support.counters import Counting, Cuts
from tests.support.leading import leading_node

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

RETRIES = 500


async def test_what_is_sent_again_because_its_answer_was_lost_counts_once(tmp_path: Path) -> None:
    cuts = Cuts(0.5, Random(1))
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with (
            AsyncClient(cluster.endpoints, open_channel=cuts.channel) as client,
            AsyncClient(cluster.endpoints) as reader,
        ):
            counting = Counting(client, timeout_s=60.0)
            counting.start()
            async with asyncio.timeout(120):
                while cuts.commands < RETRIES:
                    await counting.acknowledges_more(10)
            await counting.finish()
            await counting.verify(reader)
            assert counting.unknown == 0
            assert counting.refused == 0


async def test_increments_through_kills_pauses_and_restarts_count_once(tmp_path: Path) -> None:
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with (
            AsyncClient(cluster.endpoints) as client,
            AsyncClient(cluster.endpoints) as reader,
        ):
            counting = Counting(client, pause_s=0.02)
            counting.start()
            await counting.acknowledges_more(200)
            killed = await leading_node(reader)
            cluster.kill(killed)
            await counting.acknowledges_more(200)
            await asyncio.to_thread(cluster.up)
            paused = await leading_node(reader)
            cluster.pause(paused)
            await counting.acknowledges_more(200)
            cluster.resume(paused)
            stopped = await leading_node(reader)
            await asyncio.to_thread(cluster.stop, stopped)
            await counting.acknowledges_more(200)
            await asyncio.to_thread(cluster.up)
            await counting.finish()
            await counting.verify(reader)
