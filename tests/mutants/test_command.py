"""The command, in processes of its own: mutants are planted there and found."""

from __future__ import annotations

import json
import os
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
