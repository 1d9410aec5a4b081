"""Tries mutants: which unit suites and which simulations have to find one, and whether they do."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tools.mutants.children import KILLED, WALL_S_MAX, Planted
from tools.mutants.mutation import Area
from tools.mutants.simulations import Finding
from tools.mutants.sweep import Sweep

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
        "tests/test_standing.py",
    ),
    Area.BACKUPS: (
        "tests/backup",
        "tests/rpc/test_backup_service.py",
        "tests/client/test_backup.py",
        "tests/cli/test_backup_jobs.py",
    ),
    Area.SCRUBS: ("tests/replica/test_scrub.py", "tests/partition"),
    Area.SCANS: (
        "tests/storage/test_engine.py",
        "tests/codec/test_cursor.py",
        "tests/replica/test_scan_views.py",
        "tests/client/test_scan_options.py",
        "tests/client/test_levels_of_many.py",
        "tests/client/test_sync_client.py",
    ),
    Area.TRANSPORT: ("tests/http2", "tests/rpc/test_front_door.py"),
}
"""The rooms concerned. The simulations among them are tried by themselves."""

SEEDED: Final[dict[Area, tuple[str, ...]]] = {
    Area.ELECTIONS: ("group", "adversary", "rivals"),
    Area.REPLICATION: ("group", "adversary", "rivals"),
    Area.READS: ("group", "adversary", "leases", "host", "cluster"),
    Area.MEMBERSHIP: ("group", "adversary", "rivals"),
    Area.SNAPSHOTS: ("group", "adversary", "rivals"),
    Area.COMPACTION: ("host", "cluster"),
    Area.STORAGE: ("host", "cluster"),
    Area.STATE_MACHINE: ("host", "cluster"),
    Area.HOST: ("host", "cluster"),
    Area.CLIENTS: ("cluster",),
    Area.PARTITIONING: ("cluster",),
    Area.BACKUPS: (),
    Area.SCRUBS: ("cluster",),
    Area.SCANS: ("cluster",),
    Area.TRANSPORT: (),
}
"""The simulations that run the area's code, in the order in which they are tried. Whole clusters
run all of it, much more slowly: what is in the core alone is left to groups of cores."""

SIMULATION_TESTS: Final = (
    "tests/raft/test_simulation.py",
    "tests/raft/test_adversary.py",
    "tests/raft/test_rivals.py",
    "tests/raft/test_lease_simulation.py",
    "tests/replica/test_host_under_faults.py",
)
TEST_S_MAX: Final = 60
STAGES: Final = (10, 40, 200)
"""A mutant is tried with so many seeds of each of its simulations before more of the first: what
one finds at once another may find never."""

_TIMEOUT: Final = "+ Timeout +"
_FRAME: Final = re.compile(r'File "\S*?/(tests/\S+\.py)", line \d+, in (test_\w+)')
"""Of a test that hangs, where it stands."""
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
    clean: dict[str, int] = field(default_factory=dict)
    """By simulation: so many seeds, from 0 on, in which nothing was noticed."""
    stopped_after_s: float | None = None
    """The limit in processor time that ended the trial before all its seeds were run."""


def try_units(planted: Planted, suites: Sequence[str]) -> Verdict:
    """Runs `suites` up to the first test that fails."""
    started_s = time.monotonic()
    code, output = planted.run(
        "pytest",
        "-x",
        "-q",
        "-p",
        "tools.mutants.pytest_plugin",
        "-p",
        "no:cacheprovider",
        f"--timeout={TEST_S_MAX}",
        # Ends the process: what is raised inside of a test, Hypothesis takes for an example to be
        # made smaller, each time for as long again.
        "--timeout-method=thread",
        *(f"--ignore={path}" for path in SIMULATION_TESTS),
        *suites,
    )
    took_s = time.monotonic() - started_s
    if code == 0:
        return Verdict(None, "", 0, took_s)
    failed = _FAILED.search(output)
    if code == 1 and _TIMEOUT in output:
        hangs = _FRAME.search(output)
        return Verdict(
            f"{hangs[1]}::{hangs[2]}" if hangs else "hang", f"no end in {TEST_S_MAX} s", 0, took_s
        )
    if code == KILLED:
        return Verdict("hang", f"killed after {WALL_S_MAX} s", 0, took_s)
    if code != 1 or failed is None:
        raise CheckBroken(f"pytest ended with {code}:\n{output[-3000:]}")
    return Verdict(failed[1], failed[2] or "", 0, took_s)


@dataclass(frozen=True, slots=True)
class Budget:
    """How far a mutant is tried with simulations."""

    seeds: int
    """Of each."""
    cpu_s: float
    """Processor time, of all together."""


def try_simulations(
    planted: Planted, names: Sequence[str], budget: Budget, before: Verdict | None = None
) -> Verdict:
    """Runs simulations with seeds from 0 on to the first finding: by STAGES, and no further than
    `budget` goes. What ran clean in the trial of `before` is not run again."""
    clean = dict.fromkeys(names, 0)
    started_s, left_s = time.monotonic(), budget.cpu_s
    if before is not None:
        clean |= {name: count for name, count in before.clean.items() if name in clean}
        started_s -= before.took_s
    for stage in (*(stage for stage in STAGES if stage < budget.seeds), budget.seeds):
        for name in names:
            seeds = range(clean[name], stage)
            if not seeds or left_s <= 0:
                continue
            swept = _sweep(planted, name, seeds, left_s)
            left_s -= swept.cpu_s
            clean[name] += swept.clean
            if swept.finding is not None:
                return Verdict(
                    f"{name}: {swept.finding.check}",
                    f"seed {clean[name]}: {swept.finding.detail}",
                    clean[name] + 1,
                    time.monotonic() - started_s,
                    clean,
                )
    return Verdict(
        None,
        "",
        sum(clean.values()),
        time.monotonic() - started_s,
        clean,
        budget.cpu_s if any(count < budget.seeds for count in clean.values()) else None,
    )


def has_been_tried(verdict: Verdict, names: Sequence[str], seeds: int) -> bool:
    """Whether simulations `names` have said of a mutant what they can within `seeds`."""
    return verdict.caught_by is not None or all(
        verdict.clean.get(name, 0) >= seeds for name in names
    )


def _sweep(planted: Planted, name: str, seeds: range, cpu_s_max: float) -> Sweep:
    code, output = planted.run(
        "tools.mutants.sweep", name, str(seeds.start), str(seeds.stop), str(cpu_s_max)
    )
    if code == KILLED:
        return Sweep(0, Finding("hang", f"killed after {WALL_S_MAX} s"), cpu_s_max)
    if code != 0:
        raise CheckBroken(f"simulation {name} ended with {code}:\n{output[-3000:]}")
    return Sweep.from_json(output.strip().rpartition("\n")[2])
