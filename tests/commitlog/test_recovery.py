"""What a start makes of what it finds: a torn tail, damage, files that are missing or foreign."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from kvstore.commitlog.commit_log import CommitLog, CommitLogOptions, Position, Record
from kvstore.commitlog.file_names import spare_name
from kvstore.commitlog.log_format import (
    FRAME_HEADER_BYTES,
    SegmentHeader,
    crc32c,
    decode_segment_header,
    encode_batch,
    encode_segment_header,
    frame_bytes,
)
from kvstore.errors import ConfigurationError, CorruptionError
from kvstore.simulation.disk import MemoryFileSystem
from tests.commitlog.support import (
    FOLDER,
    HEADER_END,
    OPTIONS,
    SEAL_BYTES,
    Visited,
    flip,
    forget_mark,
    found,
    frame_end,
    log_files,
    open_log,
    path_of,
    record,
    written,
)

BATCHES = [
    [record("first")],
    [record("second"), record("third" * 4, group=2)],
    [record("fourth")],
    [record("fifth" * 3), record(""), record("seventh")],
]


def records_of(batches: list[list[Record]]) -> list[Record]:
    return [each for batch in batches for each in batch]


def header_of(files: MemoryFileSystem, segment: int) -> SegmentHeader:
    path = path_of(segment)
    return decode_segment_header(files.contents(path), path, segment)


def goes_on_after(files: MemoryFileSystem, before: list[Record]) -> None:
    """Opening finds `before`; what is appended then is found after it, at every later start."""
    log, records = open_log(files)
    assert records == before
    log.append([record("afterwards")])
    files.crash()
    for _ in range(2):
        log, records = open_log(files)
        assert records == [*before, record("afterwards")]
        assert log.recovery.cut is None
        files.crash()


# Cut short


@pytest.mark.parametrize("filled", [False, True], ids=["file cut", "zeros instead"])
def test_a_log_cut_at_any_byte_of_its_last_three_records_keeps_its_whole_batches(
    filled: bool,
) -> None:
    batches = [*BATCHES[:2], [record("alone")], [record("a" * 9)], [record("b"), record("c" * 30)]]
    files, positions = written(*batches)
    content = files.contents(path_of(1))
    whole = [
        max(each.offset + FRAME_HEADER_BYTES + each.length for each in batch) for batch in positions
    ]
    last_three = [position for batch in positions for position in batch][-3:]
    outcomes: Counter[int] = Counter()
    for cut in range(last_three[0].offset, frame_end(last_three[-1])):
        kept = content[:cut]
        files.replace(path_of(1), kept + bytes(len(content) - cut) if filled else kept)
        survivors = sum(end <= cut for end in whole)
        assert found(files) == records_of(batches[:survivors]), f"cut at {cut}"
        outcomes[survivors] += 1
    # The payload of the fourth batch ends 7 bytes of padding before its frame does.
    assert outcomes == {3: 32 + 9, 4: 7 + 40 + 62, 5: 2}


@pytest.mark.parametrize("filled", [False, True], ids=["file cut", "zeros instead"])
def test_a_log_goes_on_after_any_cut(filled: bool) -> None:
    files, positions = written(*BATCHES)
    content = files.contents(path_of(1))
    start = positions[3][0].offset
    for cut in range(start, frame_end(positions[3][-1]), 3):
        files, _ = written(*BATCHES)
        files.replace(path_of(1), content[:cut] + (bytes(len(content) - cut) if filled else b""))
        goes_on_after(files, records_of(BATCHES[:3]))


def test_a_torn_tail_is_cut_and_reported() -> None:
    files, positions = written(*BATCHES)
    last = positions[3][0]
    flip(files, path_of(1), 8 * (last.offset + FRAME_HEADER_BYTES))
    log, records = open_log(files)
    assert records == records_of(BATCHES[:3])
    assert log.recovery.records == 4
    assert log.recovery.segments == 1
    assert log.recovery.cut is not None
    assert log.recovery.cut.file == path_of(1)
    assert log.recovery.cut.offset == last.offset
    end = positions[3][2].offset + FRAME_HEADER_BYTES + positions[3][2].length
    assert log.recovery.cut.bytes_cut == end - last.offset


def test_after_a_cut_the_torn_space_is_given_back_and_the_log_goes_on_in_a_new_segment() -> None:
    files, positions = written(*BATCHES)
    flip(files, path_of(1), 8 * positions[3][0].offset)
    log, _ = open_log(files)
    left = positions[3][0].offset + SEAL_BYTES
    assert (log.segments, log.bytes_on_disk) == (1, left)
    assert files.contents(path_of(1))[positions[3][0].offset :] == bytes(SEAL_BYTES)
    assert log.append([record("a")]) == [Position(2, HEADER_END, 1)]
    assert log.bytes_on_disk == left + OPTIONS.segment_bytes
    assert header_of(files, 2).first_batch == 4


def test_a_cut_that_is_lost_is_made_again() -> None:
    """The truncation never reaches the disk: the same tail is there at the next start."""
    files, positions = written(*BATCHES)
    flip(files, path_of(1), 8 * positions[3][0].offset)
    for _ in range(3):
        log, records = open_log(files)
        assert records == records_of(BATCHES[:3])
        assert log.recovery.cut is not None
        files.crash()
    goes_on_after(files, records_of(BATCHES[:3]))


def test_a_batch_is_whole_or_not_there() -> None:
    """Its first two frames are right, its last is torn: all three are cut."""
    files, positions = written(*BATCHES)
    flip(files, path_of(1), 8 * positions[3][2].offset)
    assert found(files) == records_of(BATCHES[:3])


def test_a_tail_of_rubbish_without_a_frame_is_cut() -> None:
    files, positions = written(*BATCHES)
    content = bytearray(files.contents(path_of(1)))
    content[-100:] = b"rubbish!  " * 10
    files.replace(path_of(1), bytes(content))
    log, records = open_log(files)
    assert records == records_of(BATCHES)
    assert log.recovery.cut is not None
    assert log.recovery.cut.offset == frame_end(positions[3][2])
    assert log.recovery.cut.bytes_cut == len(content) - frame_end(positions[3][2])


# What was cut stays away


def test_what_was_cut_cannot_come_back_even_if_its_bytes_do() -> None:
    """The torn segment's bytes stand again as before the cut; the new segment overrules them."""
    files, positions = written(*BATCHES)
    path = path_of(1)
    whole = files.contents(path)
    flip(files, path, 8 * positions[3][2].offset)
    log, _ = open_log(files)
    log.append([record("instead")])
    log.close()
    files.replace(path, whole)
    assert found(files) == [*records_of(BATCHES[:3]), record("instead")]


