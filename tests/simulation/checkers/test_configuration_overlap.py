"""Configurations that follow each other."""

from __future__ import annotations

from itertools import combinations

import pytest

from cluster.ids import ReplicaId
from cluster.raft import Configuration
from cluster.raft.ready import Role
from kvstore.simulation.checkers.configuration_overlap import ConfigurationOverlap, do_overlap
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import Observed


def ids(numbers: str) -> frozenset[ReplicaId]:
    return frozenset(ReplicaId(int(number)) for number in numbers)


def walk(*configurations: str, role: Role = Role.LEADER, terms: tuple[int, ...] = ()) -> None:
    """A replica goes through configurations such as `123` or, joint, `345|123`."""
    checker, seen = ConfigurationOverlap(), Observed()
    for place, text in enumerate(configurations):
        voters, _, outgoing = text.partition("|")
        seen.replica.core.configuration = Configuration(ids(voters), ids(outgoing))
        checker.on_change(seen.change(role, term=terms[place] if terms else 1))


@pytest.mark.parametrize(
    "way",
    [
        ("123", "1234", "12345", "2345"),
        ("123", "456|123", "456"),
        ("123", "4|123", "4"),
        ("1", "12", "2|12", "2"),
    ],
)
def test_one_at_a_time_and_by_joint_consensus_is_right(way: tuple[str, ...]) -> None:
    walk(*way)


@pytest.mark.parametrize("way", [("123", "456"), ("123", "12345"), ("1", "2"), ("123", "345")])
def test_a_step_between_majorities_that_can_be_disjoint_is_found(way: tuple[str, ...]) -> None:
    with pytest.raises(Violation, match="both can decide alone"):
        walk(*way)


def test_a_follower_and_another_term_may_have_skipped_what_was_between() -> None:
    walk("123", "456", role=Role.FOLLOWER)
    walk("123", "456", terms=(1, 2))


def test_overlap_is_that_of_trying_all_majorities() -> None:
    sets = [frozenset(c) for n in (1, 2, 3, 4) for c in combinations(ids("12345"), n)]
    for one in sets:
        for other in sets:
            meet = all(
                set(a) & set(b)
                for a in combinations(sorted(one), len(one) // 2 + 1)
                for b in combinations(sorted(other), len(other) // 2 + 1)
            )
            assert do_overlap((one,), (other,)) == meet
