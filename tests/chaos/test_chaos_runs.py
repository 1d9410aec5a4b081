"""`kvstore chaos` with all faults and all workloads, run after run; and that it can find a bug.

KVSTORE_CHAOS_ROUNDS says how many runs of two minutes; KVSTORE_CHAOS_SEED the first one's seed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kvstore.chaos.local_target import LocalTarget
from kvstore.chaos.summary import quantile
from kvstore.chaos.target import chosen_kinds

ROUNDS = int(os.environ.get("KVSTORE_CHAOS_ROUNDS") or 10)
SEED = int(os.environ.get("KVSTORE_CHAOS_SEED") or 1)
RUN_S = 120
ROOT = Path(__file__).parents[2]
PLANTED = "retry-applied-again"

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.process,
    pytest.mark.timeout(RUN_S * 5 * ROUNDS),
]


def run(report: Path, *words: str, planted: str = "") -> tuple[int, dict[str, Any], str]:
    """A run in a process of its own: its exit code, its figures, and what it said."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KVSTORE_")}
    if planted:
        environment["KVSTORE_MUTANTS"] = planted
        environment["PYTHONPATH"] = f"{ROOT}:{ROOT / 'tools' / 'mutants' / 'everywhere'}"
    done = subprocess.run(
        [sys.executable, "-m", "kvstore", "--output", "json", "chaos", "--report", report, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def test_all_faults_and_all_workloads_break_no_promise(tmp_path: Path) -> None:
    faults: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    begin_ms: list[float] = []
    end_ms: list[float] = []
    for number in range(ROUNDS):
        report = tmp_path / str(number)
        seed = SEED + number
        code, figures, said = run(report, "--seed", str(seed), "--duration", str(RUN_S))
        assert code == 0, f"seed {seed}, kept in {report}: {figures}\n{said}"
        faults.update(figures["faults"])
        totals.update({name: figures[name] for name in ("operations", "refused", "unknown")})
        for line in (report / "events.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "recovered":
                (begin_ms if event["since"] == "begin" else end_ms).append(event["after_ms"])
    print(f"\n{ROUNDS} runs of {RUN_S} s: {dict(totals)}; faults: {dict(sorted(faults.items()))}")
    for name, found in (("beginning", begin_ms), ("end", end_ms)):
        p50, p99 = (quantile(found, q) for q in (0.5, 0.99))
        print(f"writes of all partitions after a fault's {name}: p50 {p50} ms, p99 {p99} ms")
    if ROUNDS >= 8:  # one run gets through two thirds of the kinds
        assert set(faults) == {kind.value for kind in chosen_kinds(LocalTarget(), None)}


def test_a_bug_that_is_planted_in_the_nodes_is_found_and_shown(tmp_path: Path) -> None:
    """Writes that are sent again are applied again; resets of connections make clients do so."""
    words = ("--seed", "4", "--duration", "45", "--faults", "drop,leader-kill")
    report = tmp_path / "report"
    code, figures, said = run(report, *words, "--workload", "counter,append", planted=PLANTED)
    assert (code, figures["verdict"]) == (1, "violation"), said
    findings = json.loads((report / "verdict.json").read_text())["findings"]
    assert {finding["promise"] for finding in findings} <= {"counter", "list"}
    print(f"\n{PLANTED}: {figures['violations']} violations in {figures['operations']} operations")
