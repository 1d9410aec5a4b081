"""What is printed: a row for each mutant, and what to think of those that survive."""

from __future__ import annotations

import json
from dataclasses import replace

from tools.mutants.mutation import Area, Mutation
from tools.mutants.report import Result, areas_of, json_of, summary_of, table_of
from tools.mutants.trial import Verdict


def mutation(name: str, cannot_matter: str = "") -> Mutation:
    return Mutation(name, Area.HOST, f"{name}.", "here", "a.py", "", "", cannot_matter)


CAUGHT = Verdict("tests/raft/test_log.py::test_it", "because", 0, 1.6)
BY_SEED = Verdict("group: AssertionError in checker", "seed 6: because", 7, 2.4)
MISSED = Verdict(None, "", 200, 30.0)

RESULTS = [
    Result(mutation("b"), MISSED, BY_SEED),
    Result(mutation("a"), CAUGHT, None),
    Result(mutation("c"), MISSED, MISSED),
    Result(mutation("d", "It is the same."), None, MISSED),
]

SEEDS = ("median", "90%", "most", "seeds")


def test_the_table_has_a_row_for_each() -> None:
    assert [line.split() for line in table_of(RESULTS).splitlines()] == [
        ["mutant", "unit", "suites", "s", "simulations", "seeds", "s"],
        ["a", "raft/test_log.py::test_it", "2"],
        ["b", "survived", "30", "group:", "AssertionError", "in", "checker", "7", "2"],
        ["c", "survived", "30", "survived", "200", "30"],
        ["d", "survived", "200", "30"],
    ]


def test_the_areas_have_a_row_each() -> None:
    assert [line.split() for line in areas_of(RESULTS).splitlines()] == [
        ["area", "mutants", *("by", "unit", "suites"), *("by", "simulations"), *SEEDS],
        ["host", "4", "1", "1", "7", "7", "7"],
        ["all", "4", "1", "1", "7", "7", "7"],
    ]


def test_nine_in_ten_needed_no_more_seeds_than_said() -> None:
    found = [Result(mutation("b"), None, replace(BY_SEED, seeds=seeds)) for seeds in range(1, 21)]
    assert areas_of(found).splitlines()[-1].split() == ["all", "20", "0", "20", "10", "18", "20"]


def test_the_summary_tells_explained_survivors_from_others() -> None:
    assert summary_of(RESULTS).splitlines() == [
        "2 of 4 mutants caught: 1 by unit suites, 1 by simulations",
        "SURVIVED  c: c.",
        "survived, as it must: d: It is the same.",
    ]


def test_a_survivor_that_was_explained_and_is_caught_is_said_so() -> None:
    caught = Result(mutation("d", "It is the same."), CAUGHT, None)
    assert "caught, although said not to matter: d" in summary_of([caught])


def test_who_ran_out_of_time_did_not_survive() -> None:
    left = Result(mutation("e"), None, replace(MISSED, stopped_after_s=30.0))
    assert "not finished within 30 s" in table_of([left])
    assert summary_of([left]).splitlines()[1:] == ["NOT FINISHED WITHIN 30 S  e: e."]
    assert left.is_unexplained


def test_results_of_other_sources_are_said_so() -> None:
    mixed = [Result(mutation(name), CAUGHT, None, name) for name in "ab"]
    assert "not all with the same sources" in summary_of(mixed)
    assert "sources" not in summary_of(mixed[:1])


def test_only_survivors_without_an_explanation_fail() -> None:
    assert [result.is_unexplained for result in RESULTS] == [False, False, True, False]


def test_json_has_everything() -> None:
    first = json.loads(json_of(RESULTS))[0]
    assert first["name"] == "b"
    assert first["caught"]
    assert first["simulations"]["seeds"] == 7
    assert first["simulations"]["caught_by"] == BY_SEED.caught_by
