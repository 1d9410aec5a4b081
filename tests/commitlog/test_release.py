"""Segments that are released, spare files, and the bound on disk use."""

from __future__ import annotations

import errno

import pytest

from kvstore.commitlog.commit_log import CommitLog, CommitLogFailed, CommitLogOptions, Position
from kvstore.commitlog.file_names import spare_name
from kvstore.commitlog.segment_files import SegmentFiles
from kvstore.errors import (
    ConfigurationError,
    CorruptionError,
    InvariantViolation,
    Outcome,
    ResourceExhausted,
)
from kvstore.simulation.disk import MemoryFileSystem
from tests.commitlog.support import (
    FOLDER,
    OPTIONS,
    STICKY,
    STICKY_OPTIONS,
    Visited,
    bytes_of,
    flip,
    found,
    log_files,
    open_log,
    path_of,
    record,
)

FULL = "x" * 800
"""A record of this size fills a segment: each append begins the next one."""


def full(number: int) -> list[str]:
    return [f"{index:03}{FULL}" for index in range(number)]


def filled(
    segments: int, options: CommitLogOptions = OPTIONS
) -> tuple[MemoryFileSystem, CommitLog, list[Position]]:
    """A log of so many segments, each with one record."""
    files = MemoryFileSystem()
    log, _ = open_log(files, options)
    positions = [log.append([record(text)])[0] for text in full(segments)]
    assert [each.segment for each in positions] == list(range(1, segments + 1))
    return files, log, positions


# Released segments


def test_released_segments_go_when_the_next_one_is_begun() -> None:
    files, log, _ = filled(4)
    before = files.operations
    log.release(3)
    assert files.operations == before, "nothing is written"
    assert (log.oldest_segment, log.segments) == (1, 4)
    log.append([record("fits in segment 4")])
    assert log.oldest_segment == 1
    log.append([record(FULL)])
    assert (log.oldest_segment, log.active_segment, log.segments) == (3, 5, 3)
    assert log.bytes_on_disk == bytes_of(files)
    log.close()
    assert found(files) == [
        *map(record, full(4)[2:]),
        record("fits in segment 4"),
        record(FULL),
    ]


def test_the_segment_that_is_written_to_may_be_the_first_that_is_needed() -> None:
    _, log, _ = filled(3)
    log.release(log.active_segment)
    log.append([record(FULL)])
    assert (log.oldest_segment, log.active_segment) == (3, 4)
    with pytest.raises(InvariantViolation, match="segments before 5 released, but segment 4"):
        log.release(5)


def test_a_lower_number_than_before_changes_nothing() -> None:
    _, log, _ = filled(3)
    log.release(3)
    log.release(1)
    log.append([record(FULL)])
    assert log.oldest_segment == 3


def test_a_released_record_is_not_read_any_more_even_while_it_is_there() -> None:
    _, log, positions = filled(3)
    assert log.read(positions[0]) == full(1)[0].encode()
    log.release(2)
    for _ in range(2):
        with pytest.raises(InvariantViolation, match="all before 2 were released"):
            log.read(positions[0])
        assert log.read(positions[1]) == full(2)[1].encode()
        log.append([record(FULL)])


def test_the_files_of_released_segments_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    _, log, positions = filled(3)
    for position in positions:
        log.read(position)
    forgotten: list[int] = []
    forget = SegmentFiles.forget

    def noted(self: SegmentFiles, segment: int) -> None:
        forgotten.append(segment)
        forget(self, segment)

    monkeypatch.setattr(SegmentFiles, "forget", noted)
    log.release(3)
    log.append([record(FULL)])
    assert forgotten == [1, 2]
    assert log.read(positions[2]) == full(3)[2].encode()


def test_sticky_records_outlive_the_segments_that_they_were_written_to() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files, STICKY_OPTIONS)
    log.append([record("old", 1, STICKY), record("other", 2, STICKY)])
    log.append([record("new", 1, STICKY)])
    for text in full(3):
        log.append([record(text)])
    log.release(log.active_segment)
    log.append([record(FULL)])
    log.close()
    sticky = [record("new", 1, STICKY), record("other", 2, STICKY)]
    assert found(files, STICKY_OPTIONS) == [
        *sticky,
        record(full(3)[2]),
        *sticky,
        record(FULL),
    ]


