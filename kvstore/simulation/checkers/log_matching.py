"""Log matching (dissertation 3.2): two logs that have an entry of the same index and term are the
same up to it.

By induction it is enough that each entry, known by index and term, is always the same, and always
follows one of the same term. Entries are looked at as they come into a log, and as they are sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from xxhash import xxh3_64_intdigest

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.messages import AppendRequest, Entry
from kvstore.environment import GroupMessage
from kvstore.simulation.checkers.observed import Node, is_alone
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation


class LogMatching(ReplicaChecker):
    """See the module."""

    def __init__(self) -> None:
        self._known: dict[tuple[GroupId, Index, Term], tuple[Term, int, int]] = {}
        """By identity: the term of the entry before, the entry's kind and the hash of its data."""

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        if change.entries and not is_alone(change.replica):
            before = change.replica.log.term(Index(change.entries[0].index - 1))
            self._check(change.group, before, change.entries, change.place)

    def on_send(self, node: Node, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        """See Checker."""
        for group, message in messages:
            if isinstance(message, AppendRequest) and message.entries:
                place = f"group {group}, sent by replica {node.replica_id}"
                self._check(group, message.prev_term, message.entries, place)

    def _check(self, group: GroupId, before: Term, entries: Sequence[Entry], place: str) -> None:
        for entry in entries:
            seen = (before, int(entry.kind), xxh3_64_intdigest(entry.data))
            known = self._known.setdefault((group, entry.index, entry.term), seen)
            if known != seen:
                what = "follow entries of different terms" if known[0] != before else "differ"
                raise Violation(
                    "log matching",
                    f"two entries {entry.index} of term {entry.term} {what}: one is in {place}",
                )
            before = entry.term
