"""Who may talk to whom: nodes of one cluster, each with the replica id and the data by which the
others know it.

| what the sender says | what becomes of its stream |
| --- | --- |
| another cluster, or that this is another replica | refused |
| a life of the receiver that is not this one | refused; it is this node whose data are not known |
| a replica that was replaced, whomever it means | refused for good |
| another life of one that was not | refused for good |
| a replica that is not in the map yet | taken: the map of this node is not the newest |
| else, in the map | taken |

A node without a map knows those that its directory or its settings name, and believes any node of a
cluster that has begun: it may be the last to hear of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cluster.ids import ReplicaId
from cluster.partition.map import NODES_MAX, ClusterMap
from kvstore.wire.peer import Introduction

_INITIAL: Final = "initial-"


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a stream is refused."""

    sentence: str
    is_final: bool = False
    """It will never be otherwise: the sender has to stop."""


class Introductions:
    """What this node says of itself with its rounds, what it makes of what others say, and where
    they are reached."""

    def __init__(
        self,
        *,
        me: ReplicaId,
        life: int,
        addresses: Mapping[ReplicaId, str],
        initial_nodes: Mapping[str, str],
        cluster_id: Callable[[], str],
        on_unknown: Callable[[str], None],
    ) -> None:
        """`addresses` are those of all nodes, this one among them, before there is a map;
        `on_unknown` is told when others know this replica by other data."""
        self._me = me
        self._life = life
        self._first = dict(addresses)
        self._cluster_id = cluster_id
        self._on_unknown = on_unknown
        self._map: ClusterMap | None = None
        # Said with every round, and of one map the same each time.
        self._own: dict[ReplicaId, Introduction] = {}
        self._newer: dict[str, ReplicaId] = {}
        """By address: replicas that introduced themselves and are not in the map yet."""
        self.lives: Final[dict[ReplicaId, int]] = {me: life}
        """Of those that were met, and of this node."""
        self.version = 0
        """Rises when a stream that was taken may have to be refused."""
        nodes = repr(sorted(initial_nodes.items()))
        self._initial = _INITIAL + sha256(nodes.encode()).hexdigest()[:32]

    def follow(self, cluster_map: ClusterMap) -> None:
        """There is a map, or a newer one."""
        self._map = cluster_map
        self._newer = {
            address: replica
            for address, replica in self._newer.items()
            if replica >= cluster_map.next_replica
        }
        self._own.clear()
        self.version += 1

    def addresses(self) -> dict[ReplicaId, str]:
        """Where all other nodes are reached, as far as this one knows."""
        known = self._first
        if self._map is not None and self._map.replica(self._me) is not None:
            known = {node.replica: node.address for node in self._map.nodes}
        newer = {replica: address for address, replica in self._newer.items()}
        return {
            replica: address
            for replica, address in sorted((known | newer).items())
            if replica != self._me
        }

    def own(self, to: ReplicaId) -> Introduction:
        """What this node says of itself to `to`."""
        cluster = self._cluster_id() or self._initial
        own = self._own.get(to)
        if own is None or own.cluster != cluster:
            node = None if self._map is None else self._map.replica(to)
            own = self._own[to] = Introduction(
                cluster=cluster,
                life=self._life,
                receiver_life=0 if node is None else node.life,
                address=self._first[self._me],
            )
        return own

    def meet(self, sender: ReplicaId, said: Introduction) -> None:
        """A stream of `sender` was taken."""
        known = self._map is not None and self._map.replica(sender) is not None
        if not known and sender not in self._first and len(self._newer) < NODES_MAX:
            self._newer[said.address] = max(sender, self._newer.get(said.address, sender))
        self.lives[sender] = said.life

    def objection(self, sender: ReplicaId, to: ReplicaId, said: Introduction) -> Objection | None:
        """What is wrong with a peer that says it is `sender` and means `to`; None: nothing is."""
        known = self._cluster_id()
        has_begun = not said.cluster.startswith(_INITIAL)
        # A node that knows no cluster yet believes one that does: it may be the last to hear of it.
        if said.cluster not in (known, self._initial) and not (has_begun and not known):
            return Objection(
                f"this node belongs to another cluster than the sender's, {said.cluster}"
            )
        if self._map is not None and self._map.has_replaced(sender):
            # Also where it means another replica than this one: who lost all it had may know the
            # nodes only as they were in the beginning, and none of them is there any more.
            return self._objection_to_life(sender, said)
        if to != self._me or sender == self._me or not self._may_be_peer(sender, has_begun):
            return Objection(
                f"this is replica {self._me} and takes nothing from {sender} for {to}: nodes were"
                " started with different --initial-nodes"
            )
        if said.receiver_life not in (0, self._life):
            sentence = f"cluster {said.cluster} knows replica {to} by other data"
            self._on_unknown(sentence)
            return Objection(sentence)
        return self._objection_to_life(sender, said)

    def objection_to_this_node(self) -> str | None:
        """Why the map does not take this node's data for those of its replica; None: it does."""
        own = self.own(self._me)
        wrong = self._objection_to_life(self._me, own)
        return None if wrong is None else wrong.sentence

    def _may_be_peer(self, sender: ReplicaId, has_begun: bool) -> bool:
        if self._map is None:
            return sender in self._first or has_begun
        return sender < self._map.next_replica or has_begun

    def _objection_to_life(self, sender: ReplicaId, said: Introduction) -> Objection | None:
        cluster_map = self._map
        if cluster_map is None:
            return None
        if cluster_map.has_replaced(sender):
            sentence = f"cluster {cluster_map.cluster_id} has replaced replica {sender} by another"
            return Objection(sentence, is_final=True)
        node = cluster_map.replica(sender)
        if node is not None and node.life not in (0, said.life):
            sentence = f"cluster {cluster_map.cluster_id} knows replica {sender} by other data"
            return Objection(sentence, is_final=True)
        return None
