"""Tells checkers of single replicas what changed, so that each round is looked through once."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft import Status
from cluster.raft.messages import Entry
from cluster.raft.ready import Role
from kvstore.environment import GroupMessage
from kvstore.simulation.checkers.checker import Checker
from kvstore.simulation.checkers.observed import Cluster, Log, Node, Replica

_ALL_BYTES: Final = 1 << 62


class View(NamedTuple):
    """A replica at one moment."""

    role: Role
    term: Term
    vote: ReplicaId | None
    commit: Index
    applied: Index
    last_index: Index
    last_term: Term

    @property
    def is_leader(self) -> bool:
        """Whether it takes itself for its term's leader."""
        return self.role is Role.LEADER


@dataclass(slots=True)
class Change:
    """What a round changed in one replica."""

    node: ReplicaId
    group: GroupId
    replica: Replica
    before: View | None
    """As it was seen last in this life; None when it has just begun."""
    now: View
    kept: Index
    """Its log up to here is as it was when it was seen last, in this life or the one before."""
    entries: Sequence[Entry]
    """What follows `kept` now: what is new, or has taken the place of others."""
    _status: Status | None = None

    @property
    def status(self) -> Status:
        """What its core tells of itself now; asked once for all checkers."""
        if self._status is None:
            self._status = self.replica.core.status()
        return self._status

    @property
    def place(self) -> str:
        """Where it was, for people."""
        return f"group {self.group} on replica {self.node}"


class ReplicaChecker(Checker):
    """A checker that looks at replicas one at a time, when they change."""

    def on_change(self, change: Change) -> None:
        """A round, or a start, changed something; called once for all that it changed."""


class _Known:
    """What is remembered of one replica."""

    __slots__ = ("first", "terms", "view")

    def __init__(self, first: Index) -> None:
        self.view: View | None = None
        self.first = first
        """The first index whose term is in `terms`."""
        self.terms = array("Q")

    def update(self, log: Log, last: Index) -> Index:
        """Takes over the log's terms; returns up to where they are as they were."""
        first = log.first_index()
        if first > self.first + len(self.terms):  # a snapshot has taken the place of what there was
            self.first = first
            self.terms = array("Q")
        kept = min(self.first + len(self.terms) - 1, int(last))
        while (
            kept >= max(first, self.first)
            and log.term(Index(kept)) != self.terms[kept - self.first]
        ):
            kept -= 1
        del self.terms[kept - self.first + 1 :]
        self.terms.extend(log.term(Index(index)) for index in range(kept + 1, last + 1))
        return Index(kept)


class ReplicaWatch(Checker):
    """See the module; passes all other hooks on."""

    def __init__(self, checkers: Sequence[ReplicaChecker]) -> None:
        self._checkers: Final = checkers
        # Most checkers have no use for most hooks, and there are many calls.
        self._on_send = [each for each in checkers if type(each).on_send is not Checker.on_send]
        self._on_persisted = [
            each for each in checkers if type(each).on_persisted is not Checker.on_persisted
        ]
        self._known: dict[ReplicaId, dict[GroupId, _Known]] = {}

    def on_start(self, node: Node) -> None:
        """See Checker."""
        for known in self._known.setdefault(node.replica_id, {}).values():
            known.view = None
        for checker in self._checkers:
            checker.on_start(node)
        self.on_round(node)

    def on_round(self, node: Node) -> None:
        """See Checker."""
        of_node = self._known[node.replica_id]
        for group, replica in node.host.replicas.items():
            # Mostly it is as it was: a View is only made of what is not.
            seen = replica.core.glance() + replica.log.glance()
            known = of_node.get(group)
            if known is None:
                known = of_node[group] = _Known(replica.log.first_index())
            before = known.view
            if before != seen:
                now = known.view = View._make(seen)
                change = Change(node.replica_id, group, replica, before, now, now.last_index, ())
                self._tell(change, known)

    def on_send(self, node: Node, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """See Checker."""
        for checker in self._on_send:
            checker.on_send(node, to, messages)

    def on_persisted(self, node: Node) -> None:
        """See Checker."""
        for checker in self._on_persisted:
            checker.on_persisted(node)

    def on_crash(self, node: Node) -> None:
        """See Checker."""
        for checker in self._checkers:
            checker.on_crash(node)

    def on_done(self, key: bytes, value: bytes) -> None:
        """See Checker."""
        for checker in self._checkers:
            checker.on_done(key, value)

    def at_end(self, cluster: Cluster) -> None:
        """See Checker."""
        for checker in self._checkers:
            checker.at_end(cluster)

    def _tell(self, change: Change, known: _Known) -> None:
        log, last = change.replica.log, change.now.last_index
        if change.before is None or change.before[-2:] != change.now[-2:]:
            change.kept = known.update(log, last)
            if change.kept < last:
                low = max(Index(change.kept + 1), log.first_index())
                change.entries = log.entries(low, Index(last + 1), _ALL_BYTES)
        for checker in self._checkers:
            checker.on_change(change)
