"""The other nodes: what this one says to them of itself, whom it takes them for, and where they are
reached. What it learns of them is followed wherever it matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

import structlog

from cluster.ids import ReplicaId
from cluster.membership import PeerContacts
from cluster.partition.map import ClusterMap
from kvstore.environment import GroupMessage, Worker
from kvstore.errors import ResourceExhausted
from kvstore.rpc.introductions import Introductions
from kvstore.rpc.peer_service import PeerService
from kvstore.seams import OpenPeerLinks, PeerLinks
from kvstore.standing import Standing
from kvstore.wire.peer import Introduction

_log = structlog.get_logger("kvstore.node")


class Peers:
    """See the module. Has links from the start, and none is open before `follow`."""

    __slots__ = ("_contacts", "_introductions", "_links")

    def __init__(
        self,
        *,
        standing: Standing,
        life: int,
        initial_nodes: Mapping[str, str],
        cluster_id: Callable[[], str],
        contacts: PeerContacts,
        open_links: OpenPeerLinks,
        random: Random,
        on_life_over: Callable[[str], None],
    ) -> None:
        """`on_life_over` is told, and why, when others know this replica by other data."""
        self._contacts = contacts
        self._introductions = Introductions(
            me=standing.me,
            life=life,
            addresses=standing.addresses,
            initial_nodes=initial_nodes,
            cluster_id=cluster_id,
            on_unknown=on_life_over,
        )
        self._links = open_links(standing.me, self._introductions.own, on_life_over, random)

    @property
    def links(self) -> PeerLinks:
        """The way to them."""
        return self._links

    @property
    def lives(self) -> Mapping[ReplicaId, int]:
        """Of those that were met, and of this node."""
        return self._introductions.lives

    def service(
        self,
        on_meet: Callable[[ReplicaId], None],
        receive: Callable[[ReplicaId, list[GroupMessage]], None],
    ) -> PeerService:
        """What their streams come in by; `on_meet` is told of a new one that was taken."""

        def meet(peer: ReplicaId, said: Introduction) -> None:
            self._introductions.meet(peer, said)
            self.follow()
            on_meet(peer)

        return PeerService(self._introductions, meet, receive)

    def replica_at(self, address: str) -> ReplicaId | None:
        """Who is reached there; None: none of them."""
        at = [to for to, where in self._introductions.addresses().items() if where == address]
        return at[-1] if at else None

    def follow(self) -> None:
        """Watches and links to exactly those that are known of by now."""
        addresses = self._introductions.addresses()
        self._contacts.watch(addresses)
        self._links.follow(addresses)

    def follow_map(self, cluster_map: ClusterMap) -> str | None:
        """Goes by a new map; says why it does not take this node's data for those of its replica,
        or None: it does."""
        self._introductions.follow(cluster_map)
        self.follow()
        return self._introductions.objection_to_this_node()

    async def close(self) -> None:
        """Ends all links."""
        await self._links.close()


class KeptLives:
    """Who is known by which data, in the map, has to outlive a crash at once: until a majority
    speaks to this node again, nothing else tells a peer that was wiped from one that was not."""

    __slots__ = ("_fail", "_flush", "_flush_worker", "_lives")

    def __init__(
        self, flush: Callable[[], None], flush_worker: Worker, fail: Callable[[BaseException], None]
    ) -> None:
        """`flush` is the engine's, and `fail` the host's."""
        self._flush = flush
        self._flush_worker = flush_worker
        self._fail = fail
        self._lives: dict[ReplicaId, int] = {}

    def follow_map(self, cluster_map: ClusterMap) -> None:
        """Flushes the engine, which holds the map, if it knows other lives than the last one."""
        lives = {node.replica: node.life for node in cluster_map.nodes}
        if lives != self._lives:
            self._lives = lives
            self._flush_worker.submit(self._flush, self._on_flushed)

    def _on_flushed(self, outcome: BaseException | None) -> None:
        # A full disk may have room later, and the commit log has it all.
        if isinstance(outcome, BaseException) and not isinstance(outcome, ResourceExhausted):
            self._fail(outcome)
        elif outcome is None:
            known = sorted(replica for replica, life in self._lives.items() if life)
            _log.info("lives are on stable storage", replicas=known)
