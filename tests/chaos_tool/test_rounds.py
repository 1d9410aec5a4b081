"""A round: what is broken is healed, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvstore.chaos.prober import Prober, Watch
from kvstore.chaos.recorder import EVENTS_FILE, Recorder
from kvstore.chaos.rounds import Rounds
from kvstore.chaos.schedule import FaultKind, Round
from kvstore.chaos.summary import Summary, quantile
from kvstore.chaos.target import NodeState
from kvstore.chaos.watcher import Watcher
from kvstore.client import AsyncClient
from kvstore.client.status import ClusterStatus, GroupStatus, NodeStatus
from kvstore.errors import Unavailable
from tests.chaos_tool.fakes import FakeTarget


class AtOnce(Prober):
    """All partitions take writes at any time."""

    def __init__(self) -> None:
        super().__init__(AsyncClient("127.0.0.1:1"), [b"key"])

    def watch(self) -> Watch:
        watch = Watch(1, time.monotonic_ns())
        watch.on_written(0, watch.since_ns)
        return watch


class Whole(Watcher):
    """A cluster in which nothing is missing, and n2 leads all."""

    async def look(self) -> ClusterStatus | None:
        nodes: Any = [NodeStatus(n, 1, "127.0.0.1:1") for n in ("n1", "n2", "n3")]  # type: ignore[arg-type]
        lag: Any = {"n1": 0, "n3": 0}
        group: Any = GroupStatus(1, ("n1", "n2", "n3"), "n2", 1, 5, 5, lag)  # type: ignore[arg-type]
        self.leads = {"n1": 0, "n2": 1, "n3": 0}
        return ClusterStatus("cluster", 1, tuple(nodes), group, (group,))


class World:
    def __init__(self, folder: Path, target: FakeTarget) -> None:
        self.target = target
        self.folder = folder
        self.recorder = Recorder(folder)
        self.summary = Summary()
        watcher = Whole(AsyncClient("127.0.0.1:1"), self.recorder)
        self.rounds = Rounds(target, self.recorder, AtOnce(), watcher, self.summary)

    async def run(self, kind: FaultKind) -> None:
        round_ = Round(4, kind, ("n3", "n1", "n2"), hold_s=0.0, calm_s=0.0, strength=0.5)

        async def wait(_wait_s: float) -> None:
            await asyncio.sleep(0)

        await self.rounds.run(round_, wait)

    def events(self) -> list[dict[str, Any]]:
        self.recorder.flush()
        lines = (self.folder / EVENTS_FILE).read_text().splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    world = World(tmp_path, FakeTarget())
    yield world
    world.recorder.close()


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[list[World]]:
    worlds: list[World] = []
    yield worlds
    for world in worlds:
        world.recorder.close()


async def test_a_round_is_told_from_its_beginning_to_the_recovery(world: World) -> None:
    await world.run(FaultKind.KILL)
    assert world.target.done == ["kill n3", "start n3"]
    told = {each["event"]: each for each in world.events()}
    begins = told["fault-begins"]
    assert (begins["fault"], begins["targets"], begins["id"]) == ("kill", ["n3"], 4)
    assert told["fault-ends"]["id"] == 4
    since = [each["since"] for each in world.events() if each["event"] == "recovered"]
    assert since == ["begin", "end"]
    states = [each["state"] for each in world.events() if each["event"] == "node"]
    assert states == ["down", "running"]
    assert world.rounds.states["n3"] is NodeState.RUNNING
    assert world.summary.faults == {"kill": 1}


async def test_a_fault_for_the_leader_meets_the_node_that_leads_most(world: World) -> None:
    await world.run(FaultKind.LEADER_PAUSE)
    assert world.target.done == ["pause n2", "resume n2"]


async def test_what_was_begun_in_part_is_healed(tmp_path: Path, failing: list[World]) -> None:
    world = World(tmp_path, FakeTarget(fails_at="kill n1"))
    failing.append(world)
    with pytest.raises(Unavailable, match="kill n1 did not work"):
        await world.run(FaultKind.RESTART_ALL)
    assert world.target.done == ["kill n3", "kill n1"]
    await world.rounds.heal()
    assert world.target.done[-1] == "start all"


async def test_what_is_healed_is_not_healed_again(world: World) -> None:
    await world.run(FaultKind.PAUSE)
    await world.rounds.heal()
    assert world.target.done == ["pause n3", "resume n3"]


async def test_a_node_that_ended_by_itself_ends_the_wait_for_a_whole_cluster(
    world: World,
) -> None:
    world.target.fell = "n1 has ended though no fault ended it"
    with pytest.raises(Unavailable, match="n1 has ended"):
        await world.rounds.check()


def test_quantiles_are_values_that_were_there() -> None:
    assert quantile([], 0.5) is None
    assert quantile([3.0], 0.99) == 3.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert quantile([float(n) for n in range(100)], 0.99) == 99.0
