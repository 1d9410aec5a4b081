"""The command line: see the package."""

from __future__ import annotations

import argparse
import math
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.mutants.bootstrap import VARIABLE
from tools.mutants.catalogue import CATALOGUE, find
from tools.mutants.children import Children, Planted
from tools.mutants.mutation import Mutation, PlantingError
from tools.mutants.report import Result, areas_of, summary_of, table_of
from tools.mutants.saved import SavedError, digest_of_sources, load, save
from tools.mutants.simulations import SEEDS_MAX
from tools.mutants.trial import (
    SEEDED,
    UNIT_SUITES,
    Budget,
    CheckBroken,
    Verdict,
    has_been_tried,
    try_simulations,
    try_units,
)

LIMIT_S: Final = 300.0


def main(arguments: Sequence[str]) -> int:
    """Returns the exit code: 1 when a mutant survives that is not explained, 2 for misuse."""
    if "--" in arguments:
        place = list(arguments).index("--")
        return run_planted(arguments[:place], arguments[place + 1 :])
    options = _parser().parse_args(arguments)
    try:
        mutations = [find(name) for name in options.only] if options.only else list(CATALOGUE)
    except PlantingError as problem:
        print(f"mutants: {problem}", file=sys.stderr)
        return 2
    if options.list:
        for mutation in mutations:
            print(f"{mutation.name}  [{mutation.area.value}]\n    {mutation.mistake}")
        return 0
    return run(mutations, options)


def run_planted(names: Sequence[str], command: Sequence[str]) -> int:
    """Runs the module in `command` with the mutants planted; its exit code."""
    try:
        for name in names:
            find(name)
    except PlantingError as problem:
        print(f"mutants: {problem}", file=sys.stderr)
        return 2
    return subprocess.run(
        [sys.executable, "-m", "tools.mutants.bootstrap", *command],
        env={**os.environ, VARIABLE: ",".join(names)},
        check=False,
    ).returncode


def run(mutations: Sequence[Mutation], options: argparse.Namespace) -> int:
    """Tries all of them, some at a time, and prints what came of it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where a shell has told its background jobs not to hear them.
        signal.signal(number, signal.default_int_handler)
    children = Children()
    try:
        known = {} if options.resume is None else load(options.resume)
        if not options.no_baseline:
            problem = baseline_problem(children, mutations, options)
            if problem is not None:
                said = f"the checks fail with nothing planted: {problem}"
                print(f"mutants: {said}", file=sys.stderr)
                return 2
        try_all(children, mutations, known, options)
    except (CheckBroken, SavedError) as problem:
        print(f"mutants: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        children.end()
        print("\nmutants: interrupted", file=sys.stderr)
        return 130
    results = [known[mutation.name] for mutation in mutations]
    print(table_of(results))
    print()
    print(areas_of(results))
    print()
    print(summary_of(results))
    if options.json is not None:
        save(options.json, results)
    return 1 if any(result.is_unexplained for result in results) else 0


def try_all(
    children: Children,
    mutations: Sequence[Mutation],
    known: dict[str, Result],
    options: argparse.Namespace,
) -> None:
    """Adds to `known`, and to the file to resume from, what comes of each that is not tried yet.

    Raises CheckBroken when a check does not run.
    """
    trial = Trial(children, digest_of_sources(), options)
    left = [each for each in mutations if not trial.is_done(each, known.get(each.name))]
    pool = ThreadPoolExecutor(options.jobs)
    try:
        futures = [pool.submit(trial.run, each, known.get(each.name)) for each in left]
        for count, future in enumerate(as_completed(futures), 1):
            result = future.result()
            known[result.mutation.name] = result
            if options.resume is not None:
                save(options.resume, list(known.values()))
            print(f"[{count}/{len(left)}] {result.line}", file=sys.stderr, flush=True)
    except BaseException:
        children.end()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class Trial:
    """Tries mutants as the options say."""

    children: Children
    sources: str
    options: argparse.Namespace

    def run(self, mutation: Mutation, before: Result | None) -> Result:
        """The unit suites and the simulations, each for itself, and as far as `before` does not
        know already what comes of it."""
        planted = Planted(self.children, mutation)
        units = None if before is None else before.units
        simulations = None if before is None else before.simulations
        try:
            if not self._knows_units(units):
                units = try_units(planted, UNIT_SUITES[mutation.area])
            if not self._knows_simulations(mutation, simulations):
                simulations = try_simulations(
                    planted,
                    SEEDED[mutation.area],
                    Budget(self.options.seeds, self.options.limit_s),
                    simulations,
                )
        except CheckBroken as broken:
            raise CheckBroken(f"{mutation.name}: {broken}") from broken
        return Result(mutation, units, simulations, self.sources)

    def is_done(self, mutation: Mutation, before: Result | None) -> bool:
        """Whether `before` says all that would come of `mutation`."""
        return (
            before is not None
            and self._knows_units(before.units)
            and self._knows_simulations(mutation, before.simulations)
        )

    def _knows_units(self, verdict: Verdict | None) -> bool:
        return self.options.checks == "simulate" or verdict is not None

    def _knows_simulations(self, mutation: Mutation, verdict: Verdict | None) -> bool:
        names = SEEDED[mutation.area]
        return (
            self.options.checks == "units"
            or not names
            or (verdict is not None and has_been_tried(verdict, names, self.options.seeds))
        )


def baseline_problem(
    children: Children, mutations: Sequence[Mutation], options: argparse.Namespace
) -> str | None:
    """What the checks find without a mutant, which must be nothing: else they prove nothing."""
    planted = Planted(children, None)
    areas = {mutation.area: None for mutation in mutations}
    verdicts = []
    if options.checks in ("units", "both"):
        suites = dict.fromkeys(path for area in areas for path in UNIT_SUITES[area])
        verdicts.append(try_units(planted, list(suites)))
    if options.checks in ("simulate", "both"):
        names = dict.fromkeys(name for area in areas for name in SEEDED[area])
        verdicts.append(try_simulations(planted, list(names), Budget(options.seeds, math.inf)))
    for verdict in verdicts:
        if verdict.caught_by is not None:
            return f"{verdict.caught_by}: {verdict.detail}"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mutants", description="Plants known mistakes and says which check finds each."
    )
    parser.add_argument("--list", action="store_true", help="name the mutants and their mistakes")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="try these and no others")
    checks = parser.add_mutually_exclusive_group()
    for name, text in (
        ("units", "only the unit suites"),
        ("simulate", "only the simulations"),
        ("both", "both, each for itself (the default)"),
    ):
        checks.add_argument(f"--{name}", dest="checks", action="store_const", const=name, help=text)
    parser.set_defaults(checks="both")
    parser.add_argument(
        "--seeds",
        type=int,
        default=SEEDS_MAX,
        help="at most so many of each simulation (default: %(default)s)",
    )
    parser.add_argument(
        "--limit-s",
        type=float,
        default=LIMIT_S,
        metavar="SECONDS",
        help="processor time for the seeds of one mutant, at most (default: %(default)g)",
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="keep the results there after each mutant, and take those that are there as known",
    )
    parser.add_argument(
        "--no-baseline",
        action="store_true",
        help="do not first see that the checks find nothing where nothing is planted",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
