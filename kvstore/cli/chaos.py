"""chaos: a load and faults on a real cluster, everything recorded, and a verdict."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Final

import typer

from kvstore.cli.options import EndpointsOption, OutputOption
from kvstore.cli.session import Options
from kvstore.cli.text import positive
from kvstore.errors import ConfigurationError

_SECONDS_MAX: Final = 7 * 86_400.0
_RATE_MAX: Final = 1e6
_SEED_MAX: Final = (1 << 63) - 1
_SEEDS_DRAWN: Final = 1_000_000


def chaos(
    context: typer.Context,
    *,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, max=_SEED_MAX, help="Draws the faults. [default: a random one]"
        ),
    ] = None,
    duration: Annotated[
        float, typer.Option(metavar="S", help="How long faults are made, in seconds.")
    ] = 60.0,
    faults: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="Kinds of faults, or none; see docs/chaos.md. [default: all that can be made]",
        ),
    ] = None,
    workload: Annotated[
        str, typer.Option(metavar="NAME,…", help="What clients do.")
    ] = "register,counter,bank,set,append,scan",
    clients: Annotated[
        int, typer.Option(metavar="N", min=1, max=1024, help="Clients, each with its sessions.")
    ] = 8,
    rate: Annotated[
        float,
        typer.Option(metavar="N", help="Operations a second of all clients, at most; 0: no bound."),
    ] = 400.0,
    nodes: Annotated[
        int, typer.Option(metavar="N", min=1, max=16, help="Nodes of a cluster of its own.")
    ] = 3,
    partitions: Annotated[
        int, typer.Option(metavar="N", min=1, max=1024, help="And its partitions.")
    ] = 16,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="An empty or new folder. [default: ./chaos-SEED]"),
    ] = None,
    compose: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Start the cluster of this compose file instead."),
    ] = None,
    endpoints: EndpointsOption = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="With --endpoints: the folder of a `kvstore local` cluster, whose nodes may then"
            " be killed and paused.",
        ),
    ] = None,
    owned: Annotated[
        bool,
        typer.Option(
            "--i-own-this-cluster", help="With --endpoints: faults may be made there, too."
        ),
    ] = False,
    output: OutputOption = None,
) -> int:
    """Break a real cluster while clients use it, and judge whether it kept its promises.

    Starts a cluster of processes of its own, puts a load on it, makes faults one after the other as
    the seed says, heals them, reads everything back, and writes a folder with all that happened
    and a report. A cluster named by --endpoints (here, after the command; KVSTORE_ENDPOINTS does
    not count) is loaded and read back, and harmed only with --i-own-this-cluster. Ctrl-C heals and
    reports early; a second one ends at once.

    \b
    exit codes:
      0  no promise was broken        3  the cluster did not come back, or could not be used
      1  a promise was broken         7  nothing wrong was found, and not all was decided
      2  wrong usage                130  ended early by Ctrl-C; nothing wrong was found

    \b
    examples:
      kvstore chaos
      kvstore chaos --seed 7 --duration 300 --faults leader-kill,partition --workload register
      kvstore chaos --endpoints 10.0.0.1:7001 --faults none
    """
    from kvstore.cli.chaos_run import Asked, run_chaos  # noqa: PLC0415 - not for --help

    positive("duration", duration, _SECONDS_MAX)
    if not 0 <= rate <= _RATE_MAX:
        raise ConfigurationError(f"rate is {rate:g}; the limit is 0 to {_RATE_MAX:g}")
    shared = context.obj or Options()
    asked = Asked(
        seed=secrets.randbelow(_SEEDS_DRAWN) if seed is None else seed,
        duration_s=duration,
        faults=faults,
        workload=workload,
        clients=clients,
        rate=rate,
        nodes=nodes,
        partitions=partitions,
        report=report,
        compose=compose,
        endpoints=endpoints,
        data_dir=data_dir,
        owned=owned,
    )
    return run_chaos(asked, output or shared.output)
