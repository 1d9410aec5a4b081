"""What the hashes of a group's replicas say together: damage is named, and nobody is guessed at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import ReplicaId
from cluster.raft.configuration import Configuration
from cluster.scrub import Outcome, Verdict, verdict

A, B = 0xA, 0xB
ONE, TWO, THREE, FOUR, FIVE = map(ReplicaId, range(1, 6))


def voters(*members: int) -> Configuration:
    return Configuration(frozenset(map(ReplicaId, members)))


@pytest.mark.parametrize(
    ("configuration", "hashes", "expected"),
    [
        (voters(1), {1: A}, Verdict(Outcome.AGREED, A)),
        (voters(1), {1: None}, Verdict(Outcome.DIVERGED, None, (ONE,))),
        (voters(1, 2, 3), {1: A, 2: A, 3: A}, Verdict(Outcome.AGREED, A)),
        (voters(1, 2, 3), {1: A, 2: B, 3: A}, Verdict(Outcome.DIVERGED, A, (TWO,))),
        (voters(1, 2, 3), {1: B, 2: A, 3: A}, Verdict(Outcome.DIVERGED, A, (ONE,))),
        (voters(1, 2, 3), {1: A, 3: A}, Verdict(Outcome.PARTIAL, A, (), (TWO,))),
        (voters(1, 2, 3), {}, Verdict(Outcome.PARTIAL, None, (), (ONE, TWO, THREE))),
        (voters(1, 2, 3), {1: A, 2: B}, Verdict(Outcome.UNDECIDED, None, (ONE, TWO), (THREE,))),
        (voters(1, 2, 3), {1: 1, 2: 2, 3: 3}, Verdict(Outcome.UNDECIDED, None, (ONE, TWO, THREE))),
        (voters(1, 2), {1: A, 2: B}, Verdict(Outcome.UNDECIDED, None, (ONE, TWO))),
        # Who cannot read its state says so itself: no majority is needed for that.
        (voters(1, 2), {1: A, 2: None}, Verdict(Outcome.DIVERGED, A, (TWO,))),
        (voters(1, 2, 3), {1: A, 2: None, 3: A}, Verdict(Outcome.DIVERGED, A, (TWO,))),
        (voters(1, 2, 3), {1: A, 2: None}, Verdict(Outcome.DIVERGED, A, (TWO,), (THREE,))),
        # Two of four are no majority, whoever else is silent.
        (
            voters(1, 2, 3, 4),
            {1: A, 2: A, 3: B},
            Verdict(Outcome.UNDECIDED, None, (ONE, TWO, THREE), (FOUR,)),
        ),
        (
            voters(1, 2, 3, 4, 5),
            {1: A, 2: B, 3: A, 4: B, 5: A},
            Verdict(Outcome.DIVERGED, A, (TWO, FOUR)),
        ),
        # Learners are named, and make no majority.
        (
            Configuration(frozenset({ONE, TWO}), learners=frozenset({THREE})),
            {1: A, 2: A, 3: B},
            Verdict(Outcome.DIVERGED, A, (THREE,)),
        ),
        (
            Configuration(frozenset({ONE, TWO}), learners=frozenset({THREE})),
            {1: A, 2: B, 3: A},
            Verdict(Outcome.UNDECIDED, None, (ONE, TWO, THREE)),
        ),
        # While members change, both sets have to agree.
        (
            Configuration(frozenset({ONE, TWO, THREE}), outgoing=frozenset({ONE, FOUR, FIVE})),
            {1: A, 2: A, 3: A, 4: B, 5: B},
            Verdict(Outcome.UNDECIDED, None, (ONE, TWO, THREE, FOUR, FIVE)),
        ),
        # Strangers count for nothing.
        (voters(1, 2, 3), {1: A, 2: A, 3: A, 4: B}, Verdict(Outcome.AGREED, A)),
    ],
)
def test_the_table(
    configuration: Configuration, hashes: dict[int, int | None], expected: Verdict
) -> None:
    answers = {ReplicaId(member): found for member, found in hashes.items()}
    assert verdict(configuration, answers) == expected


answers_of = st.dictionaries(
    st.integers(1, 5).map(ReplicaId), st.none() | st.sampled_from((1, 2, 3)), max_size=5
)


@given(st.integers(1, 5), answers_of)
def test_whoever_is_named_differs_from_a_strict_majority_or_cannot_read(
    size: int, answers: dict[ReplicaId, int | None]
) -> None:
    group = voters(*range(1, size + 1))
    found = verdict(group, answers)
    known = {member: value for member, value in answers.items() if member in group.voters}
    if found.outcome is Outcome.DIVERGED:
        for member in found.named:
            same = sum(value == found.hash for value in known.values())
            assert known[member] is None or (known[member] != found.hash and 2 * same > size)
    elif not found.outcome.is_mismatch:
        assert found.named == ()
        assert len(set(known.values())) <= 1


@given(st.integers(1, 5), answers_of)
def test_a_difference_is_never_passed_over(size: int, answers: dict[ReplicaId, int | None]) -> None:
    found = verdict(voters(*range(1, size + 1)), answers)
    values = {value for member, value in answers.items() if member <= size}
    assert found.outcome.is_mismatch == (len(values) > 1 or None in values)
    assert set(found.silent) == set(range(1, size + 1)) - answers.keys()
