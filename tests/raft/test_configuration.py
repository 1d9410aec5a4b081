"""Configurations as values: what follows what, and their bytes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import InvariantViolation
from cluster.ids import Index, ReplicaId, Term
from cluster.raft import (
    Configuration,
    HardState,
    MembershipChange,
    MemoryLogStorage,
    Raft,
    RaftConfig,
    decode_configuration,
    encode_configuration,
)
from cluster.raft.configurations import Configurations
from tests.raft.solo import change, entry, members, membership_entry, replicas


@pytest.mark.parametrize(
    ("sets", "complaint"),
    [
        (((), (), (3,)), "at least one voter"),
        (((), (1,)), "at least one voter"),
        (((1, 2), (), (2,)), r"\[2\] cannot be voters and learners"),
        (((1,), (2,), (2,)), r"\[2\] cannot be voters and learners"),
        (((1,), (), (), (1,)), "are voters that go"),
        (((1,), (1, 2), (), (1,)), "are voters that go"),
    ],
)
def test_sets_that_do_not_fit_are_refused(sets: tuple[tuple[int, ...]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        members(*sets)


@pytest.mark.parametrize(
    ("voters", "learners", "complaint"),
    [((), (1,), "at least one voter"), ((1, 2), (2,), r"\[2\] cannot be")],
)
def test_a_change_without_voters_or_with_one_twice_is_refused(
    voters: tuple[int, ...], learners: tuple[int, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        change(voters, learners)


def test_peers_are_all_other_members_in_a_fixed_order() -> None:
    group = members((30, 4, 17), (17, 5), (90, 21))
    assert group.peers_of(ReplicaId(17)) == (4, 5, 21, 30, 90)
    assert group.peers_of(ReplicaId(8)) == (4, 5, 17, 21, 30, 90)


@pytest.mark.parametrize(
    ("asked", "expected", "then"),
    [
        # From voters 1, 2, 3 and learners 4, 5.
        (((1, 2, 3), (4,)), members((1, 2, 3), (), (4,)), None),
        (((1, 2, 3), (4, 5, 6)), members((1, 2, 3), (), (4, 5, 6)), None),
        (
            ((1, 2, 4), (5,)),
            members((1, 2, 4), (1, 2, 3), (5,)),
            members((1, 2, 4), (), (5,)),
        ),
        (
            ((1, 4), (2, 5)),  # 2 becomes a learner, 3 goes
            members((1, 4), (1, 2, 3), (5,), (2,)),
            members((1, 4), (), (2, 5)),
        ),
        (((4,), ()), members((4,), (1, 2, 3)), members((4,))),
        (((1,), (2, 3)), members((1,), (1, 2, 3), (), (2, 3)), members((1,), (), (2, 3))),
    ],
)
def test_a_change_of_voters_goes_through_joint_consensus_and_one_of_learners_does_not(
    asked: tuple[tuple[int, ...], tuple[int, ...]],
    expected: Configuration,
    then: Configuration | None,
) -> None:
    begun = members((1, 2, 3), (), (4, 5)).changed_by(change(*asked))
    assert begun == expected
    if then is None:
        assert not begun.is_joint
    else:
        assert begun.is_joint
        assert begun.left() == then


SOME = st.frozensets(st.integers(1, (1 << 64) - 1), max_size=5)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    before = MembershipChange(replicas(draw(SOME.filter(bool))))
    voters = draw(SOME.filter(bool))
    learners = draw(SOME) | draw(st.sampled_from([before.voters, frozenset()]))
    change = MembershipChange(replicas(voters), replicas(learners - voters))
    return Configuration(before.voters).changed_by(change)


@given(configurations())
def test_a_configuration_comes_back_from_its_bytes(group: Configuration) -> None:
    assert decode_configuration(encode_configuration(group)) == group


def test_the_bytes_are_those_of_the_format() -> None:
    assert encode_configuration(members((2, 1), (1, 3), (5,), (3,))).hex() == (
        "01"
        "0200" "0100000000000000" "0200000000000000"
        "0200" "0100000000000000" "0300000000000000"
        "0100" "0500000000000000"
        "0100" "0300000000000000"
    )  # fmt: skip


@given(configurations(), st.data())
def test_bytes_that_are_no_encoding_are_refused_and_nothing_else_is_raised(
    group: Configuration, data: st.DataObject
) -> None:
    good = encode_configuration(group)
    cut = good[: data.draw(st.integers(0, len(good) - 1))]
    with pytest.raises(ValueError, match="configuration"):
        decode_configuration(cut)
    with pytest.raises(ValueError, match="bytes follow"):
        decode_configuration(good + b"\0")
    position = data.draw(st.integers(0, len(good) - 1))
    changed = bytearray(good)
    changed[position] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode_configuration(bytes(changed))
    except ValueError:
        return
    assert encode_configuration(decoded) == bytes(changed)


@pytest.mark.parametrize("ids", [(2, 1), (1, 1)])
def test_replicas_that_do_not_rise_are_refused(ids: tuple[int, int]) -> None:
    good = encode_configuration(members((1, 2)))
    changed = good[:3] + b"".join(i.to_bytes(8, "little") for i in ids) + good[19:]
    with pytest.raises(ValueError, match="do not rise"):
        decode_configuration(changed)


# Which is in force


def test_what_is_appended_is_in_force_and_what_is_cut_is_not() -> None:
    first, second, third = members((1,)), members((1, 2)), members((1, 2, 3))
    held = Configurations(Index(5), first)
    held.add(Index(7), second)
    held.add(Index(9), third)
    assert (held.current, held.current_index) == (third, 9)
    held.cut(9)
    assert (held.current, held.current_index) == (second, 7)
    held.cut(6)
    assert (held.current, held.current_index) == (first, 5)


def test_the_configuration_of_the_applied_state_is_kept() -> None:
    first, second, third = members((1,)), members((1, 2)), members((1, 2, 3))
    held = Configurations(Index(5), first)
    held.add(Index(7), second)
    held.add(Index(9), third)
    assert [held.at(i) for i in (5, 6, 7, 8, 9, 20)] == [first, first, *[second] * 2, *[third] * 2]
    held.release(6)
    assert held.at(6) == first
    held.release(8)
    assert held.at(8) == second
    held.release(100)
    assert held.at(100) == held.current == third


@pytest.mark.parametrize(
    ("applied", "given_one", "expected"),
    [
        (0, members((7,)), members((2,))),
        (2, members((1, 2)), members((2,))),
        (3, members((2,)), members((2,))),
        (4, members((2,)), members((2,))),
    ],
)
def test_a_restart_finds_in_the_log_what_came_after_the_applied_state(
    applied: int, given_one: Configuration, expected: Configuration
) -> None:
    storage = MemoryLogStorage()
    storage.append(
        [
            entry(1, 1),
            membership_entry(2, 1, members((1, 2))),
            membership_entry(3, 1, members((2,))),
            entry(4, 1),
        ]
    )
    core = Raft(
        replica=ReplicaId(2),
        config=RaftConfig(),
        configuration=given_one,
        hard_state=HardState(Term(1)),
        storage=storage,
        applied=Index(applied),
        random=Random(0),
    )
    assert core.configuration == core.status().configuration == expected


def test_an_entry_that_holds_no_configuration_is_a_broken_invariant() -> None:
    storage = MemoryLogStorage()
    bad = membership_entry(1, 1, members((1,)))
    bad.data = b"nonsense"
    storage.append([bad])
    with pytest.raises(InvariantViolation, match="entry 1 holds no configuration"):
        Raft(
            replica=ReplicaId(1),
            config=RaftConfig(),
            configuration=members((1,)),
            hard_state=HardState(Term(1)),
            storage=storage,
            applied=Index(0),
            random=Random(0),
        )
