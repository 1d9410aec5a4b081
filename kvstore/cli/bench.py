"""bench: a load on the cluster, and what came of it. The engine is `kvstore.bench`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvstore.cli.bench_options import Shape, with_shape
from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json, write_line, write_table
from kvstore.cli.session import DEFAULT_ENDPOINTS, DEFAULT_TIMEOUT_S, Options, Output
from kvstore.errors import ConfigurationError

if TYPE_CHECKING:
    from kvstore.bench.load import LoadPlan
    from kvstore.bench.outcome import Outcome
    from kvstore.bench.workloads import Workload
    from kvstore.client import AsyncClient

_DRAW_EVERY_S: Final = 0.5

app: Final = typer.Typer(
    help="Measure throughput and latencies.",
    rich_markup_mode=None,
)

_YCSB: Final = {
    "ycsb-a": "50% reads, 50% updates, of zipfian keys: a store of sessions.",
    "ycsb-b": "95% reads, 5% updates, of zipfian keys: tags on photos.",
    "ycsb-c": "Reads only, of zipfian keys: a cache of profiles.",
    "ycsb-d": "95% reads, mostly of the newest keys, 5% inserts: updates of a status.",
    "ycsb-e": "95% scans of 1 to 100 keys from zipfian ones on, 5% inserts: conversations.",
    "ycsb-f": "50% reads, 50% reads followed by an update of the same key, of zipfian keys.",
}

ReadsOption = Annotated[
    float, typer.Option(metavar="SHARE", help="How much of it is reads: 0 to 1.")
]


def _put(options: Options, shape: Shape) -> None:
    """Put random values to random keys of a fixed set. The keys stay.

    \b
    examples:
      kvstore bench put
      kvstore bench put --callers 1024 --seconds 30 --value-bytes 1024 --output json
      kvstore bench put --rate 2000 --plot put.svg
    """
    from kvstore.bench.workloads import PUT  # noqa: PLC0415 - not for --help

    _measure(options, shape, PUT)


def _get(options: Options, shape: Shape) -> None:
    """Get random keys of a fixed set, linearizably. The keys are put first, and stay.

    \b
    examples:
      kvstore bench get
      kvstore bench get --callers 1 --keys 1000
    """
    from kvstore.bench.workloads import GET  # noqa: PLC0415 - not for --help

    _measure(options, shape, GET)


def _mixed(options: Options, shape: Shape, reads: ReadsOption = 0.5) -> None:
    """Get and put random keys of a fixed set, which are put first, and stay.

    \b
    examples:
      kvstore bench mixed --reads 0.9
    """
    _measure(options, shape, _mix("mixed", reads))


def _batch(
    options: Options,
    shape: Shape,
    batch: Annotated[
        int, typer.Option(metavar="N", min=1, max=10_000, help="Puts in one call.")
    ] = 64,
) -> None:
    """Put several keys by one call, put_many; latencies are those of a call.

    \b
    examples:
      kvstore bench batch --batch 64 --callers 16
    """
    from kvstore.bench.workloads import batches  # noqa: PLC0415 - not for --help

    _measure(options, shape, batches(batch))


def _connections(options: Options, shape: Shape, reads: ReadsOption = 0.0) -> None:
    """Put from many client processes with one caller each, as from many small programs.

    \b
    examples:
      kvstore bench connections --processes 32
    """
    _measure(options, shape, _mix("connections", reads))


def _ycsb(name: str, what: str) -> Callable[[Options, Shape], None]:
    def run(options: Options, shape: Shape) -> None:
        from kvstore.bench.workloads import YCSB  # noqa: PLC0415 - not for --help

        _measure(options, shape, YCSB[name])

    run.__doc__ = f"""Workload {name[-1].upper()} of YCSB. {what}

    The records are put first, and stay. YCSB's have 10 fields of 100 bytes: --value-bytes 1000.

    \b
    examples:
      kvstore bench {name} --value-bytes 1000 --keys 100000 --seconds 60
    """
    return run


app.command("put")(with_options(with_shape(_put)))
app.command("get")(with_options(with_shape(_get)))
app.command("mixed")(with_options(with_shape(_mixed)))
for _name, _what in _YCSB.items():
    app.command(_name)(with_options(with_shape(_ycsb(_name, _what))))
app.command("batch")(with_options(with_shape(_batch, callers=16)))
app.command("connections")(
    with_options(with_shape(_connections, "callers", callers=1, processes=32))
)


def _mix(name: str, reads: float) -> Workload:
    from kvstore.bench.workloads import mixed  # noqa: PLC0415 - not for --help

    if not 0 <= reads <= 1:
        raise ConfigurationError(f"reads is {reads:g}; it must be at least 0 and at most 1")
    return mixed(name, reads)


def _measure(options: Options, shape: Shape, workload: Workload) -> None:
    plan = shape.plan(workload)
    outcome = options.run(lambda client: _load(options, client, plan))
    for kind, count in outcome.failures.items():
        say(f"{count} operations failed with {kind}")
    _report(options, plan, outcome)
    if shape.plot is not None:
        from kvstore.bench.plot import plot  # noqa: PLC0415 - only where one is drawn

        title = f"{workload.name}: {outcome.operations_per_s:,.0f} operations/s, {_callers(plan)}"
        note = f"{plan.value_bytes}-byte values, {plan.keys} keys, seed {plan.seed}; latency"
        shape.plot.write_text(plot(title, f"{note} {_since(plan)}", outcome), encoding="utf-8")


async def _load(options: Options, client: AsyncClient, plan: LoadPlan) -> Outcome:
    import asyncio  # noqa: PLC0415 - not for --help

    from kvstore.bench.load import Load, put_all  # noqa: PLC0415
    from kvstore.bench.processes import run_processes  # noqa: PLC0415

    await client.cluster_map()  # nobody there is an error, not a measurement
    if plan.workload.reads:
        say(f"putting {plan.keys} keys first")
        await put_all(client, plan)
    with _live(plan) as watch:
        if plan.processes > 1:
            endpoints = options.endpoints or DEFAULT_ENDPOINTS
            timeout_s = DEFAULT_TIMEOUT_S if options.timeout_s is None else options.timeout_s
            return await run_processes(endpoints, timeout_s, plan, watch)
        load = Load(plan)

        async def look() -> None:
            while True:
                await asyncio.sleep(_DRAW_EVERY_S)
                watch(load.calls)

        looking = asyncio.create_task(look())
        try:
            return await load.run(plan.next_operations(client))
        finally:
            looking.cancel()


@contextmanager
def _live(plan: LoadPlan) -> Iterator[Callable[[int], None]]:
    """A line on a terminal, told how many calls have succeeded so far."""
    if not sys.stderr.isatty():
        yield lambda _calls: None
        return
    from rich.console import Console  # noqa: PLC0415 - only for people
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn(plan.workload.name),
        BarColumn(),
        TextColumn("{task.fields[rate]} ops/s"),
        TimeElapsedColumn(),
    )
    # Drawn when told: a thread that draws would take time from what is measured.
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        whole_s = plan.warm_up_s + plan.seconds
        task = progress.add_task("", total=whole_s, rate="…")
        began_s = last_s = time.monotonic()
        last_calls = 0

        def watch(calls: int) -> None:
            nonlocal last_s, last_calls
            now_s = time.monotonic()
            if now_s - last_s < _DRAW_EVERY_S / 2:
                return
            rate = (calls - last_calls) * plan.workload.batch / (now_s - last_s)
            last_s, last_calls = now_s, calls
            done_s = min(whole_s, now_s - began_s)
            progress.update(task, completed=done_s, rate=f"{rate:,.0f}", refresh=True)

        yield watch


def _callers(plan: LoadPlan) -> str:
    callers = f"{plan.callers} caller{'' if plan.callers == 1 else 's'}"
    return callers if plan.processes == 1 else f"{callers} in each of {plan.processes} processes"


def _since(plan: LoadPlan) -> str:
    return "from when it was asked for" if plan.rate_per_s is None else "from when it was due"


def _report(options: Options, plan: LoadPlan, outcome: Outcome) -> None:
    from kvstore.bench.outcome import times  # noqa: PLC0415 - not for --help

    found: dict[str, object] = {
        "workload": plan.workload.name,
        "processes": plan.processes,
        "callers": plan.callers,
        "rate": plan.rate_per_s,
        **outcome.summary(),
    }
    if options.output is Output.JSON:
        kinds = {
            kind.value: {"calls": each.count, **times(each)}
            for kind, each in outcome.by_kind.items()
        }
        settings = {
            "keys": plan.keys,
            "value_bytes": plan.value_bytes,
            "batch": plan.workload.batch,
            "seed": plan.seed,
            "warm_up_seconds": plan.warm_up_s,
            "latency_since": "asked" if plan.rate_per_s is None else "due",
        }
        write_json({**found, **settings, "kinds": kinds, "timeline": outcome.timeline()})
        return
    if options.output is Output.TABLE:
        found["rate"] = "closed loop" if plan.rate_per_s is None else f"{plan.rate_per_s:g}"
        note = f"Latency {_since(plan)}."
        write_table(list(found), [list(found.values())], note)
        if len(outcome.by_kind) > 1:
            rows = [
                (kind.value, each.count, *times(each).values())
                for kind, each in outcome.by_kind.items()
            ]
            write_table(("kind", "calls", *times(outcome.latencies())), rows)
        return
    _report_lines(plan, outcome, found)


def _report_lines(plan: LoadPlan, outcome: Outcome, found: dict[str, object]) -> None:
    from kvstore.bench.outcome import times  # noqa: PLC0415 - not for --help

    write_line(
        f"{plan.workload.name}: {outcome.operations_per_s:,.0f} ops/s with {_callers(plan)};"
        f" p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms, p99.9 {found['p99.9_ms']} ms,"
        f" max {found['max_ms']} ms {_since(plan)}; {found['failures']} failures"
    )
    if len(outcome.by_kind) > 1:
        for kind, each in outcome.by_kind.items():
            its = times(each)
            write_line(
                f"  {kind.value}: {each.count} calls;"
                f" p50 {its['p50_ms']} ms, p99 {its['p99_ms']} ms, max {its['max_ms']} ms"
            )
    if outcome.overdue:
        write_line(
            f"  {outcome.overdue} operations were due and never sent, as all callers waited:"
            " the rate is above what the cluster does, and latencies grow with the time measured"
        )
