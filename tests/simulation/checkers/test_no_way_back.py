"""What only ever rises."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.ids import Index
from cluster.raft.ready import Role
from kvstore.simulation.checkers.no_way_back import NoWayBack
from kvstore.simulation.checkers.violation import Violation
from tests.simulation.checkers.observations import (
    ONE,
    THREE,
    TWO,
    FakeNode,
    Observed,
    entry,
    peer,
    status,
)

LOG = [entry(1, 1), entry(2, 1)]
AT_FIRST: dict[str, Any] = {"term": 2, "vote": TWO, "commit": 2, "applied": 1, "log": LOG}


@pytest.mark.parametrize(
    "later",
    [
        AT_FIRST | {"commit": 2, "applied": 2},
        AT_FIRST | {"term": 3, "vote": None},
        AT_FIRST | {"term": 3, "vote": THREE},
    ],
)
def test_what_goes_on_is_right(later: dict[str, Any]) -> None:
    checker, seen = NoWayBack(), Observed()
    checker.on_change(seen.change(**AT_FIRST))
    checker.on_change(seen.change(**later))


@pytest.mark.parametrize(
    ("later", "sentence"),
    [
        ({"term": 1}, "term went from 2 to 1"),
        ({"commit": 1}, "commit went from 2 to 1"),
        ({"applied": 0}, "applied went from 1 to 0"),
        ({"vote": None}, "its vote in term 2 went from 2 to None"),
        ({"vote": THREE}, "its vote in term 2 went from 2 to 3"),
    ],
)
def test_what_goes_back_within_a_life_is_found(later: dict[str, Any], sentence: str) -> None:
    checker, seen = NoWayBack(), Observed()
    checker.on_change(seen.change(**AT_FIRST))
    with pytest.raises(Violation, match=sentence):
        checker.on_change(seen.change(**(AT_FIRST | later)))


def crash_with(checker: NoWayBack, seen: Observed) -> None:
    node = FakeNode(seen.me)
    node.commit_log.hold(2, TWO)
    checker.on_crash(node)
    seen.restart()


@pytest.mark.parametrize(
    "later",
    [
        {"term": 2, "vote": TWO},
        {"term": 3, "vote": ONE},
        {"term": 2, "vote": TWO, "log": LOG[:1]},
    ],
)
def test_a_new_life_may_have_forgotten_what_was_not_on_disk(later: dict[str, Any]) -> None:
    checker, seen = NoWayBack(), Observed()
    checker.on_change(seen.change(**(AT_FIRST | {"term": 2})))
    crash_with(checker, seen)
    checker.on_change(seen.change(**later))


@pytest.mark.parametrize(
    ("later", "sentence"),
    [
        ({"term": 1}, "had term 2 on disk, and begins again in 1"),
        ({"term": 2, "vote": None}, "had its vote for 2 in term 2 on disk"),
        ({"term": 2, "vote": THREE}, "begins again with 3"),
    ],
)
def test_a_new_life_that_has_forgotten_what_was_on_disk_is_found(
    later: dict[str, Any], sentence: str
) -> None:
    checker, seen = NoWayBack(), Observed()
    crash_with(checker, seen)
    with pytest.raises(Violation, match=sentence):
        checker.on_change(seen.change(**later))


def lead(checker: NoWayBack, seen: Observed, term: int, match: int) -> None:
    seen.replica.core.told = status(peers=(peer(match),), last_index=Index(2))
    checker.on_change(seen.change(Role.LEADER, term=term, log=LOG))


def test_a_match_index_begins_anew_with_a_term() -> None:
    checker, seen = NoWayBack(), Observed()
    lead(checker, seen, 1, 2)
    lead(checker, seen, 2, 0)


def test_a_match_index_that_goes_back_is_found() -> None:
    checker, seen = NoWayBack(), Observed()
    lead(checker, seen, 1, 2)
    with pytest.raises(Violation, match="the match index of 2 went from 2 to 1"):
        lead(checker, seen, 1, 1)
