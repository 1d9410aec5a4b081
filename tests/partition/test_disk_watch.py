"""Disks that do not answer, and what a leader does about it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cluster.disk_watch import (
    DiskPatience,
    DiskState,
    DiskWatch,
    HandOver,
    StepDown,
    way_out,
)
from cluster.ids import ReplicaId

PATIENCE = DiskPatience(stuck_ticks=4, step_down_ticks=8, recovery_ticks=10)
QUICK, STUCK, SLOW = DiskState.QUICK, DiskState.STUCK, DiskState.SLOW
TWO, THREE = ReplicaId(2), ReplicaId(3)


def states(writes: Sequence[int | None]) -> list[DiskState]:
    watch = DiskWatch(PATIENCE)
    found = []
    for write in writes:
        watch.tick(write)
        found.append(watch.state)
    return found


def test_many_short_writes_are_quick_however_busy_the_disk_is() -> None:
    assert set(states([n // 4 for n in range(100)])) == {QUICK}


def test_a_write_that_lasts_is_stuck_and_the_disk_is_not_trusted_at_once_when_it_ends() -> None:
    found = states([1] * 7 + [None] * 12)
    assert found[:4] == [QUICK] * 4
    assert found[4:7] == [STUCK] * 3
    assert found[7:16] == [SLOW] * 9
    assert found[16:] == [QUICK] * 3


def test_another_write_that_lasts_begins_the_wait_anew() -> None:
    found = states([1] * 6 + [None] * 5 + [2] * 6 + [3] * 4 + [None] * 5)
    assert found[11:15] == [SLOW] * 4
    assert found[15:17] == [STUCK] * 2
    assert found[17:] == [SLOW] * 9


def test_how_long_the_write_has_lasted() -> None:
    watch = DiskWatch(PATIENCE)
    for write, lasted in ((None, 0), (None, 0), (1, 0), (1, 1), (1, 2), (2, 0), (None, 0)):
        watch.tick(write)
        assert watch.writing_ticks == lasted


@pytest.mark.parametrize(
    ("writing", "heirs", "attempt", "others", "expected"),
    [
        (4, [TWO, THREE], 0, True, HandOver(TWO)),
        (4, [TWO, THREE], 1, True, HandOver(THREE)),
        (4, [TWO, THREE], 2, True, HandOver(TWO)),
        (7, [TWO], 9, True, HandOver(TWO)),
        (8, [TWO], 9, True, StepDown()),
        (8, [], 0, True, StepDown()),
        (8, [TWO], 0, False, HandOver(TWO)),
        (8, [], 0, False, None),
        (4, [], 0, True, None),
        (0, [TWO], 0, True, HandOver(TWO)),
        (0, [], 0, True, None),
    ],
)
def test_the_way_out(
    writing: int,
    heirs: list[ReplicaId],
    attempt: int,
    others: bool,
    expected: HandOver | StepDown | None,
) -> None:
    assert expected == way_out(
        PATIENCE,
        writing_ticks=writing,
        heirs=heirs,
        attempt=attempt,
        others_can_elect=others,
    )


def test_with_default_settings_a_leader_is_gone_within_ten_seconds() -> None:
    patience = DiskPatience.of_elections(24)
    assert patience.step_down_ticks * 50 <= 10_000


@pytest.mark.parametrize("ticks", [(0, 1, 1), (2, 2, 2), (2, 3, 2)])
def test_a_patience_that_does_not_rise_is_refused(ticks: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="rise"):
        DiskPatience(*ticks)
