"""Each configuration overlaps the one before it (dissertation 4.1, 4.3): no majority of the old one
and majority of the new one can be disjoint.

Followers may take over several changes at once; the leader that makes them goes one at a time. So
it is leaders that are watched.
"""

from __future__ import annotations

from cluster.ids import GroupId, ReplicaId, Term
from kvstore.simulation.checkers.observed import electorate
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation

Electorate = tuple[frozenset[ReplicaId], ...]


class ConfigurationOverlap(ReplicaChecker):
    """See the module. A change of configuration is an entry, so it never goes unseen."""

    def __init__(self) -> None:
        self._known: dict[tuple[ReplicaId, GroupId], tuple[Term, Electorate]] = {}

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        term = change.now.term
        if not change.now.is_leader:
            return
        key = (change.node, change.group)
        now = electorate(change.replica)
        known_term, before = self._known.get(key, (term, now))
        self._known[key] = (term, now)
        if known_term == term and before != now and not do_overlap(before, now):
            raise Violation(
                "configuration overlap",
                f"{change.place}, leader of term {term}, went from {_text(before)} to"
                f" {_text(now)}: both can decide alone",
            )


def do_overlap(one: Electorate, other: Electorate) -> bool:
    """Whether every quorum of `one` meets every quorum of `other`.

    A quorum has a majority of each of its electorate's sets; so it is enough that there are two
    sets, one of each, all of whose majorities meet.
    """
    return any(_majorities_meet(first, second) for first in one for second in other)


def _majorities_meet(first: frozenset[ReplicaId], second: frozenset[ReplicaId]) -> bool:
    common = len(first & second)
    # The fewest of the common ones that a majority of each can do with.
    of_first = max(0, len(first) // 2 + 1 - (len(first) - common))
    of_second = max(0, len(second) // 2 + 1 - (len(second) - common))
    return of_first + of_second > common


def _text(electors: Electorate) -> str:
    return " and ".join(str(sorted(voters)) for voters in electors)
