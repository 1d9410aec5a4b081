"""Leader completeness, and one history of commits."""

from __future__ import annotations

import pytest

from cluster.raft.ready import Role
from kvstore.simulation.checkers.leader_completeness import LeaderCompleteness
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import ONE, THREE, TWO, Observed, entry

LOG = [entry(1, 1), entry(2, 1), entry(3, 1)]


def committed_two_in_term_one() -> LeaderCompleteness:
    checker, leader = LeaderCompleteness(), Observed(ONE)
    checker.on_change(leader.change(Role.LEADER, log=LOG))
    checker.on_change(leader.change(Role.LEADER, log=LOG, commit=2))
    return checker


def test_a_leader_may_lack_what_was_not_committed() -> None:
    checker = committed_two_in_term_one()
    checker.on_change(Observed(TWO).change(Role.LEADER, term=2, log=LOG[:2]))


def test_a_leader_of_an_older_term_may_lack_it() -> None:
    checker = LeaderCompleteness()
    checker.on_change(Observed(ONE).change(Role.LEADER, term=3, log=[entry(1, 3)], commit=1))
    checker.on_change(Observed(TWO).change(Role.LEADER, term=2, log=[]))


@pytest.mark.parametrize("log", [[], LOG[:1], [entry(1, 1), entry(2, 2)]])
def test_a_leader_without_what_was_committed_before_is_found(log: list[object]) -> None:
    checker = committed_two_in_term_one()
    with pytest.raises(Violation, match="without the entry 2 of term 1"):
        checker.on_change(
            Observed(TWO).change(Role.LEADER, term=2, log=log)  # type: ignore[arg-type]
        )


def test_what_was_committed_in_a_term_that_was_seen_late_counts_too() -> None:
    checker = LeaderCompleteness()
    checker.on_change(Observed(THREE).change(term=5, log=LOG, commit=1))
    checker.on_change(Observed(ONE).change(term=2, log=LOG, commit=3))
    with pytest.raises(Violation, match="without the entry 3"):
        checker.on_change(Observed(TWO).change(Role.LEADER, term=6, log=LOG[:2]))


def test_two_commits_at_one_index_are_found() -> None:
    checker = committed_two_in_term_one()
    with pytest.raises(Violation, match="commits entry 2 of term 2; committed was one of term 1"):
        checker.on_change(Observed(TWO).change(term=2, log=[LOG[0], entry(2, 2)], commit=2))


def test_a_new_life_that_has_lost_what_was_committed_is_found() -> None:
    checker = committed_two_in_term_one()
    follower = Observed(TWO)
    checker.on_change(follower.change(log=LOG, commit=2))
    follower.restart()
    with pytest.raises(Violation, match="commits entry 2 of term 3"):
        checker.on_change(follower.change(term=3, log=[LOG[0], entry(2, 3)], commit=2))
