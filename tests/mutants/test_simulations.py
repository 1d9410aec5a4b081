"""A seed is run to its end or to its limit, and what was raised is told in a line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import pytest

from tools.mutants import simulations
from tools.mutants.simulations import Finding, SeededTest
from tools.mutants.sweep import Sweep, sweep


def fine(seed: int) -> None:
    pass


def bare_assertion(seed: int) -> None:
    assert seed < 0


def told(seed: int) -> None:
    raise ValueError(f"seed {seed} is odd\nand more")


def endless(seed: int) -> None:
    while True:
        try:
            sum(range(10_000))
        except Exception:  # what hosts do with most of what is raised
            continue


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], SeededTest]:
    return lambda name: SeededTest(__name__, name)


def test_a_seed_in_which_nothing_is_raised_is_fine(seeded: Callable[[str], SeededTest]) -> None:
    assert seeded("fine").run(1) is None


def test_a_finding_names_the_place_and_the_first_line(
    seeded: Callable[[str], SeededTest],
) -> None:
    place = "tests/mutants/test_simulations.py"
    assert seeded("told").run(3) == Finding(f"ValueError in {place}:told", "seed 3 is odd")


def test_a_bare_assertion_is_quoted(seeded: Callable[[str], SeededTest]) -> None:
    finding = seeded("bare_assertion").run(3)
    assert finding is not None
    assert "assert seed < 0" in finding.detail or "assert 3 < 0" in finding.detail


def test_what_does_not_end_is_a_hang(
    seeded: Callable[[str], SeededTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulations, "SEED_CPU_S_MAX", 0.05)
    assert seeded("endless").run(1) == Finding("hang", "no end after 0.05 s")


@dataclass
class FindsAt:
    """Notices something at one seed."""

    seed: int
    runs: int = 0

    def run(self, seed: int) -> Finding | None:
        self.runs += 1
        return Finding("check", "detail") if seed == self.seed else None


def test_a_sweep_stops_at_the_first_finding() -> None:
    simulation = FindsAt(12)
    swept = sweep(simulation, range(10, 20), math.inf)
    assert (swept.clean, swept.finding) == (2, Finding("check", "detail"))
    assert simulation.runs == 3


def test_a_sweep_without_a_finding_runs_all_seeds() -> None:
    swept = sweep(FindsAt(99), range(10, 20), math.inf)
    assert (swept.clean, swept.finding) == (10, None)


def test_a_sweep_begins_no_seed_when_its_time_is_over() -> None:
    assert sweep(FindsAt(10), range(10, 20), 0.0).clean == 0


@pytest.mark.parametrize("finding", [None, Finding("check", "detail")])
def test_a_sweep_is_told_in_a_line(finding: Finding | None) -> None:
    swept = Sweep(7, finding, 1.5)
    assert "\n" not in swept.as_json()
    assert Sweep.from_json(swept.as_json()) == swept


def test_every_simulation_can_be_made() -> None:
    for make in simulations.SIMULATIONS.values():
        make()


def test_no_simulation_is_imported_before_it_is_made() -> None:
    """Else it would import what is to be mutated."""
    loaded = [one for one in vars(simulations).values() if isinstance(one, ModuleType)]
    assert not [one for one in loaded if one.__name__.startswith(("tests", "kvstore", "cluster"))]
