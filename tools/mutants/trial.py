"""Tries mutants: which unit suites and which simulations have to find one, and whether they do."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tools.mutants.bootstrap import VARIABLE
from tools.mutants.mutation import Area, Mutation
from tools.mutants.simulations import ROOT, SEEDS

UNIT_SUITES: Final[dict[Area, tuple[str, ...]]] = {
    Area.ELECTIONS: ("tests/raft",),
    Area.REPLICATION: ("tests/raft",),
    Area.READS: ("tests/raft", "tests/replica"),
    Area.MEMBERSHIP: ("tests/raft",),
    Area.SNAPSHOTS: ("tests/raft",),
    Area.COMPACTION: ("tests/replica", "tests/storage", "tests/commitlog"),
    Area.STORAGE: ("tests/commitlog", "tests/replica"),
    Area.STATE_MACHINE: ("tests/storage",),
    Area.HOST: ("tests/replica", "tests/rpc"),
    Area.CLIENTS: ("tests/client",),
    Area.PARTITIONING: (
        "tests/partition",
        "tests/codec_meta",
        "tests/rpc",
        "tests/test_data_directory.py",
    ),
    Area.BACKUPS: (
        "tests/backup",
        "tests/rpc/test_backup_service.py",
        "tests/client/test_backup.py",
        "tests/cli/test_backup_jobs.py",
    ),
    Area.SCRUBS: ("tests/replica/test_scrub.py", "tests/partition"),
}
"""The rooms concerned. The simulations among them are tried by themselves."""

SEEDED: Final[dict[Area, tuple[str, ...]]] = {
    Area.ELECTIONS: ("group", "adversary"),
    Area.REPLICATION: ("group", "adversary"),
    Area.READS: ("group", "adversary", "leases", "cluster"),
    Area.MEMBERSHIP: ("group", "adversary"),
    Area.SNAPSHOTS: ("group", "adversary"),
    Area.COMPACTION: ("host", "cluster"),
    Area.STORAGE: ("host", "cluster"),
    Area.STATE_MACHINE: ("host", "cluster"),
    Area.HOST: ("host", "cluster"),
    Area.CLIENTS: ("cluster",),
    Area.PARTITIONING: ("cluster",),
    Area.BACKUPS: (),
    Area.SCRUBS: ("cluster",),
}
"""The simulations that run the area's code, in the order in which they are tried. Whole clusters
run all of it, much more slowly: what is in the core alone is left to groups of cores."""

SIMULATION_TESTS: Final = (
    "tests/raft/test_simulation.py",
    "tests/raft/test_adversary.py",
    "tests/raft/test_lease_simulation.py",
    "tests/replica/test_host_under_faults.py",
)
TEST_S_MAX: Final = 60
CHILD_S_MAX: Final = 1200
"""On the wall, for a child that does not even notice that it hangs."""

_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (tests/.*?)(?: - (.*))?$", re.MULTILINE)


class CheckBroken(Exception):
    """A check did not run as it should: it found nothing, and it did not find nothing either."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one kind of check made of a mutant."""

    caught_by: str | None
    """The test, or the simulation's check; None: nothing was noticed."""
    detail: str
    seeds: int
    """Of the simulation that noticed, up to the one in which it did; else of all."""
    took_s: float


def try_units(mutation: Mutation | None, suites: Sequence[str]) -> Verdict:
    """Runs `suites` up to the first test that fails."""
    started_s = time.monotonic()
    code, output = _run(
        mutation,
        "pytest",
        "-x",
        "-q",
        "-p",
        "tools.mutants.pytest_plugin",
        "-p",
        "no:cacheprovider",
        f"--timeout={TEST_S_MAX}",
        *(f"--ignore={path}" for path in SIMULATION_TESTS),
        *suites,
    )
    took_s = time.monotonic() - started_s
    if code == 0:
        return Verdict(None, "", 0, took_s)
    failed = _FAILED.search(output)
    if code == _KILLED:
        return Verdict("hang", f"killed after {CHILD_S_MAX} s", 0, took_s)
    if code != 1 or failed is None:
        raise CheckBroken(f"pytest ended with {code}:\n{output[-3000:]}")
    return Verdict(failed[1], failed[2] or "", 0, took_s)


def try_simulations(mutation: Mutation | None, names: Sequence[str], seeds: int) -> Verdict:
    """Runs each simulation with seeds from 0 on, up to the first finding."""
    started_s = time.monotonic()
    count = 0
    for name in names:
        code, output = _run(mutation, "tools.mutants.sweep", name, str(min(seeds, SEEDS[name])))
        if code == _KILLED:
            took_s = time.monotonic() - started_s
            return Verdict(f"{name}: hang", f"killed after {CHILD_S_MAX} s", count, took_s)
        if code != 0:
            raise CheckBroken(f"simulation {name} ended with {code}:\n{output[-3000:]}")
        found = json.loads(output.strip().rpartition("\n")[2])
        count += found["seeds"]
        if found["check"] is not None:
            took_s = time.monotonic() - started_s
            return Verdict(
                f"{name}: {found['check']}",
                f"seed {found['seed']}: {found['detail']}",
                found["seeds"],
                took_s,
            )
    return Verdict(None, "", count, time.monotonic() - started_s)


_KILLED: Final = -signal.SIGKILL


def _run(mutation: Mutation | None, *command: str) -> tuple[int, str]:
    """Runs a module with `mutation` planted; gives its exit code and what it printed."""
    environment = {
        **os.environ,
        VARIABLE: "" if mutation is None else mutation.name,
        "PYTHONHASHSEED": "0",
        "COLUMNS": "200",
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "tools.mutants.bootstrap", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = child.communicate(timeout=CHILD_S_MAX)
    except subprocess.TimeoutExpired:
        # Its whole session: what it started hangs with it.
        os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
    return child.returncode, output
