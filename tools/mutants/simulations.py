"""Seeded simulations as mutants are tried with: one seed in, nothing or a finding out.

A simulation is imported only after planting, so this module imports none by itself.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SEED_CPU_S_MAX: Final = 60.0
"""Of the process's own time, many times what a seed takes: whoever needs more does not end."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check noticed."""

    check: str
    """Which check it was."""
    detail: str
    """What it said."""


class Simulation(Protocol):
    """Runs a whole cluster, with faults, from one seed."""

    def run(self, seed: int) -> Finding | None:
        """None when nothing was noticed. The same seed gives the same answer."""
        ...


class Hang(BaseException):
    """A seed did not come to its end. No Exception: the host survives none of those."""


class SeededTest:
    """A simulation that is a test: a function of a seed that raises what it notices."""

    def __init__(self, module: str, function: str) -> None:
        self._check: Callable[[int], object] = getattr(import_module(module), function)

    def run(self, seed: int) -> Finding | None:
        """See Simulation."""

        def check() -> None:
            self._check(seed)

        return _observed(check)


class ClusterSimulation:
    """`kvstore simulate`, with all faults: whole nodes and real clients."""

    def __init__(self) -> None:
        self._campaign: Any = import_module("kvstore.simulation.campaign")

    def run(self, seed: int) -> Finding | None:
        """See Simulation."""

        def check() -> Finding | None:
            report = self._campaign.run_task(self._campaign.Task(seed, "everything"))
            if report.failure is None:
                return None
            return Finding(report.failure.invariant, _first_line(report.failure.detail))

        return _observed(check)


SIMULATIONS: Final[dict[str, Callable[[], Simulation]]] = {
    "group": lambda: SeededTest("tests.raft.test_simulation", "check"),
    "adversary": lambda: SeededTest("tests.raft.test_adversary", "check"),
    "rivals": lambda: SeededTest("tests.raft.test_rivals", "check"),
    "leases": lambda: SeededTest("tests.raft.test_lease_simulation", "run_leases"),
    "host": lambda: SeededTest(
        "tests.replica.test_host_under_faults",
        "test_acknowledged_writes_stay_and_reads_are_linearizable",
    ),
    "cluster": ClusterSimulation,
}
"""By name, in the order in which they are tried: the cheap ones first."""
SEEDS_MAX: Final = 200
"""How many of each are tried, if not told otherwise."""


def _observed(check: Callable[[], Finding | None]) -> Finding | None:
    """What `check` finds or raises; a hang where it does not end."""
    try:
        with _cpu_limit(SEED_CPU_S_MAX):
            return check()
    except Hang:
        return Finding("hang", f"no end after {SEED_CPU_S_MAX:g} s")
    except Exception as problem:
        return finding_of(problem)


def finding_of(problem: BaseException) -> Finding:
    """Where `problem` was raised, and what it says; a bare assertion is quoted."""
    frames = traceback.extract_tb(problem.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT)]
    frame = ours[-1] if ours else frames[-1]
    path = Path(frame.filename)
    place = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    said = _first_line(str(problem)) or frame.line or ""
    return Finding(f"{type(problem).__name__} in {place}:{frame.name}", said)


def _first_line(text: str) -> str:
    return text.strip().split("\n")[0]


@contextmanager
def _cpu_limit(cpu_s: float) -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