def test_a_start_that_is_interrupted_after_a_cut_is_repeated() -> None:
    files, positions = written(*BATCHES)
    flip(files, path_of(1), 8 * positions[3][0].offset)
    total = operations_of_a_start(files.copy())
    assert total == 7, (
        "the folder's sync, a write and a sync of the last batch, the cut in two, the mark in two"
    )
    for point in range(total):
        twin = files.copy()
        twin.fail_all_after(point)
        with pytest.raises(OSError, match="Input/output error"):
            CommitLog.open(twin, FOLDER, OPTIONS, Visited())
        twin.crash()
        goes_on_after(twin, records_of(BATCHES[:3]))


def operations_of_a_start(files: MemoryFileSystem) -> int:
    before = files.operations
    open_log(files)
    return files.operations - before


def test_a_start_leaves_no_trace_where_nothing_was_torn() -> None:
    files, _ = written(*BATCHES)
    before = files.contents(path_of(1))
    log, _ = open_log(files)
    log.close()
    assert log_files(files) == ["0000000000000001.segment"]
    assert files.contents(path_of(1)) == before


# Damage


def outcome_of(files: MemoryFileSystem) -> tuple[str, list[Record]]:
    """ "whole", "cut" or "corrupt", and the records that were handed over."""
    visited = Visited()
    try:
        log = CommitLog.open(files.copy(), FOLDER, OPTIONS, visited)
    except CorruptionError as problem:
        named = re.search(r"\.segment: .*byte \d+", str(problem)) is not None
        return ("corrupt" if named else str(problem)), visited.records
    return ("cut" if log.recovery.cut else "whole"), visited.records


