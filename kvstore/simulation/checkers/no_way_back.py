"""What only ever rises: term, commit, applied and match indexes.

Within a life all of them, and the vote of a term stays. Over a crash the term does not fall below
what was on disk, nor does a vote that was there change. What was applied may fall back to what the
engine had flushed, and the commit index to what the log last said: both are found again.
"""

from __future__ import annotations

from typing import Final

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.ready import HardState
from kvstore.simulation.checkers.disk_record import hard_state_on_disk
from kvstore.simulation.checkers.observed import Node
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation

_INVARIANT: Final = "no way back"


class NoWayBack(ReplicaChecker):
    """See the module."""

    def __init__(self) -> None:
        self._durable: dict[tuple[ReplicaId, GroupId], HardState] = {}
        """What was on disk when a life ended."""
        self._matches: dict[tuple[GroupId, ReplicaId, ReplicaId], tuple[Term, Index]] = {}
        """By group, leader and follower: the leader's term, and the highest match index in it."""

    def on_crash(self, node: Node) -> None:
        """See Checker."""
        for group in node.host.replicas:
            self._durable[node.replica_id, group] = hard_state_on_disk(node.commit_log, group)

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        before, now = change.before, change.now
        if before is None:
            self._check_new_life(change)
        else:
            for name, was, is_ in (
                ("term", before.term, now.term),
                ("commit", before.commit, now.commit),
                ("applied", before.applied, now.applied),
            ):
                if is_ < was:
                    raise Violation(_INVARIANT, f"{change.place}: {name} went from {was} to {is_}")
            if now.term == before.term and before.vote not in (None, now.vote):
                raise Violation(
                    _INVARIANT,
                    f"{change.place}: its vote in term {now.term} went from {before.vote} to"
                    f" {now.vote}",
                )
        if now.is_leader:
            self._check_matches(change)

    def _check_new_life(self, change: Change) -> None:
        durable = self._durable.pop((change.node, change.group), None)
        now = change.now
        if durable is None:
            return
        if now.term < durable.term:
            raise Violation(
                _INVARIANT,
                f"{change.place} had term {durable.term} on disk, and begins again in {now.term}",
            )
        if now.term == durable.term and durable.vote not in (None, now.vote):
            raise Violation(
                _INVARIANT,
                f"{change.place} had its vote for {durable.vote} in term {now.term} on disk, and"
                f" begins again with {now.vote}",
            )

    def _check_matches(self, change: Change) -> None:
        term = change.now.term
        for peer in change.status.peers:
            key = (change.group, change.node, peer.replica)
            known_term, known = self._matches.get(key, (term, Index(0)))
            if known_term == term and peer.match < known:
                raise Violation(
                    _INVARIANT,
                    f"{change.place}, leader of term {term}: the match index of {peer.replica} went"
                    f" from {known} to {peer.match}",
                )
            self._matches[key] = (term, peer.match)
