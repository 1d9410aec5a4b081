"""Appending, reading by position, segments and checkpoints."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kvstore.commitlog.commit_log import CommitLog, CommitLogOptions, Position, Record
from kvstore.commitlog.log_format import FRAME_HEADER_BYTES, frame_bytes
from kvstore.errors import ConfigurationError, CorruptionError, InvalidArgument
from kvstore.simulation.disk import MemoryFileSystem
from kvstore.system import SystemFileSystem
from tests.commitlog.support import (
    FOLDER,
    HEADER_END,
    OPTIONS,
    SEAL_BYTES,
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


def test_a_new_log_is_empty_and_one_segment_long() -> None:
    files = MemoryFileSystem()
    log, records = open_log(files)
    assert records == []
    assert (log.segments, log.bytes_on_disk) == (1, OPTIONS.segment_bytes)
    assert (log.recovery.segments, log.recovery.records, log.recovery.cut) == (0, 0, None)
    assert log_files(files) == ["0000000000000001.segment"]


def test_what_was_appended_is_found_in_order() -> None:
    batches = [[record("a"), record("b", group=7, kind=255)], [record("")], [record("c" * 100)]]
    files, _ = written(*batches)
    assert found(files) == [each for batch in batches for each in batch]


def test_groups_and_kinds_keep_their_whole_range() -> None:
    records = [Record(0, 0, b"x"), Record((1 << 32) - 1, 255, b"y")]
    files, _ = written(records)
    assert found(files) == records


def test_one_append_is_one_write_one_sync_and_a_mark() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    before, syncs = files.operations, log.syncs
    log.append([record(str(number)) for number in range(10)])
    assert files.operations - before == 3
    assert log.syncs - syncs == 1


def test_an_append_without_sync_is_one_write() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    before = files.operations
    log.append([record("a")], sync=False)
    assert files.operations - before == 1
    log.append([])
    assert files.operations - before == 3, "an empty append syncs and marks what waits"
    log.append([])
    assert files.operations - before == 3, "and nothing when nothing waits"


def test_closing_syncs_what_waits() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("a")], sync=False)
    log.close()
    files.crash()
    assert found(files) == [record("a")]


def test_a_closed_log_neither_writes_nor_reads() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    (position,) = log.append([record("a")])
    log.close()
    log.close()
    with pytest.raises(Exception, match="takes no more"):
        log.append([record("b")])
    with pytest.raises(OSError, match="closed"):
        log.read(position)


def test_records_are_read_by_the_positions_that_append_and_visit_give() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    texts = [f"{number}" * number for number in range(60)]
    positions = [log.append([record(text)])[0] for text in texts]
    assert log.segments > 2
    assert [log.read(position).decode() for position in positions] == texts
    log.close()
    visited = Visited()
    log = CommitLog.open(files, FOLDER, OPTIONS, visited)
    assert visited.positions == positions
    assert [log.read(position).decode() for position in positions] == texts


def test_only_so_many_segments_are_open_for_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    files = MemoryFileSystem()
    options = CommitLogOptions(
        segment_bytes=256, payload_bytes_max=128, batch_bytes_max=512, open_files_max=2
    )
    log, _ = open_log(files, options)
    positions = [log.append([record("x" * 100)])[0] for _ in range(10)]
    assert log.segments == 10
    opened: list[str] = []
    closed: list[str] = []
    real_open = files.open

    def counting_open(path: str, *, create: bool = False) -> object:
        file = real_open(path, create=create)
        real_close = file.close
        opened.append(path)

        def close() -> None:
            closed.append(path)
            real_close()

        monkeypatch.setattr(file, "close", close)
        return file

    monkeypatch.setattr(files, "open", counting_open)
    for position in [*positions, positions[-1], positions[-2], positions[0]]:
        assert log.read(position) == b"x" * 100
        assert len(opened) - len(closed) <= 2
    assert len(opened) == 11, "the two read last were still open, the first was not"
    log.close()
    assert sorted(opened) == sorted(closed)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (Position(9, HEADER_END, 5), "no such segment"),
        (Position(1, HEADER_END, 4), "damage at byte 56"),
        (Position(1, HEADER_END + 8, 5), "damage at byte 64"),
        (Position(1, 1 << 20, 5), "damage at byte 1048576"),
    ],
)
def test_a_position_that_holds_no_such_record_is_corruption(change: Position, error: str) -> None:
    files, positions = written([record("hello")])
    assert positions == [[Position(1, HEADER_END, 5)]]
    log, _ = open_log(files)
    with pytest.raises(CorruptionError, match=error):
        log.read(change)


@pytest.mark.parametrize("length", [-1, 4097])
def test_a_position_beyond_the_limit_is_refused_before_anything_is_read(length: int) -> None:
    files, _ = written([record("hello")])
    log, _ = open_log(files)
    with pytest.raises(InvalidArgument, match=f"{length} bytes"):
        log.read(Position(1, HEADER_END, length))


def test_every_flipped_bit_of_a_record_is_noticed_by_read() -> None:
    files, positions = written([record("hello")])
    log, _ = open_log(files)
    start = positions[0][0].offset * 8
    for bit in range(start, start + (FRAME_HEADER_BYTES + 5) * 8):
        flip(files, path_of(1), bit)
        with pytest.raises(CorruptionError, match=r"0001\.segment: damage at byte 56"):
            log.read(positions[0][0])
        flip(files, path_of(1), bit)
    assert log.read(positions[0][0]) == b"hello"


def test_reading_goes_on_while_another_thread_appends(tmp_path: Path) -> None:
    options = CommitLogOptions(
        segment_bytes=1024, payload_bytes_max=4096, batch_bytes_max=16384, open_files_max=2
    )
    log = CommitLog.open(SystemFileSystem(), str(tmp_path / "log"), options, Visited())
    positions: list[tuple[Position, bytes]] = []

    def write() -> None:
        for number in range(300):
            payload = b"%d" % number * 20
            positions.append((log.append([Record(1, 1, payload)], sync=False)[0], payload))

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    while writer.is_alive() or reads == 0:
        for position, payload in positions[:: max(1, len(positions) // 7)]:
            assert log.read(position) == payload
            reads += 1
    writer.join()
    assert log.segments > 10
    assert all(log.read(position) == payload for position, payload in positions)
    log.close()


# Limits


def test_a_record_beyond_the_limit_is_refused_and_the_log_goes_on() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    before = files.operations
    log.append([record("x" * 4096)])
    with pytest.raises(InvalidArgument, match="4097 bytes is above the limit of 4096"):
        log.append([record("a"), record("x" * 4097)])
    with pytest.raises(InvalidArgument, match="batch of 16512 bytes is above the limit of 16384"):
        log.append([record("x" * 4096)] * 4)
    for wrong in (record("a", group=-1), record("a", group=1 << 32), record("a", kind=256)):
        with pytest.raises(InvalidArgument, match="do not fit"):
            log.append([wrong])
    log.append([record("b")])
    assert files.operations > before
    assert found(files) == [record("x" * 4096), record("b")]


def test_a_lower_limit_still_reads_what_was_written_under_a_higher_one() -> None:
    files, positions = written([record("x" * 4096)])
    lower = CommitLogOptions(segment_bytes=1024, payload_bytes_max=100, batch_bytes_max=1000)
    log, records = open_log(files, lower)
    assert records == [record("x" * 4096)]
    assert log.read(positions[0][0]) == b"x" * 4096
    with pytest.raises(InvalidArgument, match="above the limit of 100"):
        log.append([record("x" * 101)])
    log.append([record("x" * 100)])
    assert found(files) == [record("x" * 4096), record("x" * 100)]


def test_a_sticky_record_above_a_lower_limit_is_still_repeated() -> None:
    large = record("s" * 2000, kind=STICKY)
    files, _ = written([large], options=STICKY_OPTIONS)
    lower = CommitLogOptions(
        segment_bytes=1024,
        payload_bytes_max=900,
        batch_bytes_max=1000,
        sticky_kinds=frozenset({STICKY}),
    )
    for number in range(4):
        log, _ = open_log(files, lower)
        log.append([record(str(number) * 900)])
        log.close()
    records = found(files, lower)
    assert records.count(large) > 1
    assert [each.payload[:1] for each in records if each != large] == [b"0", b"1", b"2", b"3"]


def test_a_higher_limit_holds_at_once() -> None:
    files, _ = written([record("a")])
    higher = CommitLogOptions(segment_bytes=16384, payload_bytes_max=8192, batch_bytes_max=16384)
    log, _ = open_log(files, higher)
    log.append([record("x" * 8192)])
    assert found(files) == [record("a"), record("x" * 8192)]


@pytest.mark.parametrize(
    "options",
    [
        {"segment_bytes": 255},
        {"payload_bytes_max": 0},
        {"payload_bytes_max": (1 << 30) + 1, "batch_bytes_max": 1 << 31},
        {"payload_bytes_max": 100, "batch_bytes_max": 163},
        {"batch_bytes_max": (16 << 30) + 1},
        {"sticky_kinds": frozenset({256})},
        {"open_files_max": 0},
        {"salt": 1 << 64},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="commit log option"):
        CommitLogOptions(**options)  # type: ignore[arg-type]  # a table of keyword arguments


# Segments


def test_a_batch_that_does_not_fit_begins_a_new_segment() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    room = OPTIONS.segment_bytes - HEADER_END - SEAL_BYTES
    assert log.append([record("x" * (room - FRAME_HEADER_BYTES))])[0].segment == 1
    assert log.append([record("a")])[0] == Position(2, HEADER_END, 1)
    assert log.segments == 2
    assert log.bytes_on_disk == 2 * OPTIONS.segment_bytes


def test_a_batch_larger_than_a_segment_gets_one_of_its_own_size() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    batch = [record("x" * 1500), record("y" * 1500)]
    assert {position.segment for position in log.append(batch)} == {2}
    assert len(files.contents(path_of(2))) == HEADER_END + 2 * frame_bytes(1500) + SEAL_BYTES
    assert log.append([record("z")])[0].segment == 3
    assert len(files.contents(path_of(3))) == OPTIONS.segment_bytes
    assert log.bytes_on_disk == sum(len(files.contents(path_of(number))) for number in (1, 2, 3))
    assert found(files) == [*batch, record("z")]


def test_a_reopened_log_goes_on_in_its_last_segment() -> None:
    files, positions = written([record("a")], [record("b")])
    log, _ = open_log(files)
    assert log.segments == 1
    (position,) = log.append([record("c")])
    assert position.segment == 1
    assert position.offset == positions[1][0].offset + frame_bytes(1)
    assert found(files) == [record("a"), record("b"), record("c")]


def test_other_files_in_the_folder_are_left_alone() -> None:
    files, _ = written([record("a")])
    for name in ("notes", "1.segment", "000000000000000G.segment", "x.segment.new"):
        files.put(f"{FOLDER}/{name}", b"other")
    log, records = open_log(files)
    assert records == [record("a")]
    assert len(log_files(files)) == 5
    log.close()


# Checkpoints


def sticky(text: str, group: int = 1) -> Record:
    return record(text, group, STICKY)


def test_a_new_segment_begins_with_the_latest_sticky_records_visited_like_any_others() -> None:
    files, _ = written(
        [sticky("old"), sticky("other", group=2)],
        [sticky("new"), record("x" * 750)],
        [record("y" * 500)],
        options=STICKY_OPTIONS,
    )
    assert found(files, STICKY_OPTIONS) == [
        sticky("old"),
        sticky("other", group=2),
        sticky("new"),
        record("x" * 750),
        sticky("new"),
        sticky("other", group=2),
        record("y" * 500),
    ]


def test_sticky_records_are_known_again_after_a_restart() -> None:
    files, _ = written([sticky("kept"), record("x" * 800)], options=STICKY_OPTIONS)
    log, _ = open_log(files, STICKY_OPTIONS)
    log.append([record("y" * 900)])
    log.close()
    assert found(files, STICKY_OPTIONS)[-2:] == [sticky("kept"), record("y" * 900)]


def test_a_batch_that_begins_a_segment_is_not_in_its_checkpoint() -> None:
    files, _ = written(
        [sticky("old"), record("x" * 800)],
        [sticky("new"), record("y" * 500)],
        options=STICKY_OPTIONS,
    )
    assert found(files, STICKY_OPTIONS)[2:] == [sticky("old"), sticky("new"), record("y" * 500)]


def test_a_segment_is_made_large_enough_for_checkpoint_and_batch() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files, STICKY_OPTIONS)
    many = [sticky("s" * 100, group) for group in range(20)]
    log.append(many)
    log.append([record("x")])
    assert log.segments == 3
    frames = 20 * frame_bytes(100) + frame_bytes(1)
    assert len(files.contents(path_of(3))) == HEADER_END + frames + SEAL_BYTES
    assert found(files, STICKY_OPTIONS) == [*many, *many, record("x")]
