"""Every mutant can be planted in the code as it is now, and says what it is."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tools.mutants.catalogue import CATALOGUE, find
from tools.mutants.mutation import Area, Mutation, PlantingError
from tools.mutants.simulations import ROOT, SIMULATIONS
from tools.mutants.trial import SEEDED, SIMULATION_TESTS, UNIT_SUITES

EACH = pytest.mark.parametrize("mutation", CATALOGUE, ids=lambda mutation: str(mutation.name))


@cache
def source_of(path: str) -> str:
    return (ROOT / path).read_text()


@cache
def as_it_is(path: str) -> str:
    """What the code means, whatever it looks like; many mutants are of one file."""
    return ast.dump(ast.parse(source_of(path)))


@EACH
def test_it_still_applies_and_changes_what_the_code_does(mutation: Mutation) -> None:
    mutated = ast.parse(mutation.mutate(source_of(mutation.path)))
    assert ast.dump(mutated) != as_it_is(mutation.path)
    compile(mutated, mutation.path, "exec")


@EACH
def test_it_replaces_whole_lines(mutation: Mutation) -> None:
    assert "\n" + mutation.old in "\n" + source_of(mutation.path)
    assert mutation.old.endswith("\n")
    assert not mutation.new or mutation.new.endswith("\n")


@EACH
def test_it_is_named_and_told_in_a_sentence(mutation: Mutation) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", mutation.name)
    assert re.fullmatch(r"[A-Z][^\n]+\.", mutation.mistake)
    assert mutation.seen
    assert not mutation.cannot_matter or mutation.cannot_matter.endswith(".")


def test_no_two_have_the_same_name() -> None:
    assert [name for name, count in Counter(m.name for m in CATALOGUE).items() if count > 1] == []


def test_there_are_few_that_cannot_matter() -> None:
    """At least 95% have to be found."""
    assert sum(bool(mutation.cannot_matter) for mutation in CATALOGUE) <= len(CATALOGUE) // 20


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(PlantingError, match="no mutant 'nobody'"):
        find("nobody")


@pytest.mark.parametrize("area", Area)
def test_every_area_has_checks_that_are_there(area: Area) -> None:
    assert UNIT_SUITES[area]
    for path in (*UNIT_SUITES[area], *SIMULATION_TESTS):
        assert Path(ROOT / path).exists()
    assert set(SEEDED[area]) <= SIMULATIONS.keys()
