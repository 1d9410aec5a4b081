"""State machine safety."""

from __future__ import annotations

import pytest

from cluster.ids import Index, ReplicaId
from kvstore.simulation.checkers.state_machine_safety import (
    ENTRIES_BETWEEN_FINGERPRINTS,
    StateMachineSafety,
)
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import (
    GROUP,
    ONE,
    TWO,
    FakeCluster,
    FakeNode,
    FakeState,
    Observed,
    entry,
)

LOG = [entry(1, 1, b"a"), entry(2, 1, b"b"), entry(3, 1, b"c")]


def apply_all(checker: StateMachineSafety, seen: Observed, log: list[object]) -> None:
    checker.on_change(seen.change(log=log))  # type: ignore[arg-type]
    checker.on_change(
        seen.change(log=log, commit=len(log), applied=len(log))  # type: ignore[arg-type]
    )


def test_the_same_entries_may_be_applied_in_pieces_and_again() -> None:
    checker, seen = StateMachineSafety(), Observed(TWO)
    apply_all(checker, Observed(ONE), [*LOG])
    checker.on_change(seen.change(log=LOG))
    checker.on_change(seen.change(log=LOG, commit=3, applied=1))
    checker.on_change(seen.change(log=LOG, commit=3, applied=3))
    seen.restart()
    apply_all(checker, seen, [*LOG])


@pytest.mark.parametrize("other", [entry(2, 1, b"x"), entry(2, 2, b"b")])
def test_another_entry_applied_at_an_index_is_found(other: object) -> None:
    checker = StateMachineSafety()
    apply_all(checker, Observed(ONE), [*LOG])
    with pytest.raises(Violation, match="replica 2 applied another entry 2"):
        apply_all(checker, Observed(TWO), [LOG[0], other])


def with_state(me: ReplicaId, applied: int, fingerprint: int) -> tuple[FakeNode, FakeState]:
    node = FakeNode(me)
    node.replica.state = FakeState(Index(applied), fingerprint)
    return node, node.replica.state


def test_states_at_different_indexes_may_differ() -> None:
    (one, _), (two, _) = with_state(ONE, 3, 100), with_state(TWO, 4, 101)
    StateMachineSafety().at_end(FakeCluster([one, two]))


def test_different_states_at_one_index_are_found_at_the_end() -> None:
    (one, _), (two, _) = with_state(ONE, 3, 100), with_state(TWO, 3, 101)
    with pytest.raises(Violation, match="have applied all up to 3, and their states differ"):
        StateMachineSafety().at_end(FakeCluster([one, two]))


def test_different_states_are_found_when_there_is_nothing_left_to_apply() -> None:
    checker = StateMachineSafety()
    log = [entry(index, 1) for index in range(1, ENTRIES_BETWEEN_FINGERPRINTS + 1)]
    one, two = Observed(ONE), Observed(TWO)
    one.replica.state = FakeState(Index(len(log)), 100)
    two.replica.state = FakeState(Index(len(log)), 101)
    apply_all(checker, one, [*log])
    with pytest.raises(Violation, match="states differ"):
        apply_all(checker, two, [*log])


def test_a_state_is_not_read_more_often_than_it_is_worth() -> None:
    checker, seen = StateMachineSafety(), Observed()
    state = seen.replica.state = FakeState()
    log = [entry(index, 1) for index in range(1, 4 * ENTRIES_BETWEEN_FINGERPRINTS + 1)]
    for end in range(1, len(log) + 1):
        state.applied_index = Index(end)
        checker.on_change(seen.change(log=log[:end], commit=end, applied=end))
    assert state.reads == 4


def test_a_state_that_was_damaged_on_purpose_is_left_to_the_scrub() -> None:
    (one, _), (two, _) = with_state(ONE, 3, 100), with_state(TWO, 3, 101)
    checker = StateMachineSafety()
    for node in (one, two):
        checker.on_start(node)
    two.damaged.add(GROUP)
    checker.at_end(FakeCluster([one, two]))
    two.damaged.clear()
    with pytest.raises(Violation, match="their states differ"):
        checker.at_end(FakeCluster([one, two]))
