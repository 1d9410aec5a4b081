"""Many rounds of lost answers, kills, pauses and restarts: no increment is applied twice, none that
was acknowledged is lost. Prints what it measured."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random

import pytest

from kvstore import AsyncClient, LocalCluster
from tests.support.counters import Counting, Cuts
from tests.support.leading import leading_node

pytestmark = [pytest.mark.chaos, pytest.mark.process, pytest.mark.timeout(900)]

RETRIES = 10_000
ROUNDS = 10


async def test_ten_thousand_forced_retries_make_no_duplicate(tmp_path: Path) -> None:
    cuts = Cuts(0.5, Random(1))
    started_s = time.monotonic()
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with (
            AsyncClient(cluster.endpoints, open_channel=cuts.channel) as client,
            AsyncClient(cluster.endpoints) as reader,
        ):
            counting = Counting(client, counters=128, callers=4, timeout_s=60.0)
            counting.start()
            async with asyncio.timeout(800):
                while cuts.commands < RETRIES:
                    await counting.acknowledges_more(10)
            await counting.finish()
            duplicates = await counting.verify(reader)
            print(
                f"\n{cuts.commands:,} commands were sent again after they were applied, in"
                f" {cuts.calls:,} calls without an answer: {counting.acknowledged:,} increments"
                f" acknowledged, {counting.unknown} unknown, {duplicates} more than that counted;"
                f" {time.monotonic() - started_s:.0f} s"
            )
            assert counting.unknown == 0
            assert counting.refused == 0
            assert duplicates == 0


async def test_rounds_of_kills_pauses_and_restarts_with_lost_answers_count_once(
    tmp_path: Path,
) -> None:
    random, cuts = Random(1), Cuts(0.2, Random(2))
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with (
            AsyncClient(cluster.endpoints, open_channel=cuts.channel) as client,
            AsyncClient(cluster.endpoints) as reader,
        ):
            counting = Counting(client)
            counting.start()
            for number in range(ROUNDS):
                await counting.acknowledges_more(200)
                leads = await leading_node(reader)
                victim = leads if random.random() < 0.8 else random.choice(cluster.node_ids)
                if number % 3 == 0:
                    cluster.kill(victim)
                    await counting.acknowledges_more(200)
                    await asyncio.to_thread(cluster.up)
                elif number % 3 == 1:
                    cluster.pause(victim)
                    await counting.acknowledges_more(200)
                    cluster.resume(victim)
                else:
                    await asyncio.to_thread(cluster.stop, victim)
                    await counting.acknowledges_more(200)
                    await asyncio.to_thread(cluster.up)
            await counting.finish()
            applied = await counting.verify(reader)
            print(
                f"\n{ROUNDS} rounds, {cuts.commands:,} commands sent again after they were applied:"
                f" {counting.acknowledged:,} increments acknowledged, {counting.unknown} unknown,"
                f" of which {applied} were applied; {counting.refused} refused"
            )
