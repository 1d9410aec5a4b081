"""bench: a load of one kind of operation from one client, and what came of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Annotated, Final

import typer

from kvstore.cli.options import with_options
from kvstore.cli.printing import say, write_json, write_line, write_table
from kvstore.cli.session import Options, Output
from kvstore.cli.text import positive

if TYPE_CHECKING:
    from kvstore.cli.load import LoadResult
    from kvstore.client import AsyncClient

_SECONDS_MAX: Final = 86_400.0
_QUANTILES: Final = (("p50_ms", 0.5), ("p99_ms", 0.99), ("p99.9_ms", 0.999))

app: Final = typer.Typer(
    help="Measure throughput and latencies.",
    rich_markup_mode=None,
)

CallersOption = Annotated[
    int, typer.Option(metavar="N", min=1, max=65536, help="Operations under way at once.")
]
SecondsOption = Annotated[float, typer.Option(metavar="S", help="How long to measure.")]
KeysOption = Annotated[
    int, typer.Option(metavar="N", min=1, max=10_000_000, help="Keys, bench/00000000 and on.")
]
ValueOption = Annotated[
    int, typer.Option(metavar="N", min=0, max=16 << 20, help="Size of a value, in bytes.")
]


@app.command("put")
@with_options
def bench_put(
    options: Options,
    callers: CallersOption = 256,
    seconds: SecondsOption = 5.0,
    keys: KeysOption = 10_000,
    value_bytes: ValueOption = 256,
) -> None:
    """Put random values to random keys of a fixed set. The keys stay.

    \b
    examples:
      kvstore bench put
      kvstore bench put --callers 1024 --seconds 30 --value-bytes 1024 --output json
    """
    from kvstore.cli.load import measure  # noqa: PLC0415 - not for --help

    positive("seconds", seconds, _SECONDS_MAX)
    value = random.randbytes(value_bytes)

    async def work(client: AsyncClient) -> LoadResult:
        return await measure(lambda key: client.put(key, value), callers, seconds, keys)

    _report(options, "put", callers, options.run(work))


@app.command("get")
@with_options
def bench_get(
    options: Options,
    callers: CallersOption = 256,
    seconds: SecondsOption = 5.0,
    keys: KeysOption = 10_000,
    value_bytes: ValueOption = 256,
) -> None:
    """Get random keys of a fixed set, linearizably. The keys are put first, and stay.

    \b
    examples:
      kvstore bench get
      kvstore bench get --callers 1 --keys 1000
    """
    from kvstore.cli.load import measure, put_all  # noqa: PLC0415 - not for --help

    positive("seconds", seconds, _SECONDS_MAX)
    value = random.randbytes(value_bytes)

    async def work(client: AsyncClient) -> LoadResult:
        say(f"putting {keys} keys first")
        await put_all(client, value, keys)
        return await measure(client.get, callers, seconds, keys)

    _report(options, "get", callers, options.run(work))


def _report(options: Options, operation: str, callers: int, result: LoadResult) -> None:
    latencies = result.latencies
    rate = latencies.count / result.elapsed_s
    found: dict[str, object] = {
        "operation": operation,
        "callers": callers,
        "seconds": round(result.elapsed_s, 3),
        "operations": latencies.count,
        "operations_per_second": round(rate),
        "failures": sum(result.failures.values()),
    }
    for name, fraction in _QUANTILES:
        found[name] = round(latencies.quantile_ns(fraction) / 1e6, 3)
    found["max_ms"] = round(latencies.max_ns / 1e6, 3)
    for kind, count in result.failures.items():
        say(f"{count} operations failed with {kind}")
    if options.output is Output.JSON:
        write_json(found)
    elif options.output is Output.TABLE:
        write_table(list(found), [list(found.values())])
    else:
        write_line(
            f"{operation}: {rate:,.0f} ops/s with {callers} callers;"
            f" p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms, p99.9 {found['p99.9_ms']} ms,"
            f" max {found['max_ms']} ms; {found['failures']} failures"
        )
