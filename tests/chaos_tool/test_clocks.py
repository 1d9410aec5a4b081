"""The clock fault: how clocks are moved, whose, and that they are set right again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from kvstore.chaos import compose_target
from kvstore.chaos.clocks import Clocks
from kvstore.chaos.compose_target import ComposeTarget
from kvstore.chaos.faults import Scene, make_fault
from kvstore.chaos.faults.clocks import draw_move
from kvstore.chaos.local_target import LocalTarget
from kvstore.chaos.running_target import RunningTarget
from kvstore.chaos.schedule import FaultKind, Round, kinds_named
from kvstore.chaos.target import ClockMove, Target, chosen_kinds
from kvstore.clock_file import ClockReader
from kvstore.errors import ConfigurationError
from tests.chaos_tool.fakes import FakeTarget

NODES = ("n3", "n1", "n2")
MOVES = [draw_move(Random(number), 1.2) for number in range(2000)]


def scene(target: Target, strength: float) -> Scene:
    async def nobody() -> None:
        return None

    round_ = Round(1, FaultKind.CLOCK, NODES, hold_s=0.0, calm_s=0.0, strength=strength)
    return Scene(target, round_, nobody, nobody, lambda _node, _state: None)


def test_monotonic_clocks_jump_ahead_by_some_election_timeouts_up_to_minutes() -> None:
    ahead_s = [move.ahead_s for move in MOVES if move.ahead_s]
    assert 2 * 1.2 <= min(ahead_s) < 3
    assert 200 < max(ahead_s) <= 300


def test_or_run_half_as_fast_to_twice_as_fast_but_not_both() -> None:
    rates = [move.rate for move in MOVES if move.rate != 1.0]
    assert 0.5 <= min(rates) < 0.6
    assert 1.8 < max(rates) <= 2.0
    assert all((move.rate == 1.0) != (move.ahead_s == 0.0) for move in MOVES)


def test_wall_clocks_jump_in_both_directions() -> None:
    wall_s = [move.wall_s for move in MOVES]
    assert min(wall_s) < -10_000
    assert max(wall_s) > 10_000
    assert 0.0 in wall_s


def test_what_was_moved_is_said() -> None:
    assert ClockMove(ahead_s=4.25, wall_s=-30).text() == "4.2 s ahead, wall clock -30 s"
    assert ClockMove(rate=0.5).text() == "at 0.50 of its rate"


async def test_it_meets_one_node_or_each_in_its_own_way_and_is_healed() -> None:
    met = set()
    for number in range(20):
        target = FakeTarget()
        fault = make_fault(FaultKind.CLOCK, scene(target, number / 20))
        begun = await fault.begin()
        assert begun.targets in (NODES[:1], NODES)
        met.add(len(begun.targets))
        assert [node for node, _move in target.moves] == list(begun.targets)
        assert len({move for _node, move in target.moves}) == len(begun.targets)
        target.moves.clear()
        await fault.heal()
        assert target.moves == [(node, ClockMove()) for node in begun.targets]
    assert met == {1, 3}


async def test_the_same_round_moves_the_same_clocks_the_same_way() -> None:
    first, second = FakeTarget(), FakeTarget()
    for target in (first, second):
        await make_fault(FaultKind.CLOCK, scene(target, 0.7)).begin()
    assert first.moves == second.moves


def test_clocks_are_moved_by_default_in_a_cluster_of_its_own() -> None:
    assert FaultKind.CLOCK in chosen_kinds(LocalTarget(), None)
    assert kinds_named("clock") == (FaultKind.CLOCK,)


def test_of_a_running_cluster_they_are_not_within_reach() -> None:
    target = RunningTarget("127.0.0.1:1", owned=True, data_dir=None)
    with pytest.raises(
        ConfigurationError, match=r"clock cannot be made here: .* clocks and its data"
    ):
        chosen_kinds(target, [FaultKind.CLOCK])


def test_nor_those_of_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "docker-compose.yml"
    file.touch()
    monkeypatch.setattr(compose_target, "_compose_command", lambda: ["docker", "compose"])
    target = ComposeTarget(file, 1)
    assert FaultKind.CLOCK not in chosen_kinds(target, None)
    with pytest.raises(ConfigurationError, match="clock cannot be made here: with containers"):
        chosen_kinds(target, [FaultKind.CLOCK])


def test_each_node_has_a_file_of_its_own_which_goes_with_the_run(tmp_path: Path) -> None:
    clocks = Clocks()
    paths = clocks.make(NODES, tmp_path / "clocks")
    readers = {node: ClockReader(path) for node, path in paths.items()}
    clocks.move("n1", ClockMove(rate=1.5, wall_s=-2.0))
    assert [reader.state().rate_ppm for reader in readers.values()] == [
        *(1_000_000, 1_500_000, 1_000_000)
    ]
    assert readers["n1"].state().wall_offset_ns == -2_000_000_000
    clocks.remove()
    clocks.remove()
    assert not list(tmp_path.iterdir())
