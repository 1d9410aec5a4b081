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

from cluster.ids import NodeId, PartitionId, ReplicaId
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


@dataclass(frozen=True, slots=True)
class RecordLives:
    """Says by which data some replicas are known, from now on and for good."""

    lives: Mapping[ReplicaId, int]
    """None of them 0."""


@dataclass(frozen=True, slots=True)
class ReplaceReplica:
    """Begins a new life of a node: its replica goes, and a new one takes its place everywhere.

    The same life again changes nothing, so it may be asked for until it is answered.
    """

    node_id: NodeId
    replica: ReplicaId
    """The one that goes."""
    life: int
    """Of the new one; not 0."""


MetaCommand = BootstrapCluster | SetPreferredLeaders | RecordLives | ReplaceReplica


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
        case RecordLives():
            return _record_lives(state, command)
        case ReplaceReplica():
            return _replace_replica(state, command)
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


def _record_lives(state: ClusterMap | None, command: RecordLives) -> MetaResult:
    if state is None:
        return _refused(state, "the cluster has not begun")
    for replica, life in sorted(command.lives.items()):
        node = state.replica(replica)
        if node is None:
            return _refused(state, f"replica {replica} does not belong to the cluster")
        if life == 0 or node.life not in (0, life):
            return _refused(state, f"replica {replica} is known by other data")
    nodes = tuple(
        replace(node, life=command.lives.get(node.replica, node.life)) for node in state.nodes
    )
    if nodes == state.nodes:
        return MetaResult(state, Effect.UNCHANGED, "they are recorded already")
    return MetaResult(replace(state, epoch=state.epoch + 1, nodes=nodes), Effect.CHANGED)


def _replace_replica(state: ClusterMap | None, command: ReplaceReplica) -> MetaResult:
    if state is None:
        return _refused(state, "the cluster has not begun")
    old = state.node(command.node_id)
    if old is None:
        return _refused(state, f"the cluster has no node {command.node_id}")
    if old.life == command.life:
        return MetaResult(state, Effect.UNCHANGED, "its place was given to it already")
    if old.replica != command.replica or command.life == 0:
        return _refused(state, f"node {command.node_id} is replica {old.replica} by now")
    reason = last_copy(state, old.replica)
    if reason:
        return _refused(state, reason)
    new = state.next_replica
    others = [node for node in state.nodes if node is not old]
    changed = replace(
        state,
        epoch=state.epoch + 1,
        nodes=(*others, replace(old, replica=new, life=command.life)),  # the highest id so far
        partitions=tuple(_with_new(info, old.replica, new) for info in state.partitions),
        next_replica=ReplicaId(new + 1),
    )
    return MetaResult(changed, Effect.CHANGED)


def last_copy(state: ClusterMap, replica: ReplicaId) -> str:
    """Why `replica` cannot be done without: too few others have what it has. Empty: it can."""
    if not _outvote(len(state.nodes)):
        return f"the cluster has {len(state.nodes)} nodes: without this one there is no majority"
    for partition in state.partitions_of(replica):
        count = len(state.replicas_of(partition))
        if not _outvote(count):
            return (
                f"partition {partition} has {count} replicas: what this node has of it may be the"
                " last copy"
            )
    return ""


def _outvote(voters: int) -> bool:
    """Whether all voters but one are a majority of them."""
    return 2 * (voters - 1) > voters


def _with_new(info: PartitionInfo, old: ReplicaId, new: ReplicaId) -> PartitionInfo:
    replicas = tuple(new if replica == old else replica for replica in info.replicas)
    return replace(info, replicas=replicas)


def _refused(state: ClusterMap | None, reason: str) -> MetaResult:
    return MetaResult(state, Effect.REFUSED, reason)
