"""chaos: a load and faults on a real cluster, everything recorded, and a verdict."""

from __future__ import annotations

import secrets
from typing import Final

import typer

from kvstore.chaos.network_kind import NetworkKind
from kvstore.cli.chaos_options import (
    ClientsOption,
    ComposeOption,
    DataDirOption,
    DurationOption,
    FaultsOption,
    NetworkOption,
    NodesOption,
    OwnedOption,
    PartitionsOption,
    RateOption,
    ReportOption,
    SeedOption,
    WorkloadOption,
)
from kvstore.cli.options import EndpointsOption, OutputOption
from kvstore.cli.session import Options
from kvstore.cli.text import positive
from kvstore.errors import ConfigurationError

_SECONDS_MAX: Final = 7 * 86_400.0
_RATE_MAX: Final = 1e6
_SEEDS_DRAWN: Final = 1_000_000


def chaos(
    context: typer.Context,
    *,
    seed: SeedOption = None,
    duration: DurationOption = 60.0,
    faults: FaultsOption = None,
    workload: WorkloadOption = "register,counter,bank,set,append,scan",
    clients: ClientsOption = 8,
    rate: RateOption = 400.0,
    nodes: NodesOption = 3,
    partitions: PartitionsOption = 16,
    network: NetworkOption = NetworkKind.PROXY,
    report: ReportOption = None,
    compose: ComposeOption = None,
    endpoints: EndpointsOption = None,
    data_dir: DataDirOption = None,
    owned: OwnedOption = False,
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
        network=network,
        report=report,
        compose=compose,
        endpoints=endpoints,
        data_dir=data_dir,
        owned=owned,
    )
    return run_chaos(asked, output or shared.output)
