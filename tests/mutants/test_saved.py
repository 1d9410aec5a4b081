"""Results on file: read again as they were, for as long as they are of the same mutants."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.test_report import BY_SEED, CAUGHT, MISSED, mutation
from tools.mutants.report import Result
from tools.mutants.saved import SavedError, digest_of_sources, load, save

RESULTS = [
    Result(mutation("a"), CAUGHT, None, "sources"),
    Result(mutation("b"), MISSED, BY_SEED, "sources"),
    Result(mutation("c"), None, replace(MISSED, clean={"group": 7}, stopped_after_s=3.0), "others"),
]
CATALOGUE = [result.mutation for result in RESULTS]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    save(path, RESULTS)
    return path


def test_results_are_read_as_they_were_written(file: Path) -> None:
    assert list(load(file, CATALOGUE).values()) == RESULTS


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert load(tmp_path / "none", CATALOGUE) == {}


def test_a_mutant_with_another_text_is_not_known(file: Path) -> None:
    changed = replace(CATALOGUE[1], new="something else\n")
    assert load(file, [CATALOGUE[0], changed]).keys() == {"a"}


def test_a_mutant_that_is_gone_is_left_out(file: Path) -> None:
    assert load(file, CATALOGUE[1:]).keys() == {"b", "c"}


@pytest.mark.parametrize(
    "text", ["", "{}{", '["a"]', '[{"name": "a"}]', '[{"name": "a", "text": "", "units": 7}, 3]']
)
def test_what_is_no_file_of_results_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(SavedError, match="holds no results"):
        load(path, CATALOGUE)


def test_a_verdict_with_fields_of_others_is_refused(file: Path) -> None:
    entries = json.loads(file.read_text())
    entries[0]["units"]["seconds"] = 1
    file.write_text(json.dumps(entries))
    with pytest.raises(SavedError, match="holds no results"):
        load(file, CATALOGUE)


def test_the_digest_tells_sources_apart(tmp_path: Path) -> None:
    room = tmp_path / "kvstore"
    room.mkdir()
    (room / "one.py").write_text("1\n")
    before = digest_of_sources(tmp_path)
    assert digest_of_sources(tmp_path) == before
    (room / "one.py").write_text("2\n")
    assert digest_of_sources(tmp_path) != before
