"""`spread` gives each thing to one of its candidates, as evenly as any choice could."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.ids import ReplicaId
from cluster.partition.spread import spread

replicas = st.integers(1, 5).map(ReplicaId)
small_cases = st.lists(
    st.lists(replicas, min_size=1, max_size=3, unique=True), min_size=0, max_size=6
)


def cost(chosen: list[ReplicaId] | tuple[ReplicaId, ...]) -> int:
    """Smallest exactly when the counts are as even as they can be."""
    return sum(count * count for count in Counter(chosen).values())


@settings(deadline=None, max_examples=200)
@given(small_cases)
def test_no_choice_is_more_even(candidates: list[list[ReplicaId]]) -> None:
    chosen = spread(candidates)
    assert all(choice in options for choice, options in zip(chosen, candidates, strict=True))
    assert cost(chosen) == min(cost(choice) for choice in product(*candidates))


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([], []),
        ([[2, 1, 3]], [2]),
        ([[2, 1], [2, 1]], [2, 1]),
        ([[2, 1], [2, 1], [2, 1]], [2, 1, 2]),
        ([[3, 1], [3, 2], [3]], [1, 2, 3]),  # the first gives way to the third
    ],
)
def test_preference_decides_where_evenness_leaves_a_choice(
    candidates: list[list[ReplicaId]], chosen: list[ReplicaId]
) -> None:
    assert cost(spread(candidates)) == cost(chosen)
    assert spread(candidates) == chosen


def test_a_chain_of_moves_is_found() -> None:
    # Taken one by one, 1 is given three things before it is seen that only 4 is idle, and 4 can be
    # reached from 1 only through 2 and 3.
    things = [[1, 2], [2, 3], [3, 4], [1], [1], [2], [3]]
    chosen = spread([[ReplicaId(number) for number in options] for options in things])
    assert sorted(Counter(chosen).values()) == [1, 2, 2, 2]
