"""Majorities, as tables and against a definition that tries all subsets."""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import ReplicaId
from cluster.raft import Configuration
from cluster.raft.quorum import Tally, agreed, is_majority, tally
from tests.raft.solo import replicas


def group(size: int) -> Configuration:
    return Configuration(replicas(range(1, size + 1)))


def joint(voters: Collection[int], outgoing: Collection[int]) -> Configuration:
    return Configuration(replicas(voters), replicas(outgoing))


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


# Joint consensus: a majority of each set (dissertation 4.3)


@pytest.mark.parametrize(
    ("voters", "outgoing", "reached", "expected"),
    [
        ({1, 2, 3}, {1, 2, 3}, {1: 9, 2: 7, 3: 5}, 7),
        ({1, 2, 3}, {1}, {1: 9, 2: 7, 3: 5}, 7),
        ({1}, {1, 2, 3}, {1: 5, 2: 9, 3: 9}, 5),
        ({1, 2, 3}, {4, 5, 6}, {1: 9, 2: 9, 3: 9}, 0),
        ({1, 2, 3}, {4, 5, 6}, {4: 9, 5: 9, 6: 9}, 0),
        ({1, 2, 3}, {4, 5, 6}, {1: 9, 2: 8, 4: 7, 5: 6}, 6),
        ({1, 4, 5}, {1, 2, 3}, {1: 9, 4: 9}, 0),  # two of three in the new, one in the old
        ({1, 4, 5}, {1, 2, 3}, {1: 9, 4: 9, 2: 3}, 3),
        ({1, 2}, {1, 2, 3, 4}, {1: 9, 2: 9}, 0),  # half of the old is not a majority
    ],
)
def test_under_joint_consensus_both_sets_have_to_agree(
    voters: set[int], outgoing: set[int], reached: dict[int, int], expected: int
) -> None:
    both = joint(voters, outgoing)
    assert agreed(both, lambda voter: reached.get(voter, 0)) == expected
    assert is_majority(both, lambda voter: voter in reached) is (expected > 0)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ({1: True, 4: True}, Tally.OPEN),  # of {1, 4, 5}, but not of {1, 2, 3}
        ({1: True, 2: True}, Tally.OPEN),  # and the other way round
        ({1: True, 2: True, 4: True}, Tally.WON),
        ({2: True, 3: True, 4: True, 5: True}, Tally.WON),
        ({4: False, 5: False}, Tally.LOST),  # either set can refuse
        ({2: False, 3: False, 1: True, 4: True, 5: True}, Tally.LOST),
        ({2: False, 4: False}, Tally.OPEN),
        ({8: True, 9: True, 2: True, 3: True}, Tally.OPEN),
    ],
)
def test_a_vote_under_joint_consensus_is_two_votes(votes: dict[int, bool], expected: Tally) -> None:
    both = joint({1, 4, 5}, {1, 2, 3})
    assert tally(both, {ReplicaId(i): vote for i, vote in votes.items()}) is expected


SOME = st.frozensets(st.integers(1, 7), min_size=1)


@given(SOME, SOME, st.dictionaries(st.integers(1, 7), st.integers(0, 9)))
def test_joint_is_what_each_set_alone_would_say(
    voters: frozenset[int], outgoing: frozenset[int], reached: dict[int, int]
) -> None:
    both = joint(voters, outgoing)
    alone = [Configuration(replicas(each)) for each in (voters, outgoing)]

    def index(voter: ReplicaId) -> int:
        return reached.get(voter, 0)

    def is_high(voter: ReplicaId) -> bool:
        return index(voter) > 4

    assert agreed(both, index) == min(agreed(each, index) for each in alone)
    assert is_majority(both, is_high) == all(is_majority(each, is_high) for each in alone)
    votes = {ReplicaId(i): value > 4 for i, value in reached.items()}
    tallies = {tally(each, votes) for each in alone}
    expected = next(t for t in (Tally.LOST, Tally.OPEN, Tally.WON) if t in tallies)
    assert tally(both, votes) is expected


@given(SOME, SOME)
def test_two_majorities_of_successive_configurations_always_meet(
    before: frozenset[int], after: frozenset[int]
) -> None:
    """Why the way leads through joint consensus: simple → joint → simple, each pair overlaps."""
    steps = [
        Configuration(replicas(before)),
        joint(after, before),
        Configuration(replicas(after)),
    ]
    everyone = [ReplicaId(i) for i in range(1, 8)]
    for one, other in pairwise(steps):
        for size in range(8):
            for some in combinations(everyone, size):
                inside = set(some)
                outside = set(everyone) - inside
                if is_majority(one, inside.__contains__):
                    assert not is_majority(other, outside.__contains__)