def is_padding(byte: int, positions: list[Position]) -> bool:
    return any(
        each.offset + FRAME_HEADER_BYTES + each.length <= byte < frame_end(each)
        for each in positions
    )


OUTCOMES = {
    # where the bit is                      what opening finds, and how many batches it hands over
    "segment header": ("corrupt", 0),
    "header or payload in batch 1": ("corrupt", 0),
    "header or payload in batch 2": ("corrupt", 1),
    "header or payload in batch 3": ("corrupt", 2),
    "header or payload in batch 4": ("cut", 3),
    "padding": ("whole", 4),
    "zeros behind batch 4": ("cut", 4),
}


def place_of(byte: int, positions: list[list[Position]]) -> str:
    if byte < HEADER_END:
        return "segment header"
    if is_padding(byte, [each for batch in positions for each in batch]):
        return "padding"
    for number, batch in enumerate(positions, 1):
        if byte < frame_end(batch[-1]):
            return f"header or payload in batch {number}"
    return f"zeros behind batch {len(positions)}"


def test_every_flipped_bit_of_a_log_has_the_right_outcome() -> None:
    files, positions = written(*BATCHES)
    met: Counter[str] = Counter()
    for bit in range(8 * OPTIONS.segment_bytes):
        flip(files, path_of(1), bit)
        outcome, records = outcome_of(files)
        flip(files, path_of(1), bit)
        place = place_of(bit // 8, positions)
        expected, batches = OUTCOMES[place]
        assert (outcome, records) == (expected, records_of(BATCHES[:batches])), f"bit {bit}"
        met[place] += 1
    assert met.keys() == OUTCOMES.keys()


def test_every_flipped_bit_before_a_later_segment_is_corruption_or_harmless() -> None:
    batches = [[record("a" * 100)], [record("b" * 98)], [record("c" * 90)]]
    options = CommitLogOptions(
        segment_bytes=336 + SEAL_BYTES, payload_bytes_max=4096, batch_bytes_max=16384, salt=1
    )
    files, positions = written(*batches, options=options)
    assert [each.segment for batch in positions for each in batch] == [1, 1, 2]
    end = frame_end(positions[1][0])
    for bit in range(8 * (336 + SEAL_BYTES)):
        byte = bit // 8
        flip(files, path_of(1), bit)
        outcome, records = outcome_of(files)
        flip(files, path_of(1), bit)
        if byte >= end or is_padding(byte, [positions[0][0], positions[1][0]]):
            assert (outcome, records) == ("whole", records_of(batches)), f"bit {bit}"
        else:
            assert outcome == "corrupt", f"bit {bit}"
            assert records == records_of(batches)[: len(records)]


def test_damage_before_the_tail_names_file_and_offset_and_is_not_cut() -> None:
    files, positions = written(*BATCHES)
    bad = positions[1][1].offset
    flip(files, path_of(1), 8 * (bad + FRAME_HEADER_BYTES + 3))
    before = files.contents(path_of(1))
    with pytest.raises(CorruptionError, match=rf"0001\.segment: damage at byte {bad}: batch 2"):
        open_log(files)
    assert files.contents(path_of(1)) == before


def test_a_batch_of_zeros_before_a_later_one_is_corruption() -> None:
    files, positions = written(*BATCHES)
    content = bytearray(files.contents(path_of(1)))
    start, end = positions[2][0].offset, frame_end(positions[2][0])
    content[start:end] = bytes(end - start)
    files.replace(path_of(1), bytes(content))
    with pytest.raises(CorruptionError, match=f"damage at byte {start}: batch 3"):
        open_log(files)


def test_the_header_of_a_torn_later_batch_is_proof_enough() -> None:
    """Two damaged batches: the later one may be torn, but it was begun after a sync."""
    files, positions = written(*BATCHES)
    flip(files, path_of(1), 8 * positions[2][0].offset)
    for torn in positions[3]:
        if torn.length:
            flip(files, path_of(1), 8 * (torn.offset + FRAME_HEADER_BYTES))
    with pytest.raises(CorruptionError, match="had been on stable storage"):
        open_log(files)


def test_a_later_batch_is_found_far_behind_the_damage() -> None:
    """Beyond the first piece that is read, and across a border between pieces."""
    options = CommitLogOptions(segment_bytes=5 << 20)
    for length in ((1 << 20) - 8 * step for step in range(8)):
        files, positions = written(
            [record("a")], [record("x" * length)], [record("b")], options=options
        )
        flip(files, path_of(1), 8 * positions[1][0].offset)
        with pytest.raises(CorruptionError, match="batch 2"):
            open_log(files, options)


def test_a_value_that_looks_like_a_later_batch_is_not_taken_for_one() -> None:
    """Log bytes inside a record, from a log with another salt: only the log's own frames count."""
    files, positions = written(BATCHES[0])
    offset = frame_end(positions[0][0]) + FRAME_HEADER_BYTES
    foreign = SegmentHeader(1, 1, 1, salt=OPTIONS.salt + 1, payload_bytes_max=4096)
    fake = b"".join(encode_batch(foreign, offset, 3, 0, [record("fake")])[0])
    for header, outcome in ((foreign, "cut"), (header_of(files, 1), "corrupt")):
        fake = b"".join(encode_batch(header, offset, 3, 0, [record("fake")])[0])
        twin = files.copy()
        log, _ = open_log(twin)
        (torn,) = log.append([Record(1, 1, fake)])
        assert torn.offset + FRAME_HEADER_BYTES == offset
        log.close()
        forget_mark(twin)
        flip(twin, path_of(1), 8 * torn.offset)
        assert outcome_of(twin)[0] == outcome, "the second fake knew the salt: the check can fail"


def test_batches_that_were_not_synced_prove_nothing_of_each_other() -> None:
    """Writes may reach the disk in any order: a later one does not show that an earlier one did."""
    files = MemoryFileSystem()
    log, _ = open_log(files)
    log.append([record("synced")])
    lost = [log.append([record(f"waiting {number}")], sync=False)[0] for number in range(3)]
    log.append([record("last")], sync=False)
    flip(files, path_of(1), 8 * lost[1].offset)
    goes_on_after(files, [record("synced"), record("waiting 0")])


def test_a_batch_after_a_sync_proves_all_that_was_written_before() -> None:
    files = MemoryFileSystem()
    log, _ = open_log(files)
    (first,) = log.append([record("not synced by itself")], sync=False)
    log.append([record("syncs both")])
    log.append([record("proves it")], sync=False)
    flip(files, path_of(1), 8 * first.offset)
    with pytest.raises(CorruptionError, match="batch 1 cannot be read"):
        open_log(files)


def test_after_so_many_appends_without_sync_one_syncs_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kvstore.commitlog.commit_log.UNSYNCED_MAX", 3)
    log, _ = open_log(MemoryFileSystem())
    syncs = log.syncs
    for _ in range(9):
        log.append([record("a")], sync=False)
    assert log.syncs - syncs == 3


# Segments


def three_segments() -> MemoryFileSystem:
    files, _ = written(*[[record(letter * 900)] for letter in "abc"])
    return files


@pytest.mark.parametrize("segment", [1, 2])
def test_a_missing_segment_is_named(segment: int) -> None:
    files = three_segments()
    files.remove(path_of(segment))
    with pytest.raises(CorruptionError, match=f"{path_of(segment)}: the file is missing"):
        open_log(files)


def test_segments_that_the_last_one_does_not_count_are_not_part_of_the_log() -> None:
    files = three_segments()
    header = header_of(files, 3)
    content = files.contents(path_of(3))
    later = SegmentHeader(3, 2, header.first_batch, header.salt, header.payload_bytes_max)
    files.replace(path_of(3), encode_segment_header(later) + content[HEADER_END:])
    assert found(files) == [record("b" * 900), record("c" * 900)]
    files.remove(path_of(1))
    assert found(files) == [record("b" * 900), record("c" * 900)]
    files.remove(path_of(2))
    with pytest.raises(CorruptionError, match="missing"):
        open_log(files)


def test_a_segment_under_another_name_is_noticed() -> None:
    files = three_segments()
    files.replace(path_of(2), files.contents(path_of(1)))
    with pytest.raises(CorruptionError, match="is of segment 1: the file was renamed"):
        open_log(files)


@pytest.mark.parametrize("segment", [1, 2, 3])
@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "cut short"),
        (b"kvstolog", "cut short"),
        (bytes(1024), "not a commit log segment"),
        (b"kvstolog" + bytes(1016), "header at byte 0 is damaged"),
    ],
)
def test_a_damaged_segment_header_is_corruption(segment: int, content: bytes, error: str) -> None:
    """Also of the last one: a segment gets its name only when its header is on stable storage."""
    files = three_segments()
    files.replace(path_of(segment), content)
    with pytest.raises(CorruptionError, match=f"{path_of(segment)}: .*{error}"):
        open_log(files)


