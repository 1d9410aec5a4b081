"""How long callers wait while nodes are cut off or restarted; prints what it measured.

KVSTORE_CHAOS_PASSES says how many times all nodes are restarted, one after the other.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from cluster.ids import GroupId, NodeId
from kvstore import AsyncClient, KVStoreError, LocalCluster
from kvstore.chaos.local_target import LocalTarget
from kvstore.chaos.mesh import both_ways
from kvstore.chaos.schedule import FaultKind
from kvstore.client.status import ClusterStatus
from tests.support.registers import Violation

PASSES = int(os.environ.get("KVSTORE_CHAOS_PASSES") or 10)
CUT_OFF_S = 60.0
ELECTION_TIMEOUT_S_MAX = 1.2
KEYS = 64

pytestmark = [pytest.mark.chaos, pytest.mark.process, pytest.mark.timeout(900)]


@dataclass
class Callers:
    """For each key one that writes 1, 2, 3, … and reads each back, with the client's defaults; used
    with `async with`."""

    client: AsyncClient
    calls: int = 0
    errors: list[KVStoreError] = field(default_factory=list)
    longest_s: float = 0.0
    is_over: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self.tasks = [asyncio.create_task(self._call(b"key %d" % n)) for n in range(KEYS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Also where the test has failed: the client is about to be closed."""
        self.is_over = True
        await asyncio.gather(*self.tasks)

    async def _call(self, key: bytes) -> None:
        number = 0
        while not self.is_over:
            number += 1
            value = b"%d" % number
            begun_s = time.monotonic()
            try:
                await self.client.put(key, value)
                self._note(begun_s)
                begun_s = time.monotonic()
                found = await self.client.get(key)
                self._note(begun_s)
            except KVStoreError as problem:
                self.errors.append(problem)
                continue
            if found != value:
                raise Violation(f"{key!r} held {found!r} after {value!r} was acknowledged")

    def _note(self, begun_s: float) -> None:
        self.calls += 1
        self.longest_s = max(self.longest_s, time.monotonic() - begun_s)


async def test_a_node_cut_off_for_a_minute_is_noticed_for_one_election_alone(
    tmp_path: Path,
) -> None:
    target = LocalTarget()
    await target.open([FaultKind.PARTITION], tmp_path / "cluster")
    try:
        victim, *others = target.nodes
        mesh = target.mesh
        assert mesh is not None
        async with AsyncClient(target.endpoints) as client, Callers(client) as callers:
            await asyncio.sleep(2)
            assert any(g.leader == victim for g in (await client.status()).partitions)
            before_s, callers.longest_s = callers.longest_s, 0.0
            await mesh.cut([pair for other in others for pair in both_ways(victim, other)])
            await asyncio.sleep(CUT_OFF_S)
            cut_s = callers.longest_s
            # Else the map would have the node lead again what it has caught up with.
            placed = await client.gather_leaders(others[0])
            assert not placed.unsettled
            callers.longest_s = 0.0
            led = leaderships(await client.status())
            assert not [leader for leader, _ in led.values() if leader in (victim, None)]
            await mesh.clear()
            healed_s = time.monotonic()
            while (lag := lag_of(victim, status := await client.status())) != 0:
                assert leaderships(status) == led, "the node that came back disturbs leaders"
                assert time.monotonic() - healed_s < 60, f"{victim} lags by {lag}"
            caught_up_s = time.monotonic() - healed_s
    finally:
        await target.close()
    print(
        f"\n{victim} cut off for {CUT_OFF_S:.0f} s, {callers.calls} calls: none failed; the longest"
        f" took {before_s:.3f} s before, {cut_s:.3f} s meanwhile, {callers.longest_s:.3f} s after;"
        f" caught up after {caught_up_s:.2f} s, no leadership changed"
    )
    assert not callers.errors
    assert cut_s <= 2 * ELECTION_TIMEOUT_S_MAX


async def test_a_rolling_restart_under_load_fails_no_operation(tmp_path: Path) -> None:
    longest_s: list[float] = []
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with AsyncClient(cluster.endpoints) as client, Callers(client) as callers:
            for _ in range(PASSES):
                callers.longest_s = 0.0
                for node in cluster.node_ids:
                    await asyncio.to_thread(cluster.stop, node)
                    await asyncio.to_thread(cluster.start, node)
                longest_s.append(callers.longest_s)
    print(
        f"\n{PASSES} rolling restarts: {callers.calls} calls, {len(callers.errors)} failed;"
        f" the longest of each took {', '.join(f'{each:.2f}' for each in longest_s)} s"
    )
    assert not callers.errors


def leaderships(status: ClusterStatus) -> dict[GroupId, tuple[str | None, int | None]]:
    """Who leads each group, and in which term."""
    return {group.group: (group.leader, group.term) for group in (status.meta, *status.partitions)}


def lag_of(node: str, status: ClusterStatus) -> int | None:
    """Entries that `node` misses; None while one of its groups has no answer."""
    lags = [None if g.lag is None else g.lag.get(NodeId(node)) for g in status.partitions]
    return None if None in lags else sum(lag or 0 for lag in lags)