def test_an_empty_sticky_record_ends_the_repeating() -> None:
    """For a group that left the node: else every segment would hold it for ever."""
    files = MemoryFileSystem()
    log, _ = open_log(files, STICKY_OPTIONS)
    log.append([record("stays", 1, STICKY), record("goes", 2, STICKY)])
    log.append([record("", 2, STICKY)])
    log.append([record(FULL)])
    log.append([record(FULL)])
    log.close()
    log, records = open_log(files, STICKY_OPTIONS)
    assert records[-2:] == [record("stays", 1, STICKY), record(FULL)]
    log.append([record(FULL)])
    log.close()
    assert found(files, STICKY_OPTIONS)[-2:] == [record("stays", 1, STICKY), record(FULL)]


def test_a_segment_that_came_back_after_it_was_released_is_no_part_of_the_log() -> None:
    """Its removal was not synced when the power went."""
    files, log, _ = filled(3)
    old = files.contents(path_of(1))
    log.release(3)
    log.append([record(FULL)])
    log.close()
    files.put(path_of(1), old)
    log, records = open_log(files)
    assert records == [record(full(3)[2]), record(FULL)]
    assert not files.exists(path_of(1))
    assert log.bytes_on_disk == bytes_of(files)


def test_a_damaged_segment_does_not_matter_once_it_is_released() -> None:
    files, log, _ = filled(3)
    log.close()
    log, _ = open_log(files)
    flip(files, path_of(1), 8 * 200)
    log.release(2)
    log.append([record(FULL)])
    log.close()
    assert found(files) == [record(full(3)[1]), record(full(3)[2]), record(FULL)]


# Spares


def test_a_released_segment_becomes_a_spare_and_then_a_segment_again() -> None:
    files, log, _ = filled(3)
    log.release(3)
    log.append([record(FULL)])
    assert (log.spares, log.segments) == (1, 2), "one of the two released ones is kept"
    assert log.bytes_on_disk == 3 * OPTIONS.segment_bytes
    spare = next(name for name in log_files(files) if name.endswith(".spare"))
    files.fail("create")
    files.fail("allocate")
    log.append([record(FULL)])
    assert not files.exists(f"{FOLDER}/{spare}")
    assert (log.spares, log.segments) == (0, 3)
    assert log.bytes_on_disk == bytes_of(files)
    log.close()
    assert found(files) == [record(full(3)[2]), record(FULL), record(FULL)]


@pytest.mark.parametrize("spares_max", [0, 1, 3])
def test_no_more_spares_than_wanted_are_kept(spares_max: int) -> None:
    options = CommitLogOptions(
        segment_bytes=1024, payload_bytes_max=4096, batch_bytes_max=16384, spares_max=spares_max
    )
    files, log, _ = filled(6, options)
    log.release(6)
    log.append([record(FULL)])
    assert log.spares == spares_max
    assert log.bytes_on_disk == bytes_of(files) == (2 + spares_max) * 1024
    log.close()
    files.put(f"{FOLDER}/{spare_name(77)}", bytes(1024))
    log, _ = open_log(files, options)
    assert log.spares == spares_max
    assert log.bytes_on_disk == bytes_of(files)


def test_only_files_of_a_segments_usual_size_are_kept() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("y" * 2000)])
    log.append([record(FULL)])
    log.release(2)
    log.append([record(FULL)])
    assert log.spares == 1
    log.release(3)
    log.append([record(FULL)])
    log.append([record(FULL)])
    assert (log.oldest_segment, log.spares, log.segments) == (3, 0, 4)
    assert log.bytes_on_disk == bytes_of(files) == 4 * OPTIONS.segment_bytes
    log.close()
    log, _ = open_log(files, CommitLogOptions(segment_bytes=2048, payload_bytes_max=4096))
    assert log.spares == 0


def test_a_segment_is_prepared_once_the_last_one_is_half_full() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.prepare()
    assert log.spares == 0
    log.append([record("x" * 500)])
    log.prepare()
    log.prepare()
    assert log.spares == 1
    assert log.bytes_on_disk == bytes_of(files) == 2 * OPTIONS.segment_bytes
    before = files.operations
    log.append([record(FULL)])
    assert files.operations - before == 8, (
        "segment: written, synced, named, folder synced; seal; batch: written, synced, marked"
    )
    log.close()
    assert found(files) == [record("x" * 500), record(FULL)]


