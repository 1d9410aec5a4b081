"""Disks that fail, and disks that are full."""

from __future__ import annotations

import contextlib
import errno
from random import Random

import pytest

from kvstore.commitlog.commit_log import CommitLog, CommitLogFailed, CommitLogOptions
from kvstore.errors import Outcome, ResourceExhausted
from kvstore.simulation.disk import MemoryFileSystem
from tests.commitlog.support import (
    FOLDER,
    OPTIONS,
    STICKY,
    STICKY_OPTIONS,
    Visited,
    flip,
    found,
    log_files,
    open_log,
    path_of,
    record,
    written,
)

LARGE = [record("x" * 900)]
"""Needs a new segment once anything of that size is there."""


@pytest.mark.parametrize(
    ("operation", "error"), [("write", errno.EIO), ("sync", errno.EIO), ("sync", errno.ENOSPC)]
)
def test_after_a_failed_write_or_sync_every_append_fails_at_once(
    operation: str, error: int
) -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    (position,) = log.append([record("before")])
    files.fail(operation, error)
    with pytest.raises(CommitLogFailed, match="failed") as failure:
        log.append([record("fails")])
    assert failure.value.outcome is Outcome.UNKNOWN
    assert isinstance(failure.value.__cause__, OSError)
    before = files.operations
    for sync in (True, False):
        with pytest.raises(CommitLogFailed, match="takes no more"):
            log.append([record("after")], sync=sync)
    with pytest.raises(CommitLogFailed, match="takes no more"):
        log.append([])
    log.close()
    assert files.operations == before, "nothing was tried again, not even by close"
    assert found(files)[:1] == [record("before")]
    assert position.segment == 1


def test_a_failed_log_can_still_be_read() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    (position,) = log.append([record("before")])
    files.fail("sync")
    with pytest.raises(CommitLogFailed):
        log.append([record("fails")])
    assert log.read(position) == b"before"


@pytest.mark.parametrize(
    "operation", ["create", "allocate", "write", "sync", "rename", "sync_folder"]
)
def test_a_new_segment_that_fails_fails_the_log(operation: str) -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append(LARGE)
    files.fail(operation)
    with pytest.raises(CommitLogFailed):
        log.append(LARGE)
    with pytest.raises(CommitLogFailed, match="takes no more"):
        log.append([record("small")])
    files.crash()
    assert found(files) == LARGE


def test_a_batch_that_was_not_synced_fails_the_log_when_its_segment_ends() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append(LARGE, sync=False)
    files.fail("sync")
    with pytest.raises(CommitLogFailed):
        log.append(LARGE)
    assert log.segments == 1


def test_a_failed_sync_and_a_restart_do_not_make_lost_bytes_look_safe() -> None:
    """The system still reads what the disk never got, and calls it clean. Recovery finds it, and
    so must put it on stable storage itself before anybody relies on it."""
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("before")])
    log.append([record("waits")], sync=False)
    files.fail("sync")
    with pytest.raises(CommitLogFailed):
        log.append([record("not known")])
    files.restart()
    log, records = open_log(files)
    assert records == [record("before"), record("waits"), record("not known")]
    files.crash()
    assert found(files) == records


def test_a_segment_that_was_named_right_before_the_process_died_is_named_for_good() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append(LARGE)
    files.fail("sync_folder")
    with pytest.raises(CommitLogFailed):
        log.append(LARGE)
    files.restart()
    log, _ = open_log(files)
    assert log.segments == 2
    log.append([record("in the second")])
    files.crash()
    assert found(files) == [*LARGE, record("in the second")]


@pytest.mark.parametrize("operation", ["create", "allocate", "write", "sync"])
def test_a_disk_without_room_for_a_segment_refuses_and_the_log_goes_on(operation: str) -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files, STICKY_OPTIONS)
    log.append([record("state", kind=STICKY), record("x" * 700)])
    log.append([record("waits")], sync=False)
    if operation != "allocate":
        # Else it were the sync of what waits, or its mark, that fails.
        log.append([])
    for _ in range(2):
        files.fail(operation, errno.ENOSPC)
        with pytest.raises(ResourceExhausted, match="no room for a log segment of") as failure:
            log.append(LARGE)
        assert failure.value.outcome is Outcome.DEFINITE
    log.append([record("small")])
    assert log.segments == 1
    assert log_files(files) == ["0000000000000001.segment"]
    log.append(LARGE)
    files.crash()
    state = record("state", kind=STICKY)
    assert found(files, STICKY_OPTIONS) == [
        state,
        record("x" * 700),
        record("waits"),
        record("small"),
        state,
        *LARGE,
    ]


