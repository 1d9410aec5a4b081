"""A run of `kvstore chaos`: from what is asked for to the exit code."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import uvloop

from kvstore.chaos.network_kind import NetworkKind
from kvstore.chaos.run import Plan, Run, fresh_folder
from kvstore.chaos.schedule import FaultKind, kinds_named
from kvstore.chaos.summary import Summary, quantile
from kvstore.chaos.target import Target, chosen_kinds
from kvstore.chaos.workloads import workloads_named
from kvstore.chaos_report.report import REPORT_NAME
from kvstore.cli.chaos_targets import choose_target
from kvstore.cli.chaos_view import leave_terminal, watching
from kvstore.cli.exits import ExitCode
from kvstore.cli.printing import say, write_json, write_line
from kvstore.cli.session import Output
from kvstore.cli.verdict import exit_code_of_verdict, print_judgement
from kvstore.cli.verify import judge_run
from kvstore.errors import ConfigurationError
from kvstore.verify.judgement import Judgement, Ruling

_JUDGE_S_MAX: Final = 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command."""

    seed: int
    duration_s: float
    faults: str | None
    workload: str
    clients: int
    rate: float
    nodes: int
    partitions: int
    network: NetworkKind
    report: Path | None
    compose: Path | None
    endpoints: str | None
    data_dir: Path | None
    owned: bool

    def command(self, kinds: Sequence[FaultKind]) -> list[str]:
        """The command line that does the same again, into another folder: with all `kinds` by their
        names, since what is made without depends on the machine."""
        words = ["kvstore", "chaos", "--seed", str(self.seed), "--duration", f"{self.duration_s:g}"]
        words += ["--faults", ",".join(kind.value for kind in kinds) or "none"]
        words += ["--workload", self.workload, "--clients", str(self.clients)]
        words += ["--rate", f"{self.rate:g}"]
        if self.endpoints is not None:
            words += ["--endpoints", self.endpoints]
            words += [] if self.data_dir is None else ["--data-dir", str(self.data_dir)]
            words += ["--i-own-this-cluster"] if self.owned else []
        elif self.compose is not None:
            words += ["--compose", str(self.compose)]
        else:
            words += ["--nodes", str(self.nodes), "--partitions", str(self.partitions)]
            words += [] if self.network is NetworkKind.PROXY else ["--network", self.network.value]
        return words


def run_chaos(asked: Asked, output: Output | None) -> int:
    """Runs, judges and tells; the exit code. Raises ConfigurationError and OSError."""
    names = workloads_named(asked.workload)
    chosen = None if asked.faults is None else kinds_named(asked.faults)
    target = choose_target(
        seed=asked.seed,
        nodes=asked.nodes,
        partitions=asked.partitions,
        network=asked.network,
        compose=asked.compose,
        endpoints=asked.endpoints,
        data_dir=asked.data_dir,
        owned=asked.owned,
    )
    kinds = chosen_kinds(target, chosen)
    folder = _report_folder(asked)
    say(f"seed {asked.seed}; the report will be in {folder}")
    plan = Plan(
        command=tuple(asked.command(kinds)),
        version=version("kvstore"),
        seed=asked.seed,
        workloads=names,
        kinds=kinds,
        clients=asked.clients,
        rate=asked.rate,
        duration_s=asked.duration_s,
        prefix=_prefix(target, asked.seed),
        folder=folder,
    )
    summary = _run(plan, target)
    judgement, _ = judge_run(folder, _JUDGE_S_MAX, None)
    summary.election_timeout_ms = target.election_timeout_ms
    _tell(plan, summary, judgement, output)
    return _exit_code(summary, judgement)


def _run(plan: Plan, target: Target) -> Summary:
    async def watched() -> Summary:
        run = Run(plan, target)
        with _ended_by_signals(run):
            async with watching(run):
                return await run.run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(watched())


