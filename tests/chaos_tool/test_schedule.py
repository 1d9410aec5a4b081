"""What is broken and when: drawn from the seed, and from nothing else."""

from __future__ import annotations

from itertools import islice

import pytest

from kvstore.chaos.schedule import FaultKind, Round, kinds_named, schedule
from kvstore.errors import ConfigurationError

NODES = ("n1", "n2", "n3")
ALL = tuple(FaultKind)


def rounds(seed: int, count: int = 100, kinds: tuple[FaultKind, ...] = ALL) -> list[Round]:
    return list(islice(schedule(seed, kinds, NODES, 1.2), count))


def test_the_same_seed_gives_the_same_rounds_and_another_one_others() -> None:
    assert rounds(7) == rounds(7)
    assert rounds(7) != rounds(8)


def test_a_seed_with_the_same_kinds_means_the_same_from_release_to_release() -> None:
    first = rounds(1, 3, tuple(kind for kind in ALL if kind is not FaultKind.CLOCK))
    assert [(each.kind.value, each.nodes) for each in first] == [
        ("disk-full", ("n2", "n1", "n3")),
        ("leader-kill", ("n3", "n1", "n2")),
        ("rolling-restart", ("n1", "n3", "n2")),
    ]


def test_every_kind_comes_once_before_any_comes_again() -> None:
    drawn = [each.kind for each in rounds(3, 3 * len(ALL))]
    for first in range(0, len(drawn), len(ALL)):
        assert sorted(drawn[first : first + len(ALL)], key=ALL.index) == list(ALL)


def test_rounds_are_numbered_and_name_every_node_once() -> None:
    for number, each in enumerate(rounds(5), 1):
        assert each.number == number
        assert sorted(each.nodes) == list(NODES)
        assert each.hold_s >= 0
        assert each.calm_s > 0
        assert 0 <= each.strength < 1


def test_pauses_are_shorter_and_longer_than_an_election_timeout() -> None:
    holds_s = [each.hold_s for each in rounds(1, 60, (FaultKind.PAUSE,))]
    assert any(hold_s < 0.6 for hold_s in holds_s)
    assert any(hold_s > 1.2 for hold_s in holds_s)


def test_without_kinds_there_are_no_rounds() -> None:
    assert rounds(1, kinds=()) == []


def test_kinds_are_named_once_each_or_not_at_all() -> None:
    assert kinds_named("kill, pause,kill") == (FaultKind.KILL, FaultKind.PAUSE)
    assert kinds_named("none") == ()


def test_an_unknown_kind_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match="faults names 'flood'; it must be one of kill, "):
        kinds_named("kill,flood")
