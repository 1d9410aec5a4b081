"""Damage to the files of real nodes under load: no wrong read, nothing acknowledged lost, and each
damage does no harm or is found and mended without help.

A round damages one file of one node, killed or at work. Whatever the node makes of it, in the end
all nodes vote, a scrub finds their states the same, and all that was acknowledged is read. Files
are as small as they may be, so that logs and tables turn over. `KVSTORE_CHAOS_SEED` repeats a run's
choices, `KVSTORE_CHAOS_ROUNDS` says how many rounds there are.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

import pytest

from kvstore import AsyncClient, LocalCluster, Unavailable
from kvstore.client.scrub import ScrubVerdict
from kvstore.local.processes import ProcessState
from tests.support.agreement import all_agree, all_vote, scrubbed
from tests.support.damage import Kind, Place, damage, last_batch, places
from tests.support.registers import Workload

pytestmark = [pytest.mark.chaos, pytest.mark.process, pytest.mark.timeout(7200)]

ROUNDS = int(os.environ.get("KVSTORE_CHAOS_ROUNDS", "200"))
REGISTERS = 24
VALUE_BYTES = 16_384
FILLERS = 96
FILLER_BYTES = 64 << 10
SETTINGS = {
    "commit_log_segment_bytes": 8 << 20,
    "commit_log_kept_segments": 1,
    "commit_log_lagging_segments": 2,
    "disk_reserve_bytes": 64 << 20,
    "rebuilds_max": 1000,
}
PARTITIONS = 4
STARTS_MAX: Final = 4
"""By a supervisor, of a node that ends by itself."""
WEIGHTS: Final = {
    Place.OLD_SEGMENT: 4,
    Place.LAST_SEGMENT: 4,
    Place.LOG_END: 4,
    Place.TABLE: 5,
    Place.MANIFEST: 2,
    Place.CURRENT: 2,
    Place.IDENTITY: 2,
}


@unique
class Outcome(StrEnum):
    """What became of a damage."""

    REBUILT = "rebuilt"
    HARMLESS = "harmless"
    CUT = "never acknowledged"
    """The end of the log was lost, and nobody had been told of it."""
    REFUSED = "refused"
    """The node does not start without help."""


@dataclass
class Campaign:
    """Rounds of damage on one cluster, and what came of them."""

    cluster: LocalCluster
    client: AsyncClient
    load: Workload
    random: Random
    counts: Counter[tuple[Place, Kind, Outcome]] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    noticed_by: Counter[str] = field(default_factory=Counter)
    _fillers: dict[bytes, bytes] = field(default_factory=dict)

    async def fill(self, count: int) -> None:
        """Writes some of the large values anew."""
        numbers = self.random.sample(range(FILLERS), count)
        values = {
            b"filler/%03d" % number: self.random.randbytes(FILLER_BYTES) for number in numbers
        }
        await asyncio.gather(
            *(self.client.put(key, value, timeout_s=30.0) for key, value in values.items())
        )
        self._fillers |= values

    async def round(self) -> None:
        """Damages one file of one node, and waits until all is well again."""
        began_s = time.monotonic()
        random = self.random
        await self.load.acknowledges_more(random.randrange(1, 8) * REGISTERS)
        await self.fill(8)
        node = random.choice(self.cluster.node_ids)
        before = await self._replica_of(node)
        log_before = len(self.cluster.logs(node))
        is_running = random.random() < 0.4
        if is_running:
            place, kind, what = await self._damage_running(node)
        else:
            place, kind, what = await self._damage_stopped(node)
        is_refused = not await self._start(node, what)
        await all_agree(self.client, self.cluster.addresses)
        await self.load.acknowledges_more(REGISTERS)
        await self.verify()
        said = self.cluster.logs(node)[log_before:]
        outcome = Outcome.HARMLESS
        if is_refused:
            outcome = Outcome.REFUSED
        elif await self._replica_of(node) != before:
            outcome = Outcome.REBUILT
        elif "torn end of the commit log cut" in said:
            outcome = Outcome.CUT
            if place is Place.LOG_END:
                raise AssertionError(f"{node} lost what it had acknowledged: {what}\n{said}")
        self.counts[place, kind, outcome] += 1
        took_s = time.monotonic() - began_s
        self.took_s.append(took_s)
        state = "running" if is_running else "stopped"
        print(f"{took_s:5.1f} s  {node} {state:7}  {place}: {what}: {outcome}", flush=True)

    async def verify(self) -> None:
        """All that was acknowledged is there."""
        await self.load.verify()
        keys = list(self._fillers)
        values = await asyncio.gather(*(self.client.get(key, timeout_s=30.0) for key in keys))
        for key, value in zip(keys, values, strict=True):
            assert value == self._fillers[key], f"{key!r} is not what was written"

    def _choose(self, node: str, but: tuple[Place, ...] = ()) -> tuple[Place, Kind, Path]:
        there = places(self._data(node))
        choice = [place for place in there if place not in but]
        weights = [WEIGHTS.get(place, 1) for place in choice]
        (place,) = self.random.choices(choice, weights)
        kinds = [kind for kind in Kind if place is not Place.LOG_END or kind is not Kind.DELETED]
        return place, self.random.choice(kinds), self.random.choice(there[place])

    async def _damage_stopped(self, node: str) -> tuple[Place, Kind, str]:
        place, kind, _path = self._choose(node)
        if place is Place.LOG_END:
            # All of the log is acknowledged then.
            await self.load.pause()
            await asyncio.sleep(0.3)
        self.cluster.kill(node)
        self.load.go_on()
        there = places(self._data(node))
        path = self.random.choice(there.get(place, there[Place.LAST_SEGMENT]))
        within = None
        if place in (Place.LOG_END, Place.LAST_SEGMENT):
            _batch, begins, ends = last_batch(self._data(node))
            within = (begins if place is Place.LOG_END else 0, ends)
        return place, kind, damage(path, kind, self.random, within)

    async def _damage_running(self, node: str) -> tuple[Place, Kind, str]:
        """What is not noticed at once is looked for by a scrub, and by a start."""
        place, kind, path = self._choose(node, but=(Place.LOG_END,))
        try:
            what = damage(path, kind, self.random)
        except FileNotFoundError:  # let go of in this moment
            what = f"{path.name} was gone"
        await self.load.acknowledges_more(2 * REGISTERS)
        if place in (Place.TABLE, Place.OLD_SEGMENT):
            verdicts = {each.verdict for each in await scrubbed(self.client, timeout_s=5.0)}
            if ScrubVerdict.DIVERGED in verdicts:
                self.noticed_by["scrub of a running node"] += 1
        if self._state(node) is not ProcessState.DOWN:
            self.cluster.kill(node)
        return place, kind, what

    async def _start(self, node: str, what: str) -> bool:
        """As a supervisor does: anew, where the node stops itself. Where it refuses to start, an
        operator gives its data up; whether that was not needed."""
        for _ in range(STARTS_MAX):
            try:
                await asyncio.to_thread(self.cluster.start, node)
            except Unavailable as problem:
                if "exit code 70" in str(problem):
                    continue
                if "exit code 2" not in str(problem):
                    raise
                self.refusals.append(f"{what}: {problem}")
                print(self.refusals[-1], flush=True)
                shutil.rmtree(self._data(node))
                await asyncio.to_thread(lambda: self.cluster.start(node, rejoin=True))
                return False
            else:
                return True
        raise AssertionError(f"{node} does not stay up:\n{self.cluster.logs(node, lines=20)}")

    def _data(self, node: str) -> Path:
        return self.cluster.data_dir / node / "data"

    def _state(self, node: str) -> ProcessState:
        return next(each.state for each in self.cluster.status() if each.node_id == node)

    async def _replica_of(self, node: str) -> int:
        status = await self.client.status()
        return next(each.replica for each in status.nodes if each.node_id == node)

    def table(self) -> Iterator[str]:
        """Kind of damage by file, and how often what came of it."""
        outcomes = list(Outcome)
        yield f"{'file':22} {'damage':16}" + "".join(f"{outcome:>20}" for outcome in outcomes)
        for place in Place:
            for kind in Kind:
                row = [self.counts[place, kind, outcome] for outcome in outcomes]
                if any(row):
                    yield f"{place:22} {kind:16}" + "".join(f"{count:20}" for count in row)
        total = [sum(n for (_, _, o), n in self.counts.items() if o is each) for each in outcomes]
        yield f"{'all':39}" + "".join(f"{count:20}" for count in total)


def make_random() -> Random:
    seed = int(os.environ.get("KVSTORE_CHAOS_SEED", time.time_ns()))
    print(f"\nKVSTORE_CHAOS_SEED={seed} KVSTORE_CHAOS_ROUNDS={ROUNDS}")
    return Random(seed)


async def test_damage_to_one_node_at_a_time_loses_nothing(tmp_path: Path) -> None:
    random = make_random()
    with LocalCluster(
        partitions=PARTITIONS, data_dir=tmp_path / "cluster", settings=SETTINGS
    ) as cluster:
        async with AsyncClient(cluster.endpoints) as client:
            load = Workload(client, REGISTERS, value_bytes=VALUE_BYTES)
            campaign = Campaign(cluster, client, load, random)
            await campaign.fill(FILLERS)
            load.start()
            await all_vote(cluster.addresses)
            try:
                for _ in range(ROUNDS):
                    await campaign.round()
            finally:
                load.stop.set()
                print("\n".join(campaign.table()))
            await load.finish()
            await campaign.verify()
    print(
        f"{ROUNDS} damages: {load.tally}; a round took {median(campaign.took_s):.1f} s (median),"
        f" {max(campaign.took_s):.1f} s at most; {dict(campaign.noticed_by)}"
    )
    assert not campaign.refusals, "\n".join(campaign.refusals)
