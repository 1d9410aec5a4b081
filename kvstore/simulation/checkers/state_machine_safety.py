"""State machine safety (dissertation 3.2): what one replica applies at an index, all do; and the
same entries make the same state.

Entries are compared as they are applied. States are compared by fingerprint, which reads all of a
state: now and then when a replica has nothing left to apply, and at the end. States that were
damaged on purpose are left to the scrub.
"""

from __future__ import annotations

from typing import Final

from xxhash import xxh3_64_intdigest

from cluster.ids import GroupId, Index, ReplicaId, Term
from kvstore.simulation.checkers.observed import Cluster, Node, State
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation

_ALL_BYTES: Final = 1 << 62
_FINGERPRINTS_KEPT: Final = 64
"""Of each group. Replicas that fall further behind are compared at the end."""
ENTRIES_BETWEEN_FINGERPRINTS: Final = 50


class StateMachineSafety(ReplicaChecker):
    """See the module."""

    def __init__(self) -> None:
        self._applied: dict[GroupId, dict[Index, tuple[Term, int, int]]] = {}
        """By group and index: the term, kind and hash of the entry that was applied there."""
        self._fingerprints: dict[GroupId, dict[Index, tuple[int, ReplicaId]]] = {}
        self._last_fingerprint: dict[tuple[ReplicaId, GroupId], Index] = {}
        self._nodes: dict[ReplicaId, Node] = {}

    def on_start(self, node: Node) -> None:
        """See Checker."""
        self._nodes[node.replica_id] = node

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        before, now = change.before, change.now
        if before is None:
            self._last_fingerprint.pop((change.node, change.group), None)
        elif now.applied > before.applied:
            self._check_entries(change, Index(before.applied + 1), now.applied)
        state = change.replica.state
        if state is not None and now.applied == now.commit == now.last_index:
            last = self._last_fingerprint.get((change.node, change.group), Index(0))
            if now.applied >= last + ENTRIES_BETWEEN_FINGERPRINTS:
                self._last_fingerprint[change.node, change.group] = now.applied
                self._check_state(change.node, change.group, state)

    def at_end(self, cluster: Cluster) -> None:
        """See Checker."""
        for node in cluster.nodes:
            for group, replica in node.host.replicas.items():
                if replica.state is not None:
                    self._check_state(node.replica_id, group, replica.state)

    def _check_entries(self, change: Change, low: Index, high: Index) -> None:
        applied = self._applied.setdefault(change.group, {})
        log = change.replica.log
        low = max(low, log.first_index())
        if low > high:  # a snapshot took their place
            return
        for entry in log.entries(low, Index(high + 1), _ALL_BYTES):
            seen = (entry.term, int(entry.kind), xxh3_64_intdigest(entry.data))
            known = applied.setdefault(entry.index, seen)
            if known != seen:
                raise Violation(
                    "state machine safety",
                    f"{change.place} applied another entry {entry.index}, of term {entry.term},"
                    f" than was applied elsewhere, of term {known[0]}",
                )

    def _check_state(self, node: ReplicaId, group: GroupId, state: State) -> None:
        watched = self._nodes.get(node)
        if watched is not None and watched.is_damaged(group):
            return
        known = self._fingerprints.setdefault(group, {})
        index, fingerprint = state.applied_index, state.fingerprint()
        other, where = known.setdefault(index, (fingerprint, node))
        if other != fingerprint:
            raise Violation(
                "state machine safety",
                f"replicas {where} and {node} of group {group} have applied all up to {index}, and"
                " their states differ",
            )
        if len(known) > _FINGERPRINTS_KEPT:
            del known[min(known)]
