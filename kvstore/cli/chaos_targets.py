"""Which cluster `kvstore chaos` is about, and whether it may be harmed."""

from __future__ import annotations

from pathlib import Path

from kvstore.chaos.compose_target import ComposeTarget
from kvstore.chaos.local_target import LocalTarget
from kvstore.chaos.network_kind import NetworkKind
from kvstore.chaos.running_target import RunningTarget
from kvstore.chaos.target import Target
from kvstore.cli.printing import say
from kvstore.errors import ConfigurationError


def choose_target(
    *,
    seed: int,
    nodes: int,
    partitions: int,
    compose: Path | None,
    endpoints: str | None,
    data_dir: Path | None,
    owned: bool,
    network: NetworkKind = NetworkKind.PROXY,
) -> Target:
    """The target that is asked for; raises ConfigurationError where options do not fit together."""
    if endpoints is not None and compose is not None:
        raise ConfigurationError("--compose starts a cluster and --endpoints names one: give one")
    if endpoints is None:
        for name, given in (("--data-dir", data_dir is not None), ("--i-own-this-cluster", owned)):
            if given:
                raise ConfigurationError(f"{name} is for a running cluster: name it by --endpoints")
    is_named = endpoints is not None or compose is not None
    if is_named and network is not NetworkKind.PROXY:
        raise ConfigurationError(
            f"--network {network.value} is for a cluster of processes that this command starts"
            " itself: leave --endpoints and --compose out"
        )
    if endpoints is not None:
        return RunningTarget(endpoints, owned=owned, data_dir=data_dir)
    if compose is not None:
        return ComposeTarget(compose, seed)
    return LocalTarget(nodes=nodes, partitions=partitions, network=network, tell=say)
