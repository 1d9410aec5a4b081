"""A few seeds of each profile, and what a simulation as such promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from kvstore.simulation.campaign import Task, run_task, run_traced
from kvstore.simulation.faults.kinds import KINDS
from kvstore.simulation.faults.profile import PROFILES
from kvstore.simulation.run import Report
from tools.same_traces import HASH_SEEDS, compare, start

SEEDS = [
    *(("calm", seed) for seed in range(2)),
    *(("network", seed) for seed in range(4)),
    *(("disk", seed) for seed in range(4)),
    *(("crashes", seed) for seed in range(4)),
    *(("pauses", seed) for seed in range(2)),
    *(("clocks", seed) for seed in range(2)),
    *(("everything", seed) for seed in range(8)),
]


def clean(task: Task) -> Report:
    report = run_task(task)
    assert report.failure is None, f"{report.failure.invariant}: {report.failure.detail}"
    return report


@pytest.mark.parametrize(("profile", "seed"), SEEDS)
def test_no_promise_is_broken(profile: str, seed: int) -> None:
    report = clean(Task(seed, profile))
    assert report.operations["ok"] > 0


def test_a_calm_run_refuses_nothing_once_the_cluster_has_begun() -> None:
    report = clean(Task(3, "calm"))
    assert report.faults == {}
    # Callers that lose patience do not know; the first ones may come before there are leaders.
    assert report.operations.get("fail", 0) <= 3


def test_a_seed_is_the_same_run_in_another_process_with_other_hashes() -> None:
    seeds = range(4)
    children = [start(sys.executable, each, "everything", seeds) for each in HASH_SEEDS]
    outputs = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    hashes = [[line.split()[0] for line in output.splitlines()] for output in outputs]
    assert hashes[0] == hashes[1]
    assert len(set(hashes[0])) == len(seeds)


@pytest.mark.parametrize(
    ("other", "expected"),
    [("a 1", 0), ("b 1", 1), ("a 2", 1), ("", 1)],
)
def test_runs_that_differ_or_end_early_are_not_the_same(other: str, expected: int) -> None:
    children = [
        subprocess.Popen((sys.executable, "-c", f"print({each!r})"), stdout=PIPE, text=True)
        for each in ("a 1", other)
    ]
    assert compare(children, range(1)) == expected
    for child in children:
        child.communicate()


def test_a_trace_file_has_all_events_and_changes_nothing(tmp_path: Path) -> None:
    task = Task(5, "network")
    path = tmp_path / "events.jsonl"
    traced = run_traced(task, path)
    assert traced.hash == run_task(task).hash
    with path.open() as file:
        events = [json.loads(line) for line in file]
    counted = [event for event in events if event["event"] in ("send", "round", "return")]
    assert traced.events >= len(counted) > 100
    times = [event["time_s"] for event in events]
    assert times == sorted(times)


def test_every_kind_of_fault_is_in_a_profile_and_every_profile_knows_its_kinds() -> None:
    used = {kind for profile in PROFILES.values() for kind in profile.kinds}
    assert used == set(KINDS)
    assert set(PROFILES["everything"].kinds) == set(KINDS)