@pytest.mark.parametrize("content", [b"", b"kvsto", bytes(1024), b"\xff" * 2000])
def test_a_segment_that_was_just_being_made_is_thrown_away(content: bytes) -> None:
    files = three_segments()
    unfinished = f"{FOLDER}/{spare_name(4)}"
    files.put(unfinished, content)
    goes_on_after(files, [record(letter * 900) for letter in "abc"])
    assert not files.exists(unfinished)


def as_newer_format(files: MemoryFileSystem) -> bytes:
    """Makes the header of segment 1 one of format 2; returns what the file holds then."""
    content = files.contents(path_of(1))
    newer = content[:8] + bytes(4) + b"\x02" + content[13:HEADER_END]
    newer = newer[:8] + crc32c(newer).to_bytes(4, "little") + newer[12:] + content[HEADER_END:]
    files.replace(path_of(1), newer)
    return newer


def test_a_newer_format_is_refused_and_nothing_is_touched() -> None:
    files, _ = written([record("a")])
    newer = as_newer_format(files)
    with pytest.raises(ConfigurationError, match="commit log format 2"):
        open_log(files)
    assert files.contents(path_of(1)) == newer


def test_batches_missing_at_a_segments_end_are_corruption() -> None:
    """Segment 1 is cut where a batch ends: only the next segment shows that one is missing."""
    files, positions = written([record("a")], [record("b" * 400)], [record("c" * 900)])
    assert positions[2][0].segment == 2
    files.replace(path_of(1), files.contents(path_of(1))[: positions[1][0].offset])
    with pytest.raises(CorruptionError, match=f"damage at byte {positions[1][0].offset}: batch 2"):
        open_log(files)


def test_what_the_visitor_raises_comes_through() -> None:
    files, _ = written(*BATCHES)

    def refuse(record: Record, position: Position) -> None:
        raise RuntimeError("not mine")

    with pytest.raises(RuntimeError, match="not mine"):
        CommitLog.open(files, FOLDER, OPTIONS, refuse)


def test_large_records_come_back_across_the_pieces_that_are_read() -> None:
    options = CommitLogOptions(segment_bytes=8 << 20)
    sizes = [0, 1, (1 << 20) - 33, 1 << 20, (1 << 20) + 1, 3 << 20, 5]
    batch = [Record(1, 1, bytes([index]) * size) for index, size in enumerate(sizes)]
    files, _ = written(batch, batch[::-1], options=options)
    log, records = open_log(files, options)
    assert log.segments == 2
    assert records == [*batch, *batch[::-1]]
    assert sum(frame_bytes(size) for size in sizes) < options.segment_bytes
