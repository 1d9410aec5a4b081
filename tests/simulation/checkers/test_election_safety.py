"""Election safety."""

from __future__ import annotations

import pytest

from cluster.ids import Index, Term
from cluster.raft.messages import HeartbeatRequest, HeartbeatResponse
from cluster.raft.ready import Role
from kvstore.simulation.checkers.election_safety import ElectionSafety
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import GROUP, ONE, THREE, TWO, FakeNode, Observed


def test_terms_may_have_different_leaders() -> None:
    checker = ElectionSafety()
    checker.on_change(Observed(ONE).change(Role.LEADER, term=1))
    checker.on_change(Observed(ONE).change(Role.FOLLOWER, term=2))
    checker.on_change(Observed(TWO).change(Role.LEADER, term=2))
    checker.on_change(Observed(ONE).change(Role.LEADER, term=3))


def test_two_candidates_are_no_leaders() -> None:
    checker = ElectionSafety()
    checker.on_change(Observed(ONE).change(Role.CANDIDATE, term=1))
    checker.on_change(Observed(TWO).change(Role.CANDIDATE, term=1))


def test_two_leaders_of_a_term_are_found() -> None:
    checker = ElectionSafety()
    checker.on_change(Observed(ONE).change(Role.LEADER, term=4))
    with pytest.raises(Violation, match="replicas 1 and 2 both lead group 1 in term 4"):
        checker.on_change(Observed(TWO).change(Role.LEADER, term=4))


def test_one_that_only_speaks_as_a_leader_is_found() -> None:
    checker = ElectionSafety()
    checker.on_change(Observed(ONE).change(Role.LEADER, term=4))
    answer = HeartbeatResponse(TWO, ONE, Term(4))
    claim = HeartbeatRequest(TWO, THREE, Term(4), Index(0))
    checker.on_send(FakeNode(TWO), ONE, [(GROUP, answer)])
    with pytest.raises(Violation, match="election safety"):
        checker.on_send(FakeNode(TWO), THREE, [(GROUP, claim)])
