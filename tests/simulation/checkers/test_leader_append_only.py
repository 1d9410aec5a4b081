"""Leader append-only."""

from __future__ import annotations

import pytest

from cluster.raft.ready import Role
from kvstore.simulation.checkers.leader_append_only import LeaderAppendOnly
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import Observed, entry


def test_a_leader_may_append_and_a_follower_may_be_cut() -> None:
    checker, seen = LeaderAppendOnly(), Observed()
    checker.on_change(seen.change(Role.LEADER, log=[entry(1, 1)]))
    checker.on_change(seen.change(Role.LEADER, log=[entry(1, 1), entry(2, 1)]))
    checker.on_change(seen.change(Role.FOLLOWER, term=2, log=[entry(1, 1), entry(2, 2)]))


def test_a_leader_that_was_deposed_in_between_may_have_been_cut() -> None:
    checker, seen = LeaderAppendOnly(), Observed()
    checker.on_change(seen.change(Role.LEADER, term=1, log=[entry(1, 1), entry(2, 1)]))
    checker.on_change(seen.change(Role.LEADER, term=3, log=[entry(1, 1), entry(2, 2)]))


@pytest.mark.parametrize("after", [[entry(1, 1)], [entry(1, 1), entry(2, 1, b"other")], []])
def test_a_leader_that_loses_or_changes_an_entry_is_found(after: list[object]) -> None:
    checker, seen = LeaderAppendOnly(), Observed()
    checker.on_change(seen.change(Role.LEADER, log=[entry(1, 1), entry(2, 1)]))
    with pytest.raises(Violation, match="leader append-only"):
        checker.on_change(seen.change(Role.LEADER, log=after))  # type: ignore[arg-type]
