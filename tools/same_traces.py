"""Is a seed the same run everywhere? Runs seeds of the simulation in two processes and compares.

    python -m tools.same_traces --seeds 200
    python -m tools.same_traces --seeds 200 --against build/compiled/venv/bin/python

The processes hash strings differently (PYTHONHASHSEED). With --against, the other one is of an
environment with another form of kvstore: compiled, it has to do what it does interpreted, event by
event. Exit code 1: a seed has two traces, or breaks a promise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

HASH_SEEDS: Final = ("1", "4711")
_CHILD: Final = """
import sys
from kvstore.simulation.campaign import Task, run_task
profile, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for seed in range(first, last):
    report = run_task(Task(seed, profile))
    broken = "" if report.failure is None else f" breaks: {report.failure.invariant}"
    print(f"{report.hash} {report.events}{broken}", flush=True)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200, help="how many (200)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first of them (0)")
    parser.add_argument("--profile", default="everything", help="which faults (everything)")
    parser.add_argument("--against", default=sys.executable, help="the other Python (this one)")
    given = parser.parse_args(arguments)
    seeds = range(given.first, given.first + given.seeds)
    children = [
        start(python, hash_seed, given.profile, seeds)
        for python, hash_seed in zip((sys.executable, given.against), HASH_SEEDS, strict=True)
    ]
    try:
        return compare(children, seeds)
    except KeyboardInterrupt:
        return 130
    finally:
        for child in children:
            child.kill()
            child.wait()


def start(python: str, hash_seed: str, profile: str, seeds: range) -> subprocess.Popen[str]:
    """Runs `seeds` in a process of its own, which prints a line for each: the hash of the trace,
    how many events it has, and which promise was broken, if one was."""
    return subprocess.Popen(
        # -P: sources in the working directory would come before what is installed.
        (python, "-P", "-c", _CHILD, profile, str(seeds.start), str(seeds.stop)),
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
    )


def compare(children: Sequence[subprocess.Popen[str]], seeds: range) -> int:
    """Reads what both make of each seed, as it comes."""
    events = 0
    for count, seed in enumerate(seeds, 1):
        said = [(child.stdout.readline() if child.stdout else "").strip() for child in children]
        if said[0] != said[1] or not said[0] or "breaks" in said[0]:
            print(f"seed {seed}: {said[0] or 'no answer'} and {said[1] or 'no answer'}")
            return 1
        events += int(said[0].split()[1])
        if count % 20 == 0 or count == len(seeds):
            print(f"{count} of {len(seeds)} seeds are the same, {events:,} events", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
