"""What this node has heard of the others lately: failure detection by ticks.

A guess, good for timing only: to wake the groups that a silent node leads, to say "no majority"
early. Safety rests on none of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from cluster.ids import ReplicaId

UNKNOWN_SILENCE_TICKS: Final = 1 << 60
"""Of one that is not watched: it left, or has joined and is not known here yet."""


class PeerContacts:
    """When each peer was last heard of, counted in ticks of the host.

    A peer is *suspected* when it has been silent for `suspect_after_ticks` ticks, at least 1; one
    that was never heard of is silent since it is watched. All replicas of a node share its fate, so
    one count per peer serves every group.
    """

    __slots__ = (
        "_full_until",
        "_heard_at",
        "_me",
        "_now",
        "_silent_since",
        "_suspect_after_ticks",
        "_unfit_until",
    )

    def __init__(self, me: ReplicaId, peers: Iterable[ReplicaId], suspect_after_ticks: int) -> None:
        if suspect_after_ticks < 1:
            raise ValueError(f"suspect_after_ticks is {suspect_after_ticks}; it must be 1 or more")
        self._me = me
        self._suspect_after_ticks = suspect_after_ticks
        self._now = 0
        self._silent_since: dict[ReplicaId, int] = {}
        self._heard_at: dict[ReplicaId, int] = {}
        self._unfit_until: dict[ReplicaId, int] = {}
        self._full_until: dict[ReplicaId, int] = {}
        self.watch(peers)

    def watch(self, peers: Iterable[ReplicaId]) -> None:
        """Watches exactly `peers` from now on: what is known of those that stay is kept."""
        kept = set(peers) - {self._me}
        self._silent_since = {
            peer: self._silent_since.get(peer, self._now) for peer in sorted(kept)
        }
        self._heard_at = {peer: at for peer, at in self._heard_at.items() if peer in kept}

    @property
    def peers(self) -> Collection[ReplicaId]:
        """Those that are watched, in order."""
        return self._silent_since.keys()

    def heard(self, peer: ReplicaId) -> None:
        """Something came from `peer`. Ignored when it is not watched: it may have left."""
        if peer in self._silent_since:
            self._silent_since[peer] = self._heard_at[peer] = self._now

    def says_unfit(self, peer: ReplicaId, *, takes_entries: bool, for_ticks: int) -> None:
        """`peer` says that it should not lead, and perhaps that it stores nothing: believed for
        that long, and until it says otherwise."""
        self._unfit_until[peer] = self._now + for_ticks
        self._full_until[peer] = self._now if takes_entries else self._now + for_ticks

    def is_fit(self, peer: ReplicaId) -> bool:
        """Whether `peer` has not said lately that it should not lead."""
        return self._unfit_until.get(peer, 0) <= self._now

    def takes_entries(self, peer: ReplicaId) -> bool:
        """Whether `peer` has not said lately that it can store nothing."""
        return self._full_until.get(peer, 0) <= self._now

    def tick(self) -> list[ReplicaId]:
        """One tick passed; returns the peers that have just come to be suspected, in order.

        Each is named once, and again only after it was heard of in between.
        """
        self._now += 1
        # Time advances by one, so the silence of every peer passes through this exact value.
        begun = self._now - self._suspect_after_ticks
        return [peer for peer, since in self._silent_since.items() if since == begun]

    def silent_ticks(self, peer: ReplicaId) -> int:
        """Ticks since `peer` was last heard of; UNKNOWN_SILENCE_TICKS when it is not watched."""
        since = self._silent_since.get(peer)
        return UNKNOWN_SILENCE_TICKS if since is None else self._now - since

    def suspects(self, limit_ticks: int | None = None) -> list[ReplicaId]:
        """Peers silent for `limit_ticks` ticks or more (None: suspect_after_ticks), in order."""
        limit = self._suspect_after_ticks if limit_ticks is None else limit_ticks
        return [peer for peer, since in self._silent_since.items() if self._now - since >= limit]

    def reachable(self, replicas: Iterable[ReplicaId], within_ticks: int) -> int:
        """How many of `replicas` were heard of less than `within_ticks` ticks ago."""
        return sum([self.is_reachable(replica, within_ticks) for replica in replicas])

    def is_reachable(self, replica: ReplicaId, within_ticks: int) -> bool:
        """Whether `replica` was heard of less than `within_ticks` ticks ago.

        This node always was; a peer never heard of was not, however short the time.
        """
        if replica == self._me:
            return True
        at = self._heard_at.get(replica)
        return at is not None and at > self._now - within_ticks
