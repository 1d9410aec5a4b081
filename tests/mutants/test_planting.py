"""Mutations get into modules while these are imported, and nowhere else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tools.mutants import trial
from tools.mutants.catalogue import find
from tools.mutants.children import Children, Planted
from tools.mutants.mutation import Area, Mutation, PlantingError
from tools.mutants.planting import PlantingLoader, plant
from tools.mutants.trial import try_units

SOURCE = """\
LIMIT = 3


def fits(size: int) -> bool:
    return size <= LIMIT
"""


def mutation(old: str, new: str, *, name: str = "one", module: str = "planted_module") -> Mutation:
    return Mutation(name, Area.HOST, "It is wrong.", "here", f"{module}.py", old, new)


OFF_BY_ONE = mutation("    return size <= LIMIT\n", "    return size < LIMIT\n")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module that can be imported; what was planted ends with the test."""
    file = tmp_path / "planted_module.py"
    file.write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield file
    sys.modules.pop("planted_module", None)


@pytest.fixture
def load(module: Path) -> Callable[[], ModuleType]:
    """Imports the module anew."""

    def imported() -> ModuleType:
        sys.modules.pop("planted_module", None)
        return importlib.import_module("planted_module")

    return imported


def test_a_module_is_imported_with_the_mutation_in_it(load: Callable[[], ModuleType]) -> None:
    plant([OFF_BY_ONE])
    assert not load().fits(3)


def test_the_file_stays_as_it_is(load: Callable[[], ModuleType], module: Path) -> None:
    plant([OFF_BY_ONE])
    load()
    assert module.read_text() == SOURCE


def test_compiled_files_are_neither_used_nor_written(
    load: Callable[[], ModuleType], module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert load().fits(3)
    (compiled,) = module.parent.glob("__pycache__/*.pyc")
    before = compiled.read_bytes()
    sys.modules.pop("planted_module")
    plant([OFF_BY_ONE])
    assert not load().fits(3)
    assert compiled.read_bytes() == before


def test_several_mutations_share_a_module(load: Callable[[], ModuleType]) -> None:
    plant([OFF_BY_ONE, mutation("LIMIT = 3\n", "LIMIT = 2\n", name="two")])
    planted = load()
    assert [planted.fits(size) for size in (1, 2, 3)] == [True, False, False]


def test_tracebacks_and_inspection_see_the_mutated_text(load: Callable[[], ModuleType]) -> None:
    plant([OFF_BY_ONE])
    loader = load().__loader__
    assert isinstance(loader, PlantingLoader)
    assert "size < LIMIT" in loader.get_source("planted_module")


@pytest.mark.parametrize(("old", "count"), [("nothing of it\n", 0), ("LIMIT", 2)])
def test_the_text_has_to_stand_there_exactly_once(
    load: Callable[[], ModuleType], old: str, count: int
) -> None:
    plant([mutation(old, "")])
    with pytest.raises(PlantingError, match=f"one: the text to replace stands {count} times"):
        load()


def test_a_module_that_was_imported_before_is_refused(load: Callable[[], ModuleType]) -> None:
    load()
    with pytest.raises(PlantingError, match="planted_module was imported before one was planted"):
        plant([OFF_BY_ONE])


def test_a_module_that_is_not_there_is_an_error(load: Callable[[], ModuleType]) -> None:
    plant([mutation("", "", module="no_such_module")])
    with pytest.raises(PlantingError, match="there is no module no_such_module"):
        importlib.import_module("no_such_module")


def test_other_modules_are_left_alone(load: Callable[[], ModuleType]) -> None:
    plant([mutation("LIMIT = 3\n", "LIMIT = 2\n", module="another_module")])
    assert load().fits(3)


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("cluster/raft/core.py", "cluster.raft.core"),
        ("kvstore/replica/__init__.py", "kvstore.replica"),
    ],
)
def test_a_mutation_names_its_module_by_its_file(path: str, module: str) -> None:
    assert Mutation("one", Area.HOST, "It is wrong.", "here", path, "", "").module == module


def test_a_unit_suite_runs_with_what_is_planted(tmp_path: Path) -> None:
    """Of kvstore, too, whose modules pytest would import by itself to rewrite their assertions."""
    suite = tmp_path / "test_planted.py"
    suite.write_text(
        "import kvstore.http2.stream as module\n"
        "def test_it() -> None:\n"
        "    assert type(module.__loader__).__name__ == 'PlantingLoader'\n"
    )
    planted = Planted(Children(), find("finished-message-kept"))
    assert try_units(planted, [str(suite)]).caught_by is None


def test_a_test_that_does_not_end_has_found_its_mutant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "TEST_S_MAX", 1)
    suite = tmp_path / "tests" / "test_hanging.py"
    suite.parent.mkdir()
    suite.write_text(
        "def test_it() -> None:\n"
        "    while True:\n"
        "        try:\n"
        "            while True:\n"
        "                pass\n"
        "        except BaseException:\n"
        "            pass\n"
    )
    verdict = try_units(Planted(Children(), find("finished-message-kept")), [str(suite)])
    assert (verdict.caught_by, verdict.detail) == (
        "tests/test_hanging.py::test_it",
        "no end in 1 s",
    )
