"""One vote in a term."""

from __future__ import annotations

import pytest

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.messages import Message, VoteRequest, VoteResponse
from kvstore.simulation.checkers.one_vote_per_term import OneVotePerTerm
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import GROUP, ONE, THREE, TWO, FakeNode


def grant(to: ReplicaId, term: int = 4, *, granted: bool = True, pre_vote: bool = False) -> Message:
    return VoteResponse(ONE, to, Term(term), granted, pre_vote)


def campaign(term: int = 4, *, pre_vote: bool = False) -> Message:
    return VoteRequest(ONE, THREE, Term(term), Index(0), Term(0), pre_vote)


def send(checker: OneVotePerTerm, *messages: Message) -> None:
    for message in messages:
        checker.on_send(FakeNode(ONE), message.to, [(GROUP, message)])


def test_a_vote_may_be_repeated_and_given_anew_in_another_term() -> None:
    send(OneVotePerTerm(), grant(TWO), grant(TWO), grant(THREE, 5), campaign(6), campaign(6))


def test_refusals_and_pre_votes_bind_nobody() -> None:
    send(
        OneVotePerTerm(),
        grant(TWO),
        grant(THREE, granted=False),
        grant(THREE, pre_vote=True),
        campaign(pre_vote=True),
    )


@pytest.mark.parametrize(
    "votes", [(grant(TWO), grant(THREE)), (grant(TWO), campaign()), (campaign(), grant(TWO))]
)
def test_two_votes_are_found(votes: tuple[Message, Message]) -> None:
    with pytest.raises(Violation, match="in term 4 of group 1"):
        send(OneVotePerTerm(), *votes)


def test_a_vote_that_differs_from_the_one_on_disk_is_found() -> None:
    checker, node = OneVotePerTerm(), FakeNode(ONE)
    node.commit_log.hold(4, TWO)
    checker.on_crash(node)
    checker.on_start(node)
    with pytest.raises(Violation, match="votes for 2 and for 3"):
        send(checker, grant(THREE))
