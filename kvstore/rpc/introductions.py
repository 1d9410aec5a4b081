"""Who may talk to whom: nodes of one cluster, each with the place that the others think it has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from typing import Final

from cluster.ids import ReplicaId

_INITIAL: Final = "initial-"


class Introductions:
    """What this node says of itself with its rounds, and what it makes of what others say."""

    def __init__(
        self,
        me: ReplicaId,
        members: Collection[ReplicaId],
        initial_nodes: Mapping[str, str],
        cluster_id: Callable[[], str],
    ) -> None:
        self._me = me
        self._members = members
        self._cluster_id = cluster_id
        nodes = repr(sorted(initial_nodes.items()))
        self._initial = _INITIAL + sha256(nodes.encode()).hexdigest()[:32]

    def own(self) -> str:
        """The cluster's id; before it has one, what its initial nodes were said to be."""
        return self._cluster_id() or self._initial

    def objection(self, sender: ReplicaId, to: ReplicaId, introduction: str) -> str | None:
        """What is wrong with a peer that says it is `sender` and means `to`; None: nothing is."""
        known = self._cluster_id()
        # A node that knows no cluster yet believes one that does: it may be the last to hear of it.
        is_newer = not known and not introduction.startswith(_INITIAL)
        if introduction not in (known, self._initial) and not is_newer:
            return f"this node belongs to another cluster than the sender's, {introduction}"
        if to != self._me or sender not in self._members or sender == self._me:
            return (
                f"this is replica {self._me} and takes nothing from {sender} for {to}: nodes were"
                " started with different --initial-nodes"
            )
        return None
