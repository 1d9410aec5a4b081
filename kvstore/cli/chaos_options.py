"""The options of `kvstore chaos`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from kvstore.chaos.network_kind import NetworkKind

_SEED_MAX: Final = (1 << 63) - 1

SeedOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=0, max=_SEED_MAX, help="Draws the faults. [default: a random one]"
    ),
]
DurationOption = Annotated[
    float, typer.Option(metavar="S", help="How long faults are made, in seconds.")
]
FaultsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,…",
        help="Kinds of faults, or none; see docs/chaos.md. [default: all that can be made]",
    ),
]
WorkloadOption = Annotated[str, typer.Option(metavar="NAME,…", help="What clients do.")]
ClientsOption = Annotated[
    int, typer.Option(metavar="N", min=1, max=1024, help="Clients, each with its sessions.")
]
RateOption = Annotated[
    float,
    typer.Option(metavar="N", help="Operations a second of all clients, at most; 0: no bound."),
]
NodesOption = Annotated[
    int, typer.Option(metavar="N", min=1, max=16, help="Nodes of a cluster of its own.")
]
PartitionsOption = Annotated[
    int, typer.Option(metavar="N", min=1, max=1024, help="And its partitions.")
]
NetworkOption = Annotated[
    NetworkKind,
    typer.Option(
        help="By what its network is broken: a proxy, or, as root, network namespaces and iptables."
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="An empty or new folder. [default: ./chaos-SEED]"),
]
ComposeOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Start the cluster of this compose file instead."),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="With --endpoints: the folder of a `kvstore local` cluster, whose nodes may then"
        " be killed and paused.",
    ),
]
OwnedOption = Annotated[
    bool,
    typer.Option("--i-own-this-cluster", help="With --endpoints: faults may be made there, too."),
]
