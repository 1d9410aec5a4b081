"""Majorities against their definition: some quorum, of all that there are, has it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import ReplicaId
from cluster.raft import Configuration
from cluster.raft.quorum import Tally, agreed, is_majority, tally
from tests.raft.twins import CASES

IDS = [ReplicaId(i) for i in range(1, 10)]

VOTERS = st.frozensets(st.sampled_from(IDS), min_size=1, max_size=6)
ELECTORATES = VOTERS.map(Configuration)
REACHED = st.fixed_dictionaries({replica: st.integers(0, 5) for replica in IDS})
VOTES = st.dictionaries(st.sampled_from(IDS), st.booleans())


def quorums(electorate: Configuration) -> Iterator[frozenset[ReplicaId]]:
    """Every set of voters that can decide."""
    for size in range(len(electorate.voters) + 1):
        for some in combinations(sorted(electorate.voters), size):
            if 2 * len(some) > len(electorate.voters):
                yield frozenset(some)


@given(ELECTORATES, REACHED)
@CASES
def test_agreed_is_the_most_that_a_whole_quorum_has_reached(
    electorate: Configuration, reached: dict[ReplicaId, int]
) -> None:
    expected = max(min(reached[one] for one in quorum) for quorum in quorums(electorate))
    assert agreed(electorate, reached.__getitem__) == expected


@given(ELECTORATES, st.frozensets(st.sampled_from(IDS)))
@CASES
def test_a_majority_is_present_if_a_whole_quorum_is(
    electorate: Configuration, present: frozenset[ReplicaId]
) -> None:
    expected = any(quorum <= present for quorum in quorums(electorate))
    assert is_majority(electorate, present.__contains__) is expected


@given(ELECTORATES, VOTES)
@CASES
def test_a_vote_is_won_with_a_quorum_and_lost_when_none_can_come_about(
    electorate: Configuration, votes: dict[ReplicaId, bool]
) -> None:
    refused = {one for one, vote in votes.items() if not vote}
    granted = {one for one, vote in votes.items() if vote}
    if any(quorum <= granted for quorum in quorums(electorate)):
        expected = Tally.WON
    elif all(quorum & refused for quorum in quorums(electorate)):
        expected = Tally.LOST
    else:
        expected = Tally.OPEN
    assert tally(electorate, votes) is expected


@given(ELECTORATES)
@CASES
def test_any_two_quorums_have_a_voter_in_common(electorate: Configuration) -> None:
    some = list(quorums(electorate))
    assert all(one & other for one in some for other in some)
