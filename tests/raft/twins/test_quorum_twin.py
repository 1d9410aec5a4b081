"""Majorities against their definition: some quorum, of all that there are, has it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import ReplicaId
from cluster.raft import Configuration
from cluster.raft.quorum import Tally, agreed, is_majority, tally
from tests.raft.twins import CASES
from tests.raft.twins.quorums import have_common_voters, quorums

IDS = [ReplicaId(i) for i in range(1, 8)]

VOTERS = st.frozensets(st.sampled_from(IDS), min_size=1, max_size=5)
ELECTORATES = st.one_of(
    st.builds(Configuration, VOTERS), st.builds(Configuration, VOTERS, outgoing=VOTERS)
)
REACHED = st.fixed_dictionaries({replica: st.integers(0, 5) for replica in IDS})
VOTES = st.dictionaries(st.sampled_from(IDS), st.booleans())


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
    assert have_common_voters(electorate, electorate)
