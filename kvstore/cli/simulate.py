"""simulate: whole clusters in virtual time, with faults, from seeds."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvstore.cli.exits import ExitCode
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json, write_line
from kvstore.cli.session import Options, Output
from kvstore.errors import ConfigurationError

if TYPE_CHECKING:
    from kvstore.simulation.campaign import Totals
    from kvstore.simulation.run import Report

_SEEDS_MAX: Final = 10_000_000
_SEED_MAX: Final = (1 << 63) - 1
_EVENTS_SHOWN: Final = 60
_LINE_EVERY_S: Final = 30.0


@with_options
def simulate(
    options: Options,
    *,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=_SEED_MAX, help="Run this seed, and no other."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, max=_SEEDS_MAX, help="How many seeds to run.")
    ] = 100,
    first: Annotated[
        int, typer.Option("--from", metavar="N", min=0, max=_SEED_MAX, help="The first of them.")
    ] = 0,
    profile: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Which faults: calm, network, disk, crashes, pauses, clocks or everything.",
        ),
    ] = "everything",
    jobs: Annotated[
        int, typer.Option(metavar="N", min=1, max=1024, help="Processes to run them in.")
    ] = 1,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write all events of one seed as JSON lines."),
    ] = None,
) -> int:
    """Run clusters in simulation, with faults, and check what they promise.

    Each seed is a cluster of 1 to 7 real nodes with real clients, in one process and in virtual
    time, on a network, disks and clocks that fail. It draws all of that and the faults; the same
    seed is the same run, always. Ends at the first promise that is broken, with exit code 1 and
    the command that runs that seed again. Ctrl-C ends it earlier, and says what was done.

    \b
    examples:
      kvstore simulate --seeds 300 --jobs 2
      kvstore simulate --profile network --from 1000 --seeds 50
      kvstore simulate --seed 17 --trace events.jsonl
    """
    from kvstore.simulation.campaign import (  # noqa: PLC0415 - not for --help
        Task,
        Totals,
        run_campaign,
        run_traced,
    )
    from kvstore.simulation.faults.profile import profile_named  # noqa: PLC0415

    profile_named(profile)
    if trace is not None and seed is None:
        raise ConfigurationError("--trace is for one seed: name it with --seed")
    numbers = range(first, first + seeds) if seed is None else range(seed, seed + 1)
    tasks = [Task(number, profile) for number in numbers]
    totals, interrupted = Totals(), False
    if trace is not None:
        totals.add(run_traced(tasks[0], trace))
    else:
        # A request to end is an end with a result, whoever it comes from.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        progress = _Progress(totals, len(tasks))
        try:
            run_campaign(tasks, jobs, totals, progress.show)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            progress.end()
    _report(options, totals, profile, total=len(tasks))
    if totals.failures:
        return ExitCode.NO
    return ExitCode.INTERRUPTED if interrupted else ExitCode.DONE


class _Progress:
    """On standard error: where that is a terminal, one line that is written over; elsewhere, a line
    now and then."""

    def __init__(self, totals: Totals, seeds: int) -> None:
        self._totals = totals
        self._seeds = seeds
        self._is_terminal = sys.stderr.isatty()
        self._is_shown = False
        self._said_s = 0.0

    def show(self) -> None:
        """Writes how far it is."""
        totals = self._totals
        text = (
            f"{totals.seeds} of {self._seeds} seeds, {totals.seeds_per_hour:,.0f} an hour,"
            f" {totals.times_real:.0f} times real time, {sum(totals.faults.values())} faults"
        )
        if self._is_terminal:
            self._is_shown = True
            sys.stderr.write(f"\r{text} ")
            sys.stderr.flush()
        elif totals.elapsed_s >= self._said_s + _LINE_EVERY_S:
            self._said_s = totals.elapsed_s
            say(text)

    def end(self) -> None:
        """Leaves the line."""
        if self._is_shown:
            sys.stderr.write("\n")


def _report(options: Options, totals: Totals, profile: str, *, total: int) -> None:
    for report in totals.failures:
        _explain(report)
    if options.output is Output.JSON:
        write_json(
            {
                "profile": profile,
                "seeds": totals.seeds,
                "seconds": round(totals.elapsed_s, 3),
                "seeds_per_hour": round(totals.seeds_per_hour),
                "times_real_time": round(totals.times_real, 1),
                "events": totals.events,
                "operations": totals.operations,
                "faults": totals.faults,
                "undecided": totals.undecided,
                "failures": [_failure(report) for report in totals.failures],
            }
        )
        return
    write_line(
        f"{totals.seeds} of {total} seeds of profile {profile} in {totals.elapsed_s:.1f} s:"
        f" {totals.seeds_per_hour:,.0f} seeds an hour, {totals.times_real:.0f} times real time"
    )
    write_line(f"operations checked: {_counts(totals.operations)}")
    write_line(f"faults injected: {_counts(totals.faults)}")
    if totals.undecided:
        write_line(f"keys whose history took too long to judge: {totals.undecided}")
    if len(totals.hashes) == 1:
        write_line(f"trace hash: {totals.hashes[0]}")


def _counts(counts: dict[str, int]) -> str:
    parts = [f"{count} {name}" for name, count in sorted(counts.items())]
    return f"{sum(counts.values())} ({', '.join(parts)})" if parts else "none"


def _failure(report: Report) -> dict[str, object]:
    failure = report.failure
    return {
        "seed": report.seed,
        "invariant": None if failure is None else failure.invariant,
        "detail": None if failure is None else failure.detail,
        "hash": report.hash,
    }


def _explain(report: Report) -> None:
    """What broke, the last events before, and how to see it again."""
    failure = report.failure
    if failure is None:
        return
    say(f"seed {report.seed}: {report.shape}")
    say(f"the last of {report.events} events:")
    for event in failure.readable(_EVENTS_SHOWN):
        say(f"  {event}")
    say(f"seed {report.seed} breaks: {failure.invariant}")
    say(failure.detail)
    if failure.cause:
        say(failure.cause.rstrip())
    command = ["kvstore", "simulate", "--profile", report.profile, "--seed", str(report.seed)]
    say(f"to see it again: {shlex.join(command)} --trace events.jsonl")
