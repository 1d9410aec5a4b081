"""Log matching."""

from __future__ import annotations

import pytest

from cluster.ids import Index, Term
from cluster.raft import Configuration
from cluster.raft.messages import AppendRequest
from kvstore.simulation.checkers.log_matching import LogMatching
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import (
    GROUP,
    ONE,
    TWO,
    FakeNode,
    Observed,
    entry,
)


def test_logs_may_differ_in_entries_of_different_terms() -> None:
    checker = LogMatching()
    checker.on_change(Observed(ONE).change(log=[entry(1, 1, b"a"), entry(2, 1, b"b")]))
    checker.on_change(Observed(TWO).change(log=[entry(1, 1, b"a"), entry(2, 2, b"c")]))


def test_an_entry_that_differs_in_two_logs_is_found() -> None:
    checker = LogMatching()
    checker.on_change(Observed(ONE).change(log=[entry(1, 1, b"a")]))
    with pytest.raises(Violation, match="two entries 1 of term 1 differ: one is in group 1 on"):
        checker.on_change(Observed(TWO).change(log=[entry(1, 1, b"b")]))


def test_the_same_entry_behind_different_ones_is_found() -> None:
    checker = LogMatching()
    checker.on_change(Observed(ONE).change(log=[entry(1, 1), entry(2, 3)]))
    with pytest.raises(Violation, match="two entries 2 of term 3 follow entries of different"):
        checker.on_change(Observed(TWO).change(log=[entry(1, 2), entry(2, 3)]))


def test_an_entry_that_is_sent_otherwise_than_it_stands_in_a_log_is_found() -> None:
    checker = LogMatching()
    checker.on_change(Observed(ONE).change(log=[entry(1, 1, b"a")]))
    request = AppendRequest(ONE, TWO, Term(1), Index(0), Term(0), Index(0), (entry(1, 1, b"b"),))
    with pytest.raises(Violation, match="sent by replica 1"):
        checker.on_send(FakeNode(ONE), TWO, [(GROUP, request)])


def test_one_that_is_alone_may_live_through_a_term_again() -> None:
    checker = LogMatching()
    for data in (b"a", b"b"):
        alone = Observed(ONE)
        alone.replica.core.configuration = Configuration(frozenset({ONE}))
        checker.on_change(alone.change(log=[entry(1, 1, data)]))
