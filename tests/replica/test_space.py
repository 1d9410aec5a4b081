"""When a node is short of space, step by step."""

from __future__ import annotations

import pytest

from kvstore.replica.space import Space, SpaceWatch

RESERVE = 1000
WHERE = "the disk of node n1 at /data"
ENOUGH, SHORT, NONE = Space.ENOUGH, Space.SHORT, Space.NONE


@pytest.mark.parametrize(
    "steps",
    [
        [(5000, True, None, ENOUGH)],
        [(1000, True, None, ENOUGH), (999, True, None, SHORT)],
        [(500, True, None, SHORT), (499, True, None, NONE), (0, True, None, NONE)],
        [(999, True, None, SHORT), (1249, True, None, SHORT), (1250, True, None, ENOUGH)],
        [(499, True, None, NONE), (1249, True, None, SHORT), (1250, True, None, ENOUGH)],
        [(5000, False, None, SHORT), (5000, True, None, ENOUGH)],
        [(5000, True, "the engine", NONE), (5000, True, None, ENOUGH)],
        [(1249, True, None, ENOUGH), (1249, True, "the log", NONE), (1249, True, None, SHORT)],
    ],
)
def test_space_as_it_goes_and_comes(steps: list[tuple[int, bool, str | None, Space]]) -> None:
    watch = SpaceWatch(RESERVE, WHERE)
    assert watch.space is ENOUGH, "nothing is known yet"
    for free_bytes, log_has_room, refused_by, space in steps:
        watch.measured(free_bytes, log_has_room=log_has_room)
        watch.refused(refused_by)
        assert watch.space is space


def test_the_reason_names_what_is_missing() -> None:
    watch = SpaceWatch(RESERVE, WHERE)
    watch.measured(10, log_has_room=True)
    assert "10 bytes are free, of 1000 to be kept back" in watch.reason
    assert watch.reason.startswith("the disk of node n1 at /data is short of space: ")
    assert "make room" in watch.reason
    watch.measured(5000, log_has_room=False)
    assert "the commit log has no room for another segment" in watch.reason
    watch.refused("the engine")
    assert "the engine has no room" in watch.reason


def test_without_a_reserve_only_a_refusal_counts() -> None:
    watch = SpaceWatch(0, WHERE)
    watch.measured(0, log_has_room=True)
    assert watch.space is ENOUGH
    watch.refused("the commit log")
    assert watch.space is NONE
