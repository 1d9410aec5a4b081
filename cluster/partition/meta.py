"""The state machine of the meta group: how one cluster map comes from another.

Pure and total: every command has a result in every state, and the same on every node. A command
takes effect as a whole or not at all; one that does not says why. A command of a new kind is a new
dataclass in `MetaCommand` and one function here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, unique
from typing import assert_never

from cluster.ids import PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, PartitionInfo
from cluster.partition.placement import FIRST_EPOCH, with_first


@dataclass(frozen=True, slots=True)
class BootstrapCluster:
    """Begins the cluster. Several nodes may propose it at once: the first one counts."""

    map: ClusterMap
    """Of epoch 1."""


@dataclass(frozen=True, slots=True)
class SetPreferredLeaders:
    """Says who should lead some partitions: each one of the replicas that hold it already."""

    leaders: Mapping[PartitionId, ReplicaId]


MetaCommand = BootstrapCluster | SetPreferredLeaders


@unique
class Effect(Enum):
    """What a command did."""

    CHANGED = "changed"
    """There is a new map, of the next epoch."""
    UNCHANGED = "unchanged"
    """What it asks for is so already."""
    REFUSED = "refused"
    """It cannot be done in this state."""


@dataclass(frozen=True, slots=True)
class MetaResult:
    """The state after a command, and what came of it."""

    state: ClusterMap | None
    """None: the cluster has not begun."""
    effect: Effect
    reason: str = ""
    """Why the state did not change; empty when it did."""


def apply(state: ClusterMap | None, command: MetaCommand) -> MetaResult:
    """What `command` makes of `state`. The epoch grows by one exactly when something changed."""
    match command:
        case BootstrapCluster():
            return _bootstrap(state, command)
        case SetPreferredLeaders():
            return _set_preferred_leaders(state, command)
        case _:
            assert_never(command)


def _bootstrap(state: ClusterMap | None, command: BootstrapCluster) -> MetaResult:
    if state is not None:
        reason = f"cluster {state.cluster_id} has already begun"
        same = state.cluster_id == command.map.cluster_id
        return MetaResult(state, Effect.UNCHANGED if same else Effect.REFUSED, reason)
    if command.map.epoch != FIRST_EPOCH:
        return _refused(state, f"the first map is of epoch {command.map.epoch}, not {FIRST_EPOCH}")
    return MetaResult(command.map, Effect.CHANGED)


def _set_preferred_leaders(state: ClusterMap | None, command: SetPreferredLeaders) -> MetaResult:
    if state is None:
        return _refused(state, "the cluster has not begun")
    changed: dict[PartitionId, PartitionInfo] = {}
    for partition, leader in sorted(command.leaders.items()):
        if not 0 <= partition < len(state.partitions):
            return _refused(
                state, f"there is no partition {partition}; there are {len(state.partitions)}"
            )
        info = state.partitions[partition]
        if leader not in info.replicas:
            return _refused(
                state,
                f"replica {leader} does not hold partition {partition}; "
                f"{', '.join(map(str, info.replicas))} do",
            )
        if leader != info.preferred_leader:
            changed[partition] = replace(info, replicas=with_first(info.replicas, leader))
    if not changed:
        return MetaResult(state, Effect.UNCHANGED, "they are the preferred leaders already")
    partitions = tuple(changed.get(info.partition, info) for info in state.partitions)
    return MetaResult(replace(state, epoch=state.epoch + 1, partitions=partitions), Effect.CHANGED)


def _refused(state: ClusterMap | None, reason: str) -> MetaResult:
    return MetaResult(state, Effect.REFUSED, reason)
