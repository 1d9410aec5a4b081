"""The command, in processes of its own: mutants are planted there and found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tools.mutants.catalogue import CATALOGUE
from tools.mutants.simulations import ROOT


def mutants(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.mutants", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_it_lists_what_there_is() -> None:
    listed = mutants("--list")
    assert listed.returncode == 0
    assert len(listed.stdout.splitlines()) == 2 * len(CATALOGUE)
    assert "commit-moves-back  [replication]\n" in listed.stdout


def test_a_name_that_is_none_is_refused() -> None:
    for arguments in (["--only", "nobody"], ["nobody", "--", "pytest"]):
        refused = mutants(*arguments)
        assert refused.returncode == 2
        assert "there is no mutant 'nobody'" in refused.stderr


def test_any_module_runs_with_a_mutant_in_it() -> None:
    suite = ("pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/raft/test_log.py")
    assert mutants("--", *suite).returncode == 0
    with_mutant = mutants("late-append-truncates", "--", *suite)
    assert with_mutant.returncode == 1
    assert "stopping after 1 failures" in with_mutant.stdout


def test_a_mutant_is_found_by_a_seed(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    found = mutants(
        "--only", "commit-moves-back", "--simulate", "--no-baseline", "--json", str(report)
    )
    assert found.returncode == 0, found.stderr
    assert "1 of 1 mutants caught: 0 by unit suites, 1 by simulations" in found.stdout
    (result,) = json.loads(report.read_text())
    assert result["simulations"]["detail"].endswith("the commit index went back")


def test_a_survivor_is_an_error() -> None:
    survived = mutants("--only", "commit-moves-back", "--simulate", "--no-baseline", "--seeds", "0")
    assert survived.returncode == 1
    assert "SURVIVED  commit-moves-back" in survived.stdout


def test_what_is_known_is_not_tried_again(tmp_path: Path) -> None:
    arguments = ("--simulate", "--no-baseline", "--resume", str(tmp_path / "results.json"))
    first = mutants("--only", "commit-moves-back", *arguments)
    assert "[1/1] commit-moves-back: group" in first.stderr
    second = mutants("--only", "commit-moves-back", "vote-without-sync", *arguments)
    assert "[1/1] vote-without-sync: group" in second.stderr
    assert "commit-moves-back" not in second.stderr
    assert "2 of 2 mutants caught" in second.stdout


def test_a_file_that_holds_no_results_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{")
    refused = mutants("--resume", str(other), "--no-baseline")
    assert refused.returncode == 2
    assert "holds no results" in refused.stderr
    assert other.read_text() == "{"


def test_an_interrupted_run_keeps_what_it_knows(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    names = ("commit-moves-back", "lease-kept-while-quiet")
    options = ("--simulate", "--no-baseline", "--jobs", "1", "--resume", str(results))
    run = subprocess.Popen(
        [sys.executable, "-m", "tools.mutants", "--only", *names, *options],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert run.stderr is not None
    assert "commit-moves-back" in run.stderr.readline()
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "interrupted" in said
    (kept,) = json.loads(results.read_text())
    assert kept["name"] == "commit-moves-back"
