"""A disk that rots again and again is given up; long without damage, the count begins anew."""

from __future__ import annotations

from random import Random

import pytest

from cluster.ids import NodeId, ReplicaId
from kvstore.data_directory import DataDirectory
from kvstore.errors import ConfigurationError
from kvstore.rebuilds import REBUILDS_FORGOTTEN_S, RebuildWatch, check_rebuilds
from kvstore.simulation.disk import MemoryFileSystem

PATH = "/data/n1"
TICK_MS = 1000
MEMBERS = {ReplicaId(1): "n1:7001"}


def rebuilt(times: int) -> tuple[MemoryFileSystem, DataDirectory]:
    """A node's directory that was rebuilt so often in a row."""
    files = MemoryFileSystem()
    directory = DataDirectory.open(PATH, NodeId("n1"), files, 1, Random(1))
    for _ in range(times):
        directory.mark_damaged("a checksum is wrong")
        directory.begin_life("c1", ReplicaId(1), MEMBERS)
    return files, directory


@pytest.mark.parametrize(("times", "most"), [(0, 1), (2, 3), (5, 6)])
def test_below_the_bound_damaged_data_are_replaced(times: int, most: int) -> None:
    _, directory = rebuilt(times)
    directory.mark_damaged("a bit has changed")
    check_rebuilds(directory, most)


@pytest.mark.parametrize(("times", "most"), [(0, 0), (3, 3), (4, 3)])
def test_from_then_on_the_node_stays_out(times: int, most: int) -> None:
    files, directory = rebuilt(times)
    check_rebuilds(directory, most)  # nothing is wrong with it
    directory.mark_damaged("a bit has changed")
    before = files.contents(f"{PATH}/IDENTITY")
    with pytest.raises(ConfigurationError) as refused:
        check_rebuilds(directory, most)
    said = str(refused.value)
    assert "node n1 stays out" in said
    assert "(a bit has changed)" in said
    assert f"rebuilt {times} times before, without 6 hours" in said
    assert f"rebuilds-max is {most}" in said
    assert "--rejoin and an empty data directory on another disk" in said
    assert files.contents(f"{PATH}/IDENTITY") == before


def test_after_hours_without_damage_the_count_begins_anew() -> None:
    _, directory = rebuilt(3)
    watch = RebuildWatch(directory, TICK_MS)
    for _ in range(REBUILDS_FORGOTTEN_S - 1):
        watch.tick()
    assert directory.rebuilds == 3
    watch.tick()
    assert directory.rebuilds == 0


def test_a_restart_is_no_time_without_damage() -> None:
    _, directory = rebuilt(3)
    for _ in range(3):
        watch = RebuildWatch(directory, TICK_MS)
        for _ in range(REBUILDS_FORGOTTEN_S // 2):
            watch.tick()
    assert directory.rebuilds == 3


def test_nothing_is_written_where_nothing_was_counted() -> None:
    files, directory = rebuilt(0)
    operations = files.operations
    watch = RebuildWatch(directory, TICK_MS)
    for _ in range(2 * REBUILDS_FORGOTTEN_S):
        watch.tick()
    assert files.operations == operations
