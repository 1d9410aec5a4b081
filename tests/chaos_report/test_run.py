"""What a run leaves: read, and refused by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kvstore.chaos_report.run import Errors, Leaders, NodeState, parse_events, read_events, read_run
from kvstore.errors import ConfigurationError
from tests.chaos_report.runs import BEGIN, NODES, MadeUpRun, at

BEGINS = {"at_ns": 5, "event": "fault-begins", "fault": "kill", "targets": ["n1"], "id": 1}


def test_a_run_says_what_it_was(tmp_path: Path) -> None:
    run = read_run(MadeUpRun(seconds=30).write(tmp_path))
    assert run.command[:2] == ("kvstore", "chaos")
    assert (run.seed, run.nodes, run.interrupted) == (17, NODES, False)
    assert (run.length_s, run.second_of(at(3))) == (30.0, 3.0)
    assert run.bank_total is None


def test_it_may_tell_what_the_banks_hold_and_more_that_is_not_known(tmp_path: Path) -> None:
    made_up = MadeUpRun(info={"bank_total": 100, "colour": "blue"})
    assert read_run(made_up.write(tmp_path)).bank_total == 100


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, "format is 2; this version of kvstore reads 1"),
        ({"seed": "x"}, 'seed is "x", not a whole number of 0 or more'),
        ({"clients": True}, "clients is true, not a whole number"),
        ({"nodes": "n1"}, 'nodes is "n1", not a list of strings'),
        ({"command": [1]}, "command is [1], not a list of strings"),
        ({"duration_s": -1}, "duration_s is -1, not a number of 0 or more"),
        ({"interrupted": 0}, "interrupted is 0, not true or false"),
        ({"version": None}, "version is null, not a string"),
        ({"election_timeout_ms": 0}, "election_timeout_ms is 0; it has to be above"),
        ({"ended_ns": BEGIN - 1}, f"ended_ns is {BEGIN - 1}, before started_ns {BEGIN}"),
        ({"target": ["x" * 100]}, 'target is ["xxx'),
    ],
)
def test_what_is_wrong_with_a_run_is_named(
    tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    MadeUpRun(info=change).write(tmp_path)
    with pytest.raises(ConfigurationError, match=f"run.json: {re.escape(sentence)}"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", MadeUpRun().run_json())
def test_a_field_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    record = MadeUpRun().run_json()
    del record[name]
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigurationError, match=f"field {name} is missing"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, '{"a":"' + "x" * (1 << 20)])
def test_what_is_no_object_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"run\.json: "):
        read_run(tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds no run\.json: it is not the directory"):
        read_run(tmp_path)


def events(*records: dict[str, object]) -> list[str]:
    return [json.dumps(record) for record in records]


def test_the_events_of_a_fault_are_put_together() -> None:
    found = parse_events(
        events(
            {**BEGINS, "at_ns": 9, "id": 2, "fault": "pause", "targets": [], "detail": "why"},
            dict(BEGINS),
            {"at_ns": 7, "event": "fault-ends", "id": 1},
            {"at_ns": 8, "event": "recovered", "id": 1, "after_ms": 1.5, "since": "begin"},
            {"at_ns": 8, "event": "recovered", "id": 1, "after_ms": 1, "since": "end"},
        ),
        "e",
    )
    first, second = found.faults
    assert (first.kind, first.targets, first.begin_ns, first.end_ns) == ("kill", ("n1",), 5, 7)
    assert (first.after_begin_ms, first.after_end_ms) == (1.5, 1.0)
    assert (second.detail, second.end_ns, second.after_end_ms) == ("why", None, None)


def test_the_other_events_are_sorted_by_time() -> None:
    found = parse_events(
        [
            *events(
                {"at_ns": 9, "event": "node", "node": "n1", "state": "down"},
                {"at_ns": 8, "event": "node", "node": "n1", "state": "paused"},
                {"at_ns": 7, "event": "error", "kind": "Unavailable", "count": 3},
                {"at_ns": 6, "event": "leaders", "leaders": {"n1": 5}, "changes": 2},
                {"at_ns": 6, "event": "weather", "sky": "grey"},
            ),
            "\n",
        ],
        "e",
    )
    assert found.states == [NodeState(8, "n1", "paused"), NodeState(9, "n1", "down")]
    assert found.errors == [Errors(7, "Unavailable", 3)]
    assert found.leaders == [Leaders(6, {"n1": 5}, 2)]


def test_changes_of_leaders_that_are_not_told_are_drawn_from_the_numbers() -> None:
    found = parse_events(
        events(
            {"at_ns": 1, "event": "leaders", "leaders": {"n1": 5, "n2": 5}},
            {"at_ns": 2, "event": "leaders", "leaders": {"n1": 0, "n2": 8, "n3": 2}},
        ),
        "e",
    )
    assert [each.changes for each in found.leaders] == [0, 5]


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"event": "node"}, "field at_ns is missing"),
        ({"at_ns": 1}, "field event is missing"),
        ({"at_ns": 1, "event": "fault-ends", "id": 7}, "id is 7, and no fault with it has begun"),
        (
            {"at_ns": 1, "event": "node", "node": "n1", "state": "odd"},
            'state is "odd", not one of running, down, paused',
        ),
        (
            {"at_ns": 1, "event": "leaders", "leaders": {"n1": -1}},
            "n1 is -1, not a whole number of 0 or more",
        ),
        ({"at_ns": 1, "event": "leaders", "leaders": 3}, "leaders is 3, not an object"),
        ({**BEGINS, "targets": None}, "targets is null, not a list of strings"),
    ],
)
def test_what_is_wrong_with_an_event_is_named(record: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^e, line 1: {re.escape(sentence)}"):
        parse_events(events(record), "e")


def test_two_faults_have_not_the_same_id() -> None:
    with pytest.raises(ConfigurationError, match="line 2: id is 1, which another fault has"):
        parse_events(events(dict(BEGINS), dict(BEGINS)), "e")


def test_a_run_without_events_had_none(tmp_path: Path) -> None:
    assert read_events(tmp_path).faults == []
