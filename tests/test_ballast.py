"""Room that a start gives up, and takes back as far as there is any."""

from __future__ import annotations

import errno

import pytest

from kvstore.ballast import BALLAST_NAME, Ballast
from kvstore.simulation.disk import MemoryFileSystem

SIZE = 1 << 20
PATH = f"/data/{BALLAST_NAME}"


@pytest.fixture
def files() -> MemoryFileSystem:
    files = MemoryFileSystem()
    files.make_folder("/data")
    return files


def test_it_keeps_room_and_gives_all_of_it_up(files: MemoryFileSystem) -> None:
    ballast = Ballast(files, "/data", SIZE)
    ballast.restore()
    assert files.used_bytes == SIZE
    again = Ballast(files, "/data", SIZE)
    again.give_up()
    assert files.used_bytes == 0


@pytest.mark.parametrize(
    ("room", "kept"),
    [(SIZE, SIZE), (SIZE - 1, SIZE // 2), (SIZE // 3, SIZE // 4), (1 << 16, 1 << 16), (1000, 0)],
)
def test_with_little_room_it_is_halved_and_made_whole_later(
    files: MemoryFileSystem, room: int, kept: int
) -> None:
    files.capacity_bytes = room
    ballast = Ballast(files, "/data", SIZE)
    ballast.restore()
    assert files.used_bytes == kept
    assert files.exists(PATH) is bool(kept)
    assert ballast.is_whole is (kept == SIZE)
    files.capacity_bytes = None
    ballast.restore()
    assert files.used_bytes == SIZE


def test_without_a_size_there_is_none(files: MemoryFileSystem) -> None:
    ballast = Ballast(files, "/data", 1000)
    ballast.restore()
    assert ballast.is_whole
    assert not files.exists(PATH)


def test_a_disk_that_fails_is_no_lack_of_room(files: MemoryFileSystem) -> None:
    files.fail("allocate", errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        Ballast(files, "/data", SIZE).restore()
