"""Majorities, as tables and against a definition that tries all subsets."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import ReplicaId
from cluster.raft import Configuration
from cluster.raft.quorum import Tally, agreed, is_majority, tally


def group(size: int) -> Configuration:
    return Configuration(frozenset(ReplicaId(i) for i in range(1, size + 1)))


@pytest.mark.parametrize(
    ("reached", "expected"),
    [
        ([7], 7),
        ([7, 3], 3),
        ([7, 3, 5], 5),
        ([7, 7, 0], 7),
        ([9, 3, 5, 7], 5),
        ([9, 9, 0, 0], 0),
        ([9, 3, 5, 7, 1], 5),
        ([9, 9, 9, 0, 0], 9),
    ],
)
def test_agreed_is_the_highest_value_that_a_majority_has_reached(
    reached: list[int], expected: int
) -> None:
    assert agreed(group(len(reached)), lambda voter: reached[voter - 1]) == expected


@given(st.lists(st.integers(0, 20), min_size=1, max_size=7))
def test_agreed_is_what_the_best_majority_has_in_common(reached: list[int]) -> None:
    size = len(reached)
    common = max(min(some) for some in combinations(reached, size // 2 + 1))
    assert agreed(group(size), lambda voter: reached[voter - 1]) == common


@pytest.mark.parametrize(
    ("size", "votes", "expected"),
    [
        (1, {1: True}, Tally.WON),
        (2, {1: True}, Tally.OPEN),
        (2, {1: True, 2: False}, Tally.LOST),
        (3, {1: True}, Tally.OPEN),
        (3, {1: True, 2: True}, Tally.WON),
        (3, {1: True, 2: False}, Tally.OPEN),
        (3, {1: True, 2: False, 3: False}, Tally.LOST),
        (4, {1: True, 2: True}, Tally.OPEN),
        (4, {1: True, 2: True, 3: False, 4: False}, Tally.LOST),
        (4, {1: True, 2: False, 3: False}, Tally.LOST),
        (5, {1: True, 2: True, 3: False, 4: False}, Tally.OPEN),
        (5, {1: True, 2: True, 3: True}, Tally.WON),
        (3, {1: True, 8: True, 9: True}, Tally.OPEN),
        (3, {1: True, 8: False, 9: False}, Tally.OPEN),
    ],
)
def test_a_vote_is_won_or_lost_as_soon_as_nothing_can_change_it(
    size: int, votes: dict[int, bool], expected: Tally
) -> None:
    assert tally(group(size), {ReplicaId(i): vote for i, vote in votes.items()}) is expected


@pytest.mark.parametrize(
    ("size", "present", "expected"),
    [
        (1, {1}, True),
        (2, {1}, False),
        (3, {1, 2}, True),
        (3, {1}, False),
        (4, {1, 2}, False),
        (5, {1, 2, 9}, False),
    ],
)
def test_half_is_not_a_majority(size: int, present: set[int], expected: bool) -> None:
    assert is_majority(group(size), lambda voter: voter in present) is expected
