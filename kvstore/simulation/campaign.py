"""Many seeds, in several processes, and what they add up to."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.pool import Pool
from pathlib import Path

from kvstore.simulation.checkers import all_checkers
from kvstore.simulation.faults.profile import profile_named
from kvstore.simulation.run import Report, run_seed


@dataclass(slots=True)
class Totals:
    """What came of a campaign so far; times in seconds."""

    seeds: int = 0
    virtual_s: float = 0.0
    events: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    undecided: int = 0
    """Keys whose histories the judge could not decide within its bounds."""
    hashes: list[str] = field(default_factory=list)
    """Of the traces, in the order in which the reports came."""
    failures: list[Report] = field(default_factory=list)
    started_s: float = field(default_factory=time.monotonic)

    def add(self, report: Report) -> None:
        """Takes one seed's report."""
        self.seeds += 1
        self.virtual_s += report.virtual_s
        self.events += report.events
        self.undecided += report.undecided
        self.hashes.append(report.hash)
        for counts, more in (
            (self.operations, report.operations),
            (self.faults, report.faults),
        ):
            for name, count in more.items():
                counts[name] = counts.get(name, 0) + count
        if report.failure is not None:
            self.failures.append(report)

    @property
    def elapsed_s(self) -> float:
        """Real time so far."""
        return max(1e-9, time.monotonic() - self.started_s)

    @property
    def seeds_per_hour(self) -> float:
        """By all processes together."""
        return self.seeds * 3600 / self.elapsed_s

    @property
    def times_real(self) -> float:
        """Virtual seconds in a real one, by all processes together."""
        return self.virtual_s / self.elapsed_s


@dataclass(frozen=True, slots=True)
class Task:
    """One seed to run."""

    seed: int
    profile: str


def run_task(task: Task) -> Report:
    """Runs one seed under all checkers."""
    return run_seed(task.seed, profile_named(task.profile), all_checkers)


def run_traced(task: Task, path: Path) -> Report:
    """The same, with all its events as JSON lines in a file."""
    with path.open("w", encoding="utf-8") as file:
        return run_seed(task.seed, profile_named(task.profile), all_checkers, file)


def run_all(tasks: Sequence[Task], jobs: int) -> Iterator[Report]:
    """The reports as they come: in order with one job, which then runs in this process."""
    if jobs == 1 or len(tasks) == 1:
        yield from map(run_task, tasks)
        return
    with _start_processes(jobs) as pool:
        yield from pool.imap_unordered(run_task, tasks)


def _start_processes(jobs: int) -> Pool:
    """Started anew rather than forked: what gRPC has going here does not survive a fork.

    Ctrl-C goes to all processes of a terminal. These inherit that it is held back from them: this
    one hears it, and ends them.
    """
    # The library's helper process comes first: starting it would let Ctrl-C through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return get_context("spawn").Pool(jobs)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_campaign(
    tasks: Sequence[Task], jobs: int, totals: Totals, progress: Callable[[], None]
) -> None:
    """Runs all of `tasks`, or up to the first failure, into `totals`: what was done so far is there
    also when this is interrupted. `progress` is told after each."""
    for report in run_all(tasks, jobs):
        totals.add(report)
        progress()
        if report.failure is not None:
            break
