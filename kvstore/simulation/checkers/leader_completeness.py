"""Leader completeness (dissertation 3.2): what was committed in a term, the leaders of all later
ones have in their logs. And what one replica takes for committed, all do.

An entry is seen to be committed when a replica says so, in its term of that moment. With log
matching, which has a checker of its own, the last of them stands for all.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from cluster.ids import GroupId, Index, Term
from kvstore.simulation.checkers.observed import Log
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation

_INVARIANT: Final = "leader completeness"


@dataclass(slots=True)
class _Committed:
    """What is committed in one group."""

    terms: array[int] = field(default_factory=lambda: array("Q"))
    """By index - 1: the term of the entry."""
    seen_in: list[Term] = field(default_factory=list)
    """Rising: terms in which the commit index was seen to move…"""
    up_to: list[Index] = field(default_factory=list)
    """… and how far it had come by the end of each."""

    def before(self, term: Term) -> Index:
        """How far it had come in terms below `term`."""
        place = bisect_left(self.seen_in, term)
        return self.up_to[place - 1] if place else Index(0)

    def note(self, term: Term, index: Index) -> None:
        """The commit index was seen at `index`, which it had not reached before, in `term`."""
        place = bisect_left(self.seen_in, term)
        if place == len(self.seen_in) or self.seen_in[place] != term:
            self.seen_in.insert(place, term)
            self.up_to.insert(place, index)
        for later in range(place, len(self.up_to)):
            self.up_to[later] = max(self.up_to[later], index)


class LeaderCompleteness(ReplicaChecker):
    """See the module."""

    def __init__(self) -> None:
        self._committed: dict[GroupId, _Committed] = {}

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        committed = self._committed.setdefault(change.group, _Committed())
        before, now, log = change.before, change.now, change.replica.log
        # The core may know of commits beyond what it has handed to its log.
        commit = min(now.commit, now.last_index)
        if before is None or now.commit > before.commit:
            checked = Index(0 if before is None else min(before.commit, before.last_index))
            self._check_commit(change, committed, log, checked, commit)
        was_leader = before is not None and before.is_leader and before.term == now.term
        if now.is_leader and not was_leader:
            self._check_leader(change, committed, log)

    def _check_commit(
        self, change: Change, committed: _Committed, log: Log, checked: Index, commit: Index
    ) -> None:
        known = len(committed.terms)
        low = max(checked + 1, log.first_index())
        if change.before is None:
            low = max(low, min(known, commit))  # what it held before was checked in its life then
        for index in range(low, commit + 1):
            term = log.term(Index(index))
            if index <= known:
                if term != committed.terms[index - 1]:
                    raise Violation(
                        _INVARIANT,
                        f"{change.place} commits entry {index} of term {term}; committed was one of"
                        f" term {committed.terms[index - 1]}",
                    )
            elif index == len(committed.terms) + 1:
                committed.terms.append(term)
        if len(committed.terms) > known:
            committed.note(change.now.term, Index(len(committed.terms)))

    def _check_leader(self, change: Change, committed: _Committed, log: Log) -> None:
        needed = committed.before(change.now.term)
        if needed < log.first_index():
            return
        has = log.term(needed) if needed <= change.now.last_index else None
        if has != committed.terms[needed - 1]:
            raise Violation(
                _INVARIANT,
                f"{change.place} leads term {change.now.term} without the entry {needed} of term"
                f" {committed.terms[needed - 1]}, which was committed before",
            )
