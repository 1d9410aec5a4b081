"""How far a mutant is tried with simulations: a few seeds of each before many of one, up to the
first finding, within its budget, and nothing twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tools.mutants.catalogue import find
from tools.mutants.children import KILLED, Children, Interrupted, Planted
from tools.mutants.simulations import Finding
from tools.mutants.sweep import Sweep
from tools.mutants.trial import Budget, CheckBroken, has_been_tried, try_simulations, try_units


@dataclass
class Scripted(Children):
    """Children that only say what they were asked, at a second of processor time a seed."""

    finds: Callable[[str, int], bool] = lambda _name, _seed: False
    code: int = 0
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def run(self, mutation: object, *command: str) -> tuple[int, str]:
        _module, name, first, end, cpu_s_max = command
        self.asked.append((name, int(first), int(end)))
        clean = 0
        for seed in range(int(first), int(end)):
            if self.finds(name, seed):
                return self.code, Sweep(clean, Finding("check", "detail"), clean + 1.0).as_json()
            if clean >= float(cpu_s_max):
                break
            clean += 1
        return self.code, "warnings\n" + Sweep(clean, None, float(clean)).as_json() + "\n"


NAMES = ("group", "host")


def test_few_seeds_of_each_come_before_many_of_one() -> None:
    children = Scripted()
    verdict = try_simulations(Planted(children, None), NAMES, Budget(50, math.inf))
    assert children.asked == [
        ("group", 0, 10),
        ("host", 0, 10),
        ("group", 10, 40),
        ("host", 10, 40),
        ("group", 40, 50),
        ("host", 40, 50),
    ]
    assert (verdict.caught_by, verdict.seeds, verdict.stopped_after_s) == (None, 100, None)
    assert verdict.clean == {"group": 50, "host": 50}


def test_the_first_finding_is_the_last_seed() -> None:
    children = Scripted(finds=lambda name, seed: name == "host" and seed == 17)
    verdict = try_simulations(Planted(children, None), NAMES, Budget(200, math.inf))
    assert children.asked[-1] == ("host", 10, 40)
    assert (verdict.caught_by, verdict.seeds) == ("host: check", 18)
    assert verdict.detail == "seed 17: detail"


def test_what_takes_too_long_is_not_finished_and_goes_on_from_there() -> None:
    children = Scripted()
    planted = Planted(children, None)
    verdict = try_simulations(planted, NAMES, Budget(20, 15.0))
    assert verdict.clean == {"group": 10, "host": 5}
    assert verdict.stopped_after_s == 15.0
    assert not has_been_tried(verdict, NAMES, 20)
    children.asked.clear()
    verdict = try_simulations(planted, NAMES, Budget(20, 100.0), verdict)
    assert children.asked == [("host", 5, 10), ("group", 10, 20), ("host", 10, 20)]
    assert verdict.stopped_after_s is None
    assert has_been_tried(verdict, NAMES, 20)


def test_what_ran_clean_is_asked_for_again_only_with_more_seeds() -> None:
    planted = Planted(Scripted(), None)
    verdict = try_simulations(planted, NAMES, Budget(20, math.inf))
    assert has_been_tried(verdict, NAMES, 20)
    assert not has_been_tried(verdict, NAMES, 21)
    assert not has_been_tried(verdict, (*NAMES, "cluster"), 20)


def test_a_child_that_had_to_be_killed_hangs() -> None:
    verdict = try_simulations(Planted(Scripted(code=KILLED), None), NAMES, Budget(20, math.inf))
    assert verdict.caught_by == "group: hang"


def test_a_child_that_fails_by_itself_proves_nothing() -> None:
    with pytest.raises(CheckBroken, match="simulation group ended with 3"):
        try_simulations(Planted(Scripted(code=3), None), NAMES, Budget(20, math.inf))


def test_a_mutant_of_what_has_a_pytest_plugin_is_planted_in_unit_suites_too() -> None:
    planted = Planted(Children(), find("cursor-without-checksum"))
    verdict = try_units(planted, ["tests/codec/test_cursor.py"])
    assert verdict.caught_by is not None
    assert "test_cursor.py" in verdict.caught_by


def test_children_are_told_apart_from_those_that_ended_with_the_run() -> None:
    children = Children()
    code, output = children.run(None, "tools.mutants.sweep", "group", "0", "1", "60")
    assert (code, Sweep.from_json(output.strip()).clean) == (0, 1)
    children.end()
    with pytest.raises(Interrupted):
        children.run(None, "tools.mutants.sweep", "group", "0", "1", "60")
