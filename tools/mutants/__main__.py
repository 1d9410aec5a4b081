"""The command line: see the package."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tools.mutants.bootstrap import VARIABLE
from tools.mutants.catalogue import CATALOGUE, find
from tools.mutants.mutation import Mutation, PlantingError
from tools.mutants.report import Result, areas_of, json_of, summary_of, table_of
from tools.mutants.simulations import SEEDS
from tools.mutants.trial import (
    SEEDED,
    UNIT_SUITES,
    CheckBroken,
    try_simulations,
    try_units,
)


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
    if not options.no_baseline:
        problem = baseline_problem(mutations, options)
        if problem is not None:
            print(f"mutants: the checks fail with nothing planted: {problem}", file=sys.stderr)
            return 2
    results: list[Result] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = {
            pool.submit(try_mutant, mutation, options): mutation.name for mutation in mutations
        }
        try:
            for future in as_completed(futures):
                results.append(future.result())
                _show(results, len(mutations))
        except CheckBroken as broken:
            pool.shutdown(cancel_futures=True)
            print(f"mutants: {futures[future]}: {broken}", file=sys.stderr)
            return 2
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(table_of(results))
    print()
    print(areas_of(results))
    print()
    print(summary_of(results))
    if options.json is not None:
        options.json.write_text(json_of(results) + "\n")
    return 1 if any(result.is_unexplained for result in results) else 0


def try_mutant(mutation: Mutation, options: argparse.Namespace) -> Result:
    """The unit suites and the simulations, each for itself."""
    units = simulations = None
    if options.checks in ("units", "both"):
        units = try_units(mutation, UNIT_SUITES[mutation.area])
    if options.checks in ("simulate", "both") and SEEDED[mutation.area]:
        simulations = try_simulations(mutation, SEEDED[mutation.area], options.seeds)
    return Result(mutation, units, simulations)


def baseline_problem(mutations: Sequence[Mutation], options: argparse.Namespace) -> str | None:
    """What the checks find without a mutant, which must be nothing: else they prove nothing."""
    areas = {mutation.area: None for mutation in mutations}
    verdicts = []
    if options.checks in ("units", "both"):
        suites = dict.fromkeys(path for area in areas for path in UNIT_SUITES[area])
        verdicts.append(try_units(None, list(suites)))
    if options.checks in ("simulate", "both"):
        names = dict.fromkeys(name for area in areas for name in SEEDED[area])
        verdicts.append(try_simulations(None, list(names), options.seeds))
    for verdict in verdicts:
        if verdict.caught_by is not None:
            return f"{verdict.caught_by}: {verdict.detail}"
    return None


def _show(results: Sequence[Result], count: int) -> None:
    caught = sum(result.is_caught for result in results)
    line = f"{len(results)}/{count} tried, {caught} caught; {results[-1].line}"
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)


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
        default=max(SEEDS.values()),
        help="at most so many of each simulation, and at most so many as it is given anyway",
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument(
        "--no-baseline",
        action="store_true",
        help="do not first see that the checks find nothing where nothing is planted",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