def test_a_prepared_segment_is_as_good_as_a_new_one() -> None:
    """Not recycled: a start goes on in it."""
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("x" * 500)])
    log.prepare()
    log.append([record(FULL)])
    log.close()
    log, _ = open_log(files)
    assert log.recovery.cut is None
    assert log.append([record("goes on")])[0].segment == 2


def test_a_disk_without_room_for_a_spare_is_no_failure() -> None:
    files = MemoryFileSystem(capacity_bytes=OPTIONS.segment_bytes + 100)
    log, _ = open_log(files)
    log.append([record("x" * 600)])
    log.prepare()
    assert log.spares == 0
    assert log_files(files) == ["0000000000000001.segment"]
    log.append([record("small")])


def test_a_disk_that_fails_while_a_spare_is_made_stops_the_log() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("x" * 600)])
    files.fail("sync")
    with pytest.raises(CommitLogFailed):
        log.prepare()
    with pytest.raises(CommitLogFailed, match="takes no more"):
        log.append([record("a")])
    log.prepare()


def test_a_large_batch_beside_a_spare_gets_a_file_of_its_own() -> None:
    """The spare is of no use for it, and neither takes the other's name."""
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("x" * 600)])
    log.prepare()
    log.append([record("y" * 3000)])
    assert (log.spares, log.segments) == (1, 2)
    assert log.bytes_on_disk == bytes_of(files)
    log.append([record(FULL)])
    assert (log.spares, log.segments) == (0, 3)
    log.close()
    assert found(files) == [record("x" * 600), record("y" * 3000), record(FULL)]


# The bound on disk use

BOUND = 3 * 1024 + 5 * 1024
BOUNDED = CommitLogOptions(
    segment_bytes=1024,
    payload_bytes_max=4096,
    batch_bytes_max=5 * 1024,
    sticky_kinds=frozenset({STICKY}),
    disk_bytes_max=BOUND,
)


def test_beyond_the_bound_appends_are_refused_before_anything_is_written() -> None:
    files, log, _ = filled(7, BOUNDED)
    assert log.bytes_on_disk == BOUND - 1024, "the space of one segment is kept back"
    before = files.operations
    for _ in range(3):
        with pytest.raises(ResourceExhausted, match="7168 bytes of at most 8192") as refusal:
            log.append([record(FULL)])
        assert refusal.value.outcome is Outcome.DEFINITE
        log.prepare()
    assert log.spares == 1
    assert log.bytes_on_disk == bytes_of(files) == BOUND
    assert files.operations - before == 3, "but for the spare, in the space that is kept back"
    log.append([record("fits in the segment")])
    log.close()
    assert found(files, BOUNDED)[-1] == record("fits in the segment")


@pytest.mark.parametrize("is_prepared", [False, True])
def test_a_full_log_takes_appends_again_once_segments_are_released(is_prepared: bool) -> None:
    files, log, _ = filled(7, BOUNDED)
    if is_prepared:
        log.prepare()
    with pytest.raises(ResourceExhausted):
        log.append([record(FULL)])
    log.release(2)
    log.append([record("again" + FULL)])
    assert log.oldest_segment == 2
    assert log.bytes_on_disk == bytes_of(files) <= BOUND
    with pytest.raises(ResourceExhausted):
        log.append([record(FULL)])
    log.close()
    assert found(files, BOUNDED) == [*map(record, full(7)[1:]), record("again" + FULL)]


def test_a_large_batch_waits_for_small_room_to_be_made_first() -> None:
    """There is no room for it before old segments go, and these go only with a new one: a small
    segment lets them go."""
    files, log, _ = filled(7, BOUNDED)
    log.append([record("state", kind=STICKY)])
    log.release(7)
    log.append([record("y" * 4096)])
    assert log.segments == 3, "the one before, a small one, and the one of the batch"
    assert log.bytes_on_disk == bytes_of(files) <= BOUND
    log.close()
    state = record("state", kind=STICKY)
    assert found(files, BOUNDED) == [
        record(full(7)[6]),
        *[state] * 3,
        record("y" * 4096),
    ]


