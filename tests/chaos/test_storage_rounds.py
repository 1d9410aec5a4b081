"""kill -9 while commit logs turn over, tables are flushed and states are streamed: nothing is lost.

The files are as small as they may be and values large, so that in most rounds a node dies in the
middle of a segment's end, a flush, a release or a snapshot. `KVSTORE_CHAOS_SEED` repeats a run's
choices.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from random import Random
from statistics import median

import pytest

from kvstore import AsyncClient, LocalCluster
from tests.support.registers import Workload

pytestmark = [pytest.mark.chaos, pytest.mark.process, pytest.mark.timeout(3600)]

KILLS = 200
BLACKOUTS = 50
REGISTERS = 48
VALUE_BYTES = 16_384
SETTINGS = {
    "commit_log_segment_bytes": 8 << 20,
    "commit_log_kept_segments": 1,
    "commit_log_lagging_segments": 1,
}


def make_random() -> Random:
    seed = int(os.environ.get("KVSTORE_CHAOS_SEED", time.time_ns()))
    print(f"\nKVSTORE_CHAOS_SEED={seed}")
    return Random(seed)


def log_segments(cluster: LocalCluster) -> tuple[int, int]:
    """How many segments all nodes together have begun since the first start, and let go of. They
    are named by numbers that only rise."""
    begun = released = 0
    for node in cluster.node_ids:
        files = sorted((cluster.data_dir / node).rglob("*.segment"))
        begun += int(files[-1].stem, 16)
        released += int(files[0].stem, 16) - 1
    return begun, released


async def test_kills_of_one_node_under_load_lose_nothing(tmp_path: Path) -> None:
    random = make_random()
    took_s: list[float] = []
    with LocalCluster(data_dir=tmp_path / "cluster", settings=SETTINGS) as cluster:
        async with AsyncClient(cluster.endpoints) as client:
            load = Workload(client, REGISTERS, value_bytes=VALUE_BYTES)
            load.start()
            for _ in range(KILLS):
                await load.acknowledges_more(random.randrange(1, 40) * REGISTERS)
                cluster.kill(random.choice(cluster.node_ids))
                # At times long enough that the others let go of what the dead one lacks.
                await load.acknowledges_more(random.choice([1, 1, 1, 80]) * REGISTERS)
                began_s = time.monotonic()
                await asyncio.to_thread(cluster.up)
                took_s.append(time.monotonic() - began_s)
            await load.finish()
            await load.verify()
            begun, released = log_segments(cluster)
    print(
        f"{KILLS} kills of one node: {load.tally}; back in service after"
        f" {median(took_s):.1f} s (median), {max(took_s):.1f} s at most;"
        f" {begun} segments begun, {released} let go of"
    )
    assert released > KILLS / 10, "logs did not turn over: the rounds do not show what they should"


async def test_kills_of_all_nodes_under_load_lose_nothing(tmp_path: Path) -> None:
    random = make_random()
    with LocalCluster(data_dir=tmp_path / "cluster", settings=SETTINGS) as cluster:
        async with AsyncClient(cluster.endpoints) as client:
            load = Workload(client, REGISTERS, value_bytes=VALUE_BYTES)
            load.start()
            for _ in range(BLACKOUTS):
                await load.acknowledges_more(random.randrange(1, 60) * REGISTERS)
                for node in random.sample(cluster.node_ids, len(cluster.node_ids)):
                    cluster.kill(node)
                await asyncio.to_thread(cluster.up)
            await load.finish()
            await load.verify()
            begun, released = log_segments(cluster)
    print(
        f"{BLACKOUTS} blackouts of all nodes: {load.tally};"
        f" {begun} segments begun, {released} let go of"
    )
    assert released > BLACKOUTS / 10
