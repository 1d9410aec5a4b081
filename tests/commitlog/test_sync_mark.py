"""What a file beside the log says of it: damage to the last batches is told from a torn write."""

from __future__ import annotations

import contextlib
import errno
from random import Random

import pytest

from kvstore.commitlog.commit_log import CommitLog, CommitLogFailed
from kvstore.commitlog.sync_mark import MARK_NAME, decode_mark, encode_mark, read_mark
from kvstore.errors import CorruptionError
from kvstore.simulation.disk import MemoryFileSystem
from tests.commitlog.support import (
    FOLDER,
    OPTIONS,
    STICKY,
    STICKY_OPTIONS,
    Visited,
    flip,
    forget_mark,
    found,
    frame_end,
    open_log,
    path_of,
    record,
)

MARK = f"{FOLDER}/{MARK_NAME}"
BATCHES = [[record(f"{number}" * 10), record(f"{number}" * 20, 2)] for number in range(4)]


def killed(*, unsynced: bool = False) -> tuple[MemoryFileSystem, int, int]:
    """A log whose process was killed, and where its last batch begins and ends."""
    files = MemoryFileSystem()
    log, _ = open_log(files)
    for batch in BATCHES[:-1]:
        log.append(batch)
    positions = log.append(BATCHES[-1], sync=not unsynced)
    files.restart()
    return files, positions[0].offset, frame_end(positions[-1])


def is_refused(files: MemoryFileSystem) -> bool:
    try:
        found(files)
    except CorruptionError as problem:
        return "had been on stable storage up to batch 4" in str(problem)
    return False


def test_every_flipped_bit_in_the_last_batch_is_corruption() -> None:
    files, begins, ends = killed()
    harmless = 0
    for bit in range(8 * begins, 8 * ends):
        twin = files.copy()
        flip(twin, path_of(1), bit)
        if not is_refused(twin):
            harmless += 1
            assert found(twin) == [each for batch in BATCHES for each in batch]
    assert harmless == 8 * 10, "only padding: 6 and 4 bytes"


def test_a_cut_anywhere_in_what_was_synced_is_corruption() -> None:
    files, _, ends = killed()
    content = files.contents(path_of(1))
    for length in range(60, ends - 4):
        twin = files.copy()
        twin.replace(path_of(1), content[:length])
        assert is_refused(twin), length


def test_zeros_in_place_of_the_last_batch_are_corruption() -> None:
    files, begins, ends = killed()
    content = bytearray(files.contents(path_of(1)))
    content[begins:ends] = bytes(ends - begins)
    files.replace(path_of(1), bytes(content))
    assert is_refused(files)


def test_what_was_not_synced_may_be_torn() -> None:
    files, begins, _ = killed(unsynced=True)
    flip(files, path_of(1), 8 * begins)
    assert found(files) == [each for batch in BATCHES[:-1] for each in batch]


def test_damage_to_the_mark_is_no_damage_to_the_log() -> None:
    """It proves nothing then, and is made anew by the start."""
    files, _, _ = killed()
    for bit in range(8 * len(files.contents(MARK))):
        twin = files.copy()
        flip(twin, MARK, bit)
        assert read_mark(twin, FOLDER) == 0
        log, records = open_log(twin)
        assert records == [each for batch in BATCHES for each in batch]
        assert read_mark(twin, FOLDER) == 4
        log.append([record("on")])
        assert read_mark(twin, FOLDER) == 5


@pytest.mark.parametrize("content", [b"", b"kvsm", encode_mark(9) + b"x", bytes(16)])
def test_bytes_that_are_no_mark_prove_nothing(content: bytes) -> None:
    assert decode_mark(content) == 0
    assert decode_mark(encode_mark(9)) == 9


def test_a_lost_mark_is_made_anew() -> None:
    files, _, _ = killed()
    forget_mark(files)
    open_log(files)
    assert read_mark(files, FOLDER) == 4


def test_the_loss_of_the_newest_segment_is_noticed_without_a_seal() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files, STICKY_OPTIONS)
    log.append([record("state", kind=STICKY)])
    (last,) = log.append([record("x" * 700)])
    log.append([record("y" * 700)])
    assert log.active_segment == 2
    files.restart()
    files.remove(path_of(2))
    content = bytearray(files.contents(path_of(1)))
    seal = frame_end(last)
    content[seal : seal + 32] = bytes(32)
    files.replace(path_of(1), bytes(content))
    with pytest.raises(CorruptionError, match="up to batch 4, as the file synced shows"):
        open_log(files, STICKY_OPTIONS)


def test_the_loss_of_all_segments_is_noticed() -> None:
    files, _, _ = killed()
    files.remove(path_of(1))
    with pytest.raises(CorruptionError, match="the commit log is gone"):
        CommitLog.open(files, FOLDER, OPTIONS, Visited())


def test_the_mark_is_never_ahead_of_the_disk() -> None:
    """Whatever a power loss leaves of it: no log is refused for a torn write."""
    for seed in range(300):
        random = Random(seed)
        files = MemoryFileSystem()
        log, _ = open_log(files)
        files.fail_all_after(random.randrange(40))
        with contextlib.suppress(CommitLogFailed):
            for number in range(12):
                text = f"{number}" * random.randrange(1, 120)
                log.append([record(text)], sync=random.random() < 0.7)
        files.crash(random)
        log, _ = open_log(files)
        log.append([record("on")])


def test_a_disk_without_room_for_the_mark_is_no_failure() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append(BATCHES[0])
    files.fail("write", errno.ENOSPC, after=1)
    log.append(BATCHES[1])
    assert read_mark(files, FOLDER) == 0, "half of it was written"
    log.append(BATCHES[2])
    assert read_mark(files, FOLDER) == 3
    log.close()
    forget_mark(files)
    files.fail("create", errno.ENOSPC)
    again, records = open_log(files)
    assert len(records) == 6
    again.append(BATCHES[3])
