"""How a group's members come to be those that are wanted: step by step, never too few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import ReplicaId
from cluster.partition.regrouping import Members, membership_step

LAG_MAX = 10


def ids(*numbers: int) -> frozenset[ReplicaId]:
    return frozenset(map(ReplicaId, numbers))


@pytest.mark.parametrize(
    ("voters", "learners", "wanted", "lags", "next_voters", "next_learners"),
    [
        # A replacement.
        ({1, 2, 3}, set(), {1, 4, 3}, {2: 99, 3: 0}, {1, 2, 3}, {4}),
        ({1, 2, 3}, {4}, {1, 4, 3}, {2: 99, 3: 0, 4: 11}, None, None),
        ({1, 2, 3}, {4}, {1, 4, 3}, {2: 99, 3: 0, 4: 10}, {1, 3, 4}, set()),
        ({1, 3, 4}, set(), {1, 4, 3}, {3: 0, 4: 0}, None, None),
        # Its successor was replaced before it had caught up.
        ({1, 2, 3}, {4}, {1, 5, 3}, {4: 0}, {1, 2, 3}, {5}),
        # Two at once: the one that is ready does not wait, and the closest behind stays.
        ({1, 2, 3}, {4, 5}, {1, 4, 5}, {2: 7, 3: 5, 4: 0, 5: 99}, {1, 3, 4}, {5}),
        ({1, 2, 3}, {4, 5}, {1, 4, 5}, {2: 7, 3: 5, 4: 0, 5: 0}, {1, 4, 5}, set()),
        # A leader that is to go is its own best witness.
        ({1, 2, 3}, {4, 5}, {3, 4, 5}, {2: 1, 3: 0, 4: 0, 5: 99}, {1, 3, 4}, {5}),
        # More, fewer, and who is of no more use.
        ({1}, set(), {1, 2, 3}, {}, {1}, {2, 3}),
        ({1}, {2, 3}, {1, 2, 3}, {2: 0, 3: 99}, {1, 2}, {3}),
        ({1, 2, 3}, set(), {1, 2}, {2: 0, 3: 0}, {1, 2}, set()),
        ({1, 2, 3}, {9}, {1, 2, 3}, {2: 0, 3: 0, 9: 0}, {1, 2, 3}, set()),
        # A learner of which nothing is known is not ready.
        ({1, 2, 3}, {4}, {1, 4, 3}, {}, None, None),
    ],
)
def test_the_next_step(
    voters: set[int],
    learners: set[int],
    wanted: set[int],
    lags: dict[int, int],
    next_voters: set[int] | None,
    next_learners: set[int] | None,
) -> None:
    step = membership_step(
        Members(ids(*voters), ids(*learners)),
        ids(*wanted),
        {ReplicaId(replica): lag for replica, lag in lags.items()},
        LAG_MAX,
    )
    if next_voters is None or next_learners is None:
        assert step is None
    else:
        assert step == Members(ids(*next_voters), ids(*next_learners))


some_ids = st.frozensets(st.integers(1, 8).map(ReplicaId), min_size=1, max_size=5)


@given(some_ids, some_ids, some_ids, st.data())
def test_who_votes_was_there_and_had_caught_up_and_nobody_goes_too_early(
    voters: frozenset[ReplicaId],
    learners: frozenset[ReplicaId],
    wanted: frozenset[ReplicaId],
    data: st.DataObject,
) -> None:
    members = Members(voters, learners - voters)
    lags = data.draw(
        st.dictionaries(st.sampled_from(sorted(voters | learners)), st.integers(0, 2 * LAG_MAX))
    )
    step = membership_step(members, wanted, lags, LAG_MAX)
    if step is None:
        return
    assert step != members
    assert not step.voters & step.learners
    for promoted in step.voters - voters:
        assert promoted in members.learners
        assert promoted in wanted
        assert lags[promoted] <= LAG_MAX
    assert step.learners <= wanted
    assert voters & wanted <= step.voters
    assert len(step.voters) >= min(len(voters), len(wanted))


@given(some_ids, some_ids, some_ids)
def test_once_all_catch_up_the_wanted_ones_vote_within_two_steps(
    voters: frozenset[ReplicaId], learners: frozenset[ReplicaId], wanted: frozenset[ReplicaId]
) -> None:
    members = Members(voters, learners - voters)
    for _ in range(2):
        everybody = dict.fromkeys(sorted(members.voters | members.learners), 0)
        members = membership_step(members, wanted, everybody, LAG_MAX) or members
    assert members == Members(wanted)
    assert membership_step(members, wanted, {}, LAG_MAX) is None
