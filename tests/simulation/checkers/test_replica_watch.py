"""What changed in a replica, from looking at it after each round."""

from __future__ import annotations

from cluster.ids import Index, Term
from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker, ReplicaWatch
from tests.simulation.checkers.observations import FakeNode, entry


class Notes(ReplicaChecker):
    def __init__(self) -> None:
        self.changes: list[Change] = []

    def on_change(self, change: Change) -> None:
        self.changes.append(change)


def watched() -> tuple[ReplicaWatch, Notes, FakeNode]:
    notes, node = Notes(), FakeNode()
    watch = ReplicaWatch([notes])
    node.log.held = [entry(1, 1), entry(2, 1)]
    watch.on_start(node)
    return watch, notes, node


def test_what_a_life_begins_with_is_new() -> None:
    _watch, notes, node = watched()
    (first,) = notes.changes
    assert (first.before, first.kept, list(first.entries)) == (None, 0, node.log.held)


def test_a_round_that_changes_nothing_is_passed_over() -> None:
    watch, notes, node = watched()
    watch.on_round(node)
    assert len(notes.changes) == 1


def test_a_change_beside_the_log_has_no_entries() -> None:
    watch, notes, node = watched()
    node.core.term = Term(5)
    watch.on_round(node)
    change = notes.changes[-1]
    assert change.before is not None
    assert (change.before.term, change.now.term) == (1, 5)
    assert (change.kept, change.entries) == (2, ())


def test_entries_that_were_appended_or_replaced_are_told() -> None:
    watch, notes, node = watched()
    node.log.held.append(entry(3, 1))
    watch.on_round(node)
    assert (notes.changes[-1].kept, notes.changes[-1].entries) == (2, [entry(3, 1)])
    node.log.held[1:] = [entry(2, 2), entry(3, 2)]
    watch.on_round(node)
    assert (notes.changes[-1].kept, notes.changes[-1].entries) == (1, [entry(2, 2), entry(3, 2)])
    node.log.held[1:] = []
    watch.on_round(node)
    assert (notes.changes[-1].kept, notes.changes[-1].entries) == (1, ())


def test_a_new_life_has_no_before_but_knows_the_log_of_the_old_one() -> None:
    watch, notes, node = watched()
    watch.on_crash(node)
    node.log.held[1:] = [entry(2, 3)]
    watch.on_start(node)
    change = notes.changes[-1]
    assert change.before is None
    assert (change.kept, change.entries) == (1, [entry(2, 3)])
    assert change.now.last_index == Index(2)