@contextmanager
def _ended_by_signals(run: Run) -> Iterator[None]:
    """The first Ctrl-C, SIGTERM or SIGHUP ends the run early; the second the program, at once."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if not run.is_stopping:
            run.stop()
            say("ending early: what is broken is healed, then the report is written")
            return
        run.target.end_now()
        leave_terminal()
        say("ended at once; nothing was judged")
        os._exit(ExitCode.INTERRUPTED)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _report_folder(asked: Asked) -> Path:
    """A new or empty folder."""
    if asked.report is None:
        return fresh_folder(Path.cwd(), asked.seed)
    asked.report.mkdir(parents=True, exist_ok=True)
    if any(asked.report.iterdir()):
        raise ConfigurationError(f"{asked.report} is not empty: name another folder by --report")
    return asked.report


def _prefix(target: Target, seed: int) -> bytes:
    """Of all keys: a cluster of our own has no others, and in one of others none is ours."""
    return b"chaos/%d-%s/" % (seed, os.urandom(4).hex().encode()) if target.is_shared else b""


def _exit_code(summary: Summary, judgement: Judgement) -> ExitCode:
    if judgement.verdict is Ruling.VIOLATION:
        return ExitCode.NO
    if summary.interrupted:
        return ExitCode.INTERRUPTED
    if summary.trouble is not None:
        return ExitCode.UNAVAILABLE
    return exit_code_of_verdict(judgement)


def _tell(plan: Plan, summary: Summary, judgement: Judgement, output: Output | None) -> None:
    if output is Output.JSON:
        write_json(_figures(plan, summary, judgement))
        return
    print_judgement(judgement, output)
    timeout_ms = summary.election_timeout_ms
    faults = ", ".join(f"{count} {kind}" for kind, count in sorted(summary.faults.items()))
    write_line(
        f"operations: {summary.operations} ({summary.done} done, {summary.refused} refused,"
        f" {summary.unknown} with unknown outcome)"
    )
    reads = ", ".join(f"{count} {level}" for level, count in summary.reads.most_common())
    write_line(f"reads: {summary.reads.total()}" + (f" ({reads})" if reads else ""))
    write_line(f"faults: {summary.faults.total()}" + (f" ({faults})" if faults else ""))
    for when, found in (("began", summary.since_begin_ms), ("was healed", summary.since_end_ms)):
        if found:
            p50, p99 = (quantile(found, q) or 0.0 for q in (0.5, 0.99))
            write_line(
                f"all partitions took writes again after a fault {when}: p50"
                f" {p50 / timeout_ms:.2f}, p99 {p99 / timeout_ms:.2f} election timeouts of"
                f" {timeout_ms} ms ({len(found)} times)"
            )
    if summary.trouble is not None:
        write_line(f"trouble: {summary.trouble}")
    write_line(f"verdict: {judgement.verdict.value}")
    write_line(f"report: {plan.folder / REPORT_NAME}")
    write_line(f"to repeat it: {shlex.join(plan.command)}")


def _figures(plan: Plan, summary: Summary, judgement: Judgement) -> dict[str, object]:
    figures: dict[str, object] = {
        "seed": plan.seed,
        "verdict": judgement.verdict.value,
        "violations": judgement.violations,
        "operations": summary.operations,
        "done": summary.done,
        "refused": summary.refused,
        "unknown": summary.unknown,
        "reads": dict(summary.reads),
        "faults": dict(summary.faults),
        "errors": dict(summary.errors),
        "leader_changes": summary.leader_changes,
        "interrupted": summary.interrupted,
        "trouble": summary.trouble,
        "election_timeout_ms": summary.election_timeout_ms,
        "report": str(plan.folder),
        "command": list(plan.command),
    }
    for name, found in (("begin", summary.since_begin_ms), ("end", summary.since_end_ms)):
        figures[f"recovered_since_{name}"] = len(found)
        figures[f"recovery_since_{name}_ms_p50"] = quantile(found, 0.5)
        figures[f"recovery_since_{name}_ms_p99"] = quantile(found, 0.99)
    return figures