def test_disk_use_never_exceeds_the_bound_whatever_is_appended() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files, BOUNDED)
    refused = 0
    for number in range(400):
        size = (number * 977) % 4000
        try:
            log.append([record("x" * size, kind=STICKY if number % 50 == 0 else 1)])
        except ResourceExhausted:
            refused += 1
            log.release(max(log.active_segment - number % 3, 1))
        if number % 5 == 0:
            log.prepare()
        assert log.bytes_on_disk == bytes_of(files) <= BOUND
    assert 10 < refused < 300
    assert log.active_segment > 40


def test_a_bound_that_was_lowered_below_what_is_used_still_lets_segments_go() -> None:
    files, log, _ = filled(12, OPTIONS)
    log.close()
    log, _ = open_log(files, BOUNDED)
    with pytest.raises(ResourceExhausted):
        log.append([record(FULL)])
    log.release(12)
    log.append([record(FULL)])
    assert log.bytes_on_disk == bytes_of(files) <= BOUND


def test_a_bound_too_low_for_the_largest_batch_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="disk_bytes_max cannot be 8191"):
        CommitLogOptions(
            segment_bytes=1024,
            payload_bytes_max=4096,
            batch_bytes_max=5 * 1024,
            disk_bytes_max=BOUND - 1,
        )


# A full disk


@pytest.mark.parametrize("operation", ["create", "allocate", "sync"])
def test_on_a_full_disk_a_small_segment_lets_old_ones_go(operation: str) -> None:
    files, log, _ = filled(4)
    log.release(4)
    files.fail(operation, errno.ENOSPC)
    log.append([record(FULL)])
    assert (log.oldest_segment, log.active_segment) == (4, 6)
    assert log.bytes_on_disk == bytes_of(files)
    log.close()
    assert found(files) == [record(full(4)[3]), record(FULL)]


def test_with_a_spare_a_full_disk_goes_on_for_a_segment() -> None:
    files, log, _ = filled(2)
    log.prepare()
    files.capacity_bytes = bytes_of(files)
    log.append([record(FULL)])
    with pytest.raises(ResourceExhausted):
        log.append([record(FULL)])
    log.release(2)
    with pytest.raises(ResourceExhausted):
        log.append([record(FULL)])
    files.capacity_bytes += 200
    log.append([record(FULL)])
    assert log.oldest_segment == 2
    assert log.bytes_on_disk == bytes_of(files)


# A log that must be there


def test_a_log_that_must_exist_and_does_not_is_corruption() -> None:
    files = MemoryFileSystem()
    with pytest.raises(CorruptionError, match="the commit log is gone"):
        CommitLog.open(files, FOLDER, OPTIONS, Visited(), must_exist=True)
    assert log_files(files) == []
    open_log(files)[0].close()
    CommitLog.open(files, FOLDER, OPTIONS, Visited(), must_exist=True).close()


def test_what_was_released_goes_at_once_if_asked_for() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files, STICKY_OPTIONS)
    log.append([record("state", kind=STICKY)])
    for number in range(5):
        log.append([record(f"{number}" * 900)])
    log.append([record("waits")], sync=False)
    active = log.active_segment
    log.let_go()
    assert (log.segments, log.active_segment) == (active, active), "nothing was released"
    log.release(active)
    log.let_go()
    log.let_go()
    assert (log.segments, log.active_segment) == (2, active + 1), "once"
    assert log.spares == 1
    log.append([record("on")])
    assert log.bytes_on_disk == bytes_of(files)
    files.crash()
    texts = [each.payload.decode()[:5] for each in found(files, STICKY_OPTIONS)]
    assert texts[-2:] == ["state", "on"]
    assert "waits" in texts
    assert "00000" not in texts


@pytest.mark.parametrize("operation", ["create", "allocate", "write", "sync"])
def test_a_disk_without_any_room_lets_nothing_go_and_goes_on(operation: str) -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("x" * 900)])
    log.append([record("y" * 900)])
    log.release(2)
    files.fail(operation, errno.ENOSPC)
    log.let_go()
    assert log.segments == 2
    log.let_go()
    assert log.segments == 2
    assert log.oldest_segment == 2