def test_a_full_disk_is_only_noticed_when_a_segment_is_made() -> None:
    """Space is reserved: what fits in the segment fits on the disk."""
    files = MemoryFileSystem(capacity_bytes=OPTIONS.segment_bytes + 100)
    log, _ = open_log(files)
    large = [record("x" * 850)]
    log.append(large)
    with pytest.raises(ResourceExhausted):
        log.append(large)
    log.append([record("fits")])
    files.capacity_bytes = None
    log.append(large)
    assert found(files) == [*large, record("fits"), *large]


def test_a_write_without_room_leaves_the_log_as_it_was() -> None:
    """File systems that reserve nothing find it out in the middle of a batch."""
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("before")])
    log.append([record("waits")], sync=False)
    # The second goes to a new segment: what waits is synced before, and the mark says so.
    for writes_before in (0, 1):
        files.fail("write", errno.ENOSPC, after=writes_before)
        with pytest.raises(ResourceExhausted, match="no room") as failure:
            log.append([record("a"), record("b")])
        assert failure.value.outcome is Outcome.DEFINITE
        assert log.bytes_on_disk == sum(
            len(files.contents(f"{FOLDER}/{name}")) for name in log_files(files)
        )
    files.capacity_bytes = files.used_bytes
    with pytest.raises(ResourceExhausted):
        log.append([record("c")])
    files.capacity_bytes = None
    log.append([record("c"), record("d")])
    files.crash()
    assert found(files) == [record(text) for text in ("before", "waits", "c", "d")]


@pytest.mark.parametrize("seed", range(200))
def test_what_is_left_of_a_batch_without_room_never_mixes_with_a_later_one(seed: int) -> None:
    """The same batch number, the same place, the same lengths: and other records."""
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("before")])
    files.fail("write", errno.ENOSPC)
    with pytest.raises(ResourceExhausted):
        log.append([record(f"lost {n}") for n in range(4)])
    files.fail("sync", after=seed % 3)
    with contextlib.suppress(CommitLogFailed):
        log.append([record(f"kept {n}") for n in range(4)])
    files.crash(Random(seed))
    assert found(files) in (
        [record("before")],
        [record("before"), *(record(f"kept {n}") for n in range(4))],
    )


SHORT_OPTIONS = CommitLogOptions(
    segment_bytes=1 << 18, sticky_kinds=frozenset({STICKY}), spares_max=1
)


def test_in_want_of_room_for_a_plain_segment_a_short_one_is_made() -> None:
    """So that votes find a place: after a cut, the next batch has to begin a segment."""
    files = MemoryFileSystem()
    log, _ = open_log(files, SHORT_OPTIONS)
    log.append([record("vote 1", kind=STICKY)])
    files.capacity_bytes = files.used_bytes + (1 << 16) + 1024
    files.fail("write", errno.ENOSPC)
    with pytest.raises(ResourceExhausted):
        log.append([record("vote 2", kind=STICKY)])
    files.capacity_bytes = files.used_bytes + (1 << 16) + 1024
    log.append([record("vote 2", kind=STICKY)])
    for _ in range(100):
        log.append([record("vote 3", kind=STICKY)])
    assert log.segments == 2
    with pytest.raises(ResourceExhausted):
        log.append([record("x" * (1 << 16))])
    files.crash()
    assert found(files, SHORT_OPTIONS)[-1] == record("vote 3", kind=STICKY)


def has_room(log: CommitLog) -> bool:
    return log.has_room


def test_a_log_knows_that_it_runs_out_of_room_before_it_has() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    assert has_room(log)
    log.append([record("x" * 600)])
    assert not has_room(log), "more than half of the segment is used, and no other is ready"
    files.capacity_bytes = files.used_bytes
    log.prepare()
    assert not has_room(log)
    log.append([record("vote")])
    files.capacity_bytes = None
    log.prepare()
    assert has_room(log)


def test_a_torn_tail_is_cut_on_a_full_disk_too() -> None:
    files, positions = written([record("a")], [record("torn")])
    flip(files, path_of(1), 8 * positions[1][0].offset)
    files.capacity_bytes = OPTIONS.segment_bytes
    log, records = open_log(files)
    assert records == [record("a")]
    with pytest.raises(ResourceExhausted):
        log.append([record("b")])
    files.capacity_bytes = None
    log.append([record("b")])
    assert found(files) == [record("a"), record("b")]


def test_a_log_that_cannot_be_made_says_so() -> None:
    with pytest.raises(ResourceExhausted):
        open_log(MemoryFileSystem(capacity_bytes=100))


@pytest.mark.parametrize("operation", ["write", "sync", "sync_folder", "read"])
def test_a_start_on_a_failing_disk_fails_and_the_next_one_finds_everything(operation: str) -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("a")])
    log.close()
    files.restart()
    files.fail(operation)
    with pytest.raises(OSError, match="Input/output error"):
        CommitLog.open(files, FOLDER, OPTIONS, Visited())
    files.crash()
    assert found(files) == [record("a")]
