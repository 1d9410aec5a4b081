"""Who a node is in its cluster: which replica, of which life, among whom.

As a rule its data directory says so, and at a first start its settings. Where its data are lost or
damaged, the cluster is asked for a new place first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from cluster.ids import NodeId, ReplicaId
from cluster.partition.placement import natural_order
from kvstore.config import NodeSettings
from kvstore.data_directory import DataDirectory
from kvstore.errors import ConfigurationError, LifeOver
from kvstore.rebuilds import check_rebuilds
from kvstore.rpc.rejoin import Question, ask_for_place
from kvstore.seams import Seams

_log: Final = structlog.get_logger("kvstore.node")


@dataclass(frozen=True, slots=True)
class Standing:
    """See the module."""

    me: ReplicaId
    founders: frozenset[ReplicaId]
    """The replicas with which the cluster began."""
    addresses: Mapping[ReplicaId, str]
    """Of all nodes, this one among them, as far as is known without a map."""
    has_data: bool
    """There must be a commit log: this replica has taken part before."""

    def begins_with(self, founders: Collection[ReplicaId]) -> frozenset[ReplicaId]:
        """The voters of a group that began with `founders`, for a replica here whose log does not
        say more: one that came later learns from its leader who they are (dissertation 4.2.1)."""
        return frozenset(founders if self.me in founders else ())


async def find_standing(settings: NodeSettings, directory: DataDirectory, seams: Seams) -> Standing:
    """Who the node is. Waits for the cluster where it has to be asked; raises ConfigurationError
    when its answer is no, or the directory is not that of this node."""
    has_data = directory.damage is None and directory.cluster_id is not None
    if directory.damage is not None:
        await _replace_damaged(settings, directory, seams)
    elif settings.rejoin and directory.cluster_id is None:
        question = Question(directory.node_id, None, 0, directory.life)
        await _begin_life(settings, directory, seams, question, "its data are lost")
    names = sorted(map(NodeId, settings.initial_nodes), key=natural_order)
    initial = {
        ReplicaId(number): settings.initial_nodes[name] for number, name in enumerate(names, 1)
    }
    founders = frozenset(initial)
    named = ReplicaId(names.index(NodeId(settings.node_id)) + 1)
    me = directory.replica_id or named
    if directory.members is not None:
        return Standing(me, founders, dict(directory.members), has_data)
    if me != named:
        raise ConfigurationError(
            f"the data directory {settings.data_dir} is of replica {me}, and initial-nodes makes"
            f" this node replica {named}: start it with the initial-nodes that it was first started"
            " with"
        )
    return Standing(me, founders, initial, has_data)


def life_over(reason: str, directory: DataDirectory, folder: Path) -> LifeOver:
    """What to say when others know this node by other data than those in `folder`."""
    if directory.cluster_id is None:
        advice = f"this node's data in {folder} were lost. Start it with --rejoin"
    else:
        advice = f"the data in {folder} are of no more use. Empty it, and start with --rejoin"
    return LifeOver(f"{reason}: {advice} to take its place anew")


async def _replace_damaged(settings: NodeSettings, directory: DataDirectory, seams: Seams) -> None:
    damage = directory.damage
    if damage is None:
        return
    check_rebuilds(directory, settings.rebuilds_max)
    _log.critical(
        "this node's data are damaged and will not be used: it asks the cluster for a new place,"
        " and gets its data from the others",
        damage=damage.reason,
        replica=directory.replica_id,
    )
    question = Question(directory.node_id, directory.replica_id, directory.life, damage.next_life)
    await _begin_life(settings, directory, seams, question, damage.reason)


async def _begin_life(
    settings: NodeSettings,
    directory: DataDirectory,
    seams: Seams,
    question: Question,
    reason: str,
) -> None:
    mine = settings.advertised_address
    others = [each for each in settings.initial_nodes.values() if each != mine]
    try:
        place = await ask_for_place(question, others, seams.open_channel, seams.random)
    except ConfigurationError as refusal:
        raise ConfigurationError(
            f"node {settings.node_id} cannot use the data in {settings.data_dir} ({reason}), and"
            f" {refusal}. Look closer with `kvstore inspect {settings.data_dir}`"
        ) from None
    directory.begin_life(place.cluster_id, place.replica, place.members)
    _log.warning(
        "a new life begins",
        cluster=place.cluster_id,
        replica=place.replica,
        in_place_of=question.replica,
        rebuilds=directory.rebuilds,
    )
