"""Old bytes never count: recycled files, zeros, sectors out of order, foreign and missing files."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from kvstore.commitlog.commit_log import CommitLog, CommitLogOptions, Position, Record
from kvstore.commitlog.file_names import spare_name
from kvstore.commitlog.log_format import (
    FRAME_HEADER_BYTES,
    SegmentHeader,
    decode_segment_header,
    encode_batch,
    encode_segment_header,
)
from kvstore.errors import CorruptionError
from kvstore.simulation.disk import MemoryFileSystem
from tests.commitlog.support import (
    FOLDER,
    HEADER_END,
    OPTIONS,
    SEAL_BYTES,
    Visited,
    bytes_of,
    flip,
    forget_mark,
    found,
    frame_end,
    open_log,
    path_of,
    record,
    written,
)

BATCHES = [[record(f"{number}" * 10), record(f"{number}" * 20, 2)] for number in range(8)]
"""Each takes two frames of 48 and 56 bytes: nine would fill a segment."""


class RecycledLog:
    """A log that goes on in a segment that was another one, full of frames, before."""

    def __init__(self, *batches: list[Record]) -> None:
        self.files = MemoryFileSystem()
        log, _ = open_log(self.files)
        for batch in BATCHES:
            log.append(batch)
        log.append([record("x" * 900)])
        log.release(2)
        log.append([record("y" * 900)])
        assert log.spares == 1, "segment 1"
        self.positions = [log.append(batch) for batch in batches]
        self.segment = log.active_segment
        log.close()
        forget_mark(self.files)
        self.before = [record("x" * 900), record("y" * 900)]
        self.path = path_of(self.segment)
        header = decode_segment_header(self.files.contents(self.path), self.path, self.segment)
        assert header.is_recycled
        self.header = header

    def found(self) -> list[Record]:
        records = found(self.files)
        assert records[:2] == self.before
        return records[2:]


def records_of(batches: list[list[Record]]) -> list[Record]:
    return [each for batch in batches for each in batch]


# Recycled segments


def test_the_frames_of_the_segment_that_it_was_stand_behind_the_last_batch() -> None:
    """Guards the tests below: old frames are really there, where new ones would stand."""
    log = RecycledLog(*BATCHES[:3])
    end = frame_end(log.positions[-1][-1])
    content = log.files.contents(log.path)
    old = SegmentHeader(1, 1, 1, OPTIONS.salt, OPTIONS.payload_bytes_max)
    parts, _, _ = encode_batch(old, end, 4, 0, BATCHES[3])
    assert content[end : end + 104] == b"".join(parts)


@pytest.mark.parametrize("batches", range(1, 8))
def test_old_bytes_behind_the_last_batch_are_neither_read_nor_called_torn(batches: int) -> None:
    log = RecycledLog(*BATCHES[:batches])
    assert log.found() == records_of(BATCHES[:batches])
    again, _ = open_log(log.files)
    assert again.recovery.cut is None


def test_after_a_start_on_a_recycled_segment_the_log_goes_on_in_a_new_one() -> None:
    """What a torn write left there could not be told from what was there before."""
    log = RecycledLog(*BATCHES[:3])
    end = frame_end(log.positions[-1][-1])
    again, _ = open_log(log.files)
    assert again.bytes_on_disk == bytes_of(log.files)
    assert log.files.contents(log.path)[end:] == bytes(SEAL_BYTES)
    assert again.append([record("on")])[0].segment == log.segment + 1
    again.close()
    assert log.found() == [*records_of(BATCHES[:3]), record("on")]


def test_old_frames_do_not_count_even_if_their_checksums_do() -> None:
    """Two salts may give one checksum of segment and salt: then batch numbers tell."""
    log = RecycledLog(*BATCHES[:3])
    end = frame_end(log.positions[-1][-1])
    content = bytearray(log.files.contents(log.path))
    at = end
    for batch in (4, 5):
        parts, _, after = encode_batch(log.header, at, batch, 0, BATCHES[batch - 1])
        content[at:after] = b"".join(parts)
        at = after
    log.files.replace(log.path, bytes(content))
    assert log.header.first_batch > 5
    assert log.found() == records_of(BATCHES[:3])
    again, _ = open_log(log.files)
    assert again.recovery.cut is None


def test_a_torn_batch_on_recycled_bytes_is_cut_and_said() -> None:
    log = RecycledLog(*BATCHES[:4])
    torn = log.positions[3]
    flip(log.files, log.path, 8 * (torn[1].offset + FRAME_HEADER_BYTES))
    again, records = open_log(log.files)
    assert records[2:] == records_of(BATCHES[:3])
    assert again.recovery.cut is not None
    assert again.recovery.cut.offset == torn[0].offset
    written_bytes = torn[1].offset + FRAME_HEADER_BYTES + torn[1].length - torn[0].offset
    assert again.recovery.cut.bytes_cut == written_bytes, "old bytes are not counted"


def test_every_mix_of_new_and_old_sectors_has_the_right_outcome() -> None:
    """The last batch of three reached the disk in any subset of pieces of 8 bytes: it is whole, or
    it is not there. Nothing else is ever read."""
    log = RecycledLog(*BATCHES[:3])
    new = log.files.contents(log.path)
    start, end = log.positions[2][0].offset, frame_end(log.positions[2][1])
    old = SegmentHeader(1, 1, 1, OPTIONS.salt, OPTIONS.payload_bytes_max)
    old_bytes = b"".join(encode_batch(old, start, 3, 0, BATCHES[2])[0])
    random = Random(1)
    outcomes: Counter[int] = Counter()
    pieces = range(0, end - start, 8)
    subsets = [[random.random() < share for _ in pieces] for share in (0.1, 0.5, 0.9) * 100]
    for kept in [[True] * len(pieces), [False] * len(pieces), *subsets]:
        content = bytearray(new)
        for piece, is_new in zip(pieces, kept, strict=True):
            if not is_new:
                content[start + piece : start + piece + 8] = old_bytes[piece : piece + 8]
        log.files.replace(log.path, bytes(content))
        records = log.found()
        # Only what differs between old and new has to be new: here checksum and number.
        is_whole = bytes(content[start:end]) == new[start:end]
        assert records == records_of(BATCHES[: 3 if is_whole else 2])
        outcomes[len(records)] += 1
    assert min(outcomes[4], outcomes[6]) >= 1


def test_damage_before_the_tail_of_a_recycled_segment_is_corruption() -> None:
    log = RecycledLog(*BATCHES[:4])
    outcomes: Counter[str] = Counter()
    last = log.positions[3][0].offset
    for byte in range(HEADER_END, 1024):
        flip(log.files, log.path, 8 * byte + byte % 8)
        try:
            records = log.found()
        except CorruptionError:
            assert byte < last
            outcomes["corrupt"] += 1
        else:
            whole = 4 if is_unused(byte, log.positions) else 3
            assert records == records_of(BATCHES[:whole])
            outcomes[f"{whole} batches"] += 1
        flip(log.files, log.path, 8 * byte + byte % 8)
    assert outcomes["corrupt"] == last - HEADER_END - 3 * (frame_padding(10) + frame_padding(20))
    assert outcomes["3 batches"] == 2 * FRAME_HEADER_BYTES + 10 + 20


def frame_padding(length: int) -> int:
    return -length % 8


def is_unused(byte: int, positions: list[list[Position]]) -> bool:
    frames = [each for batch in positions for each in batch]
    if byte >= frame_end(frames[-1]):
        return True
    return any(
        each.offset + FRAME_HEADER_BYTES + each.length <= byte < frame_end(each) for each in frames
    )


def test_a_crash_while_a_recycled_segment_is_written_keeps_what_was_synced() -> None:
    """Torn writes over old frames, of many kinds; see also test_crashes."""
    kinds: Counter[int] = Counter()
    for seed in range(200):
        files = MemoryFileSystem()
        log, _ = open_log(files)
        for batch in BATCHES:
            log.append(batch)
        log.append([record("x" * 900)])
        log.release(2)
        log.append([record("y" * 900)])
        log.append(BATCHES[0])
        for batch in BATCHES[1:6]:
            log.append(batch, sync=False)
        files.crash(Random(seed))
        _, records = open_log(files)
        survivors = (len(records) - 2) // 2
        assert records[2:] == records_of(BATCHES[:survivors])
        assert survivors >= 1
        kinds[survivors] += 1
    assert len(kinds) >= 3


def test_a_recycled_segment_cut_in_its_last_padding_lacks_nothing() -> None:
    log = RecycledLog(*BATCHES[:3])
    last = log.positions[2][1]
    content = log.files.contents(log.path)
    log.files.replace(log.path, content[: last.offset + FRAME_HEADER_BYTES + last.length + 1])
    again, records = open_log(log.files)
    assert records[2:] == records_of(BATCHES[:3])
    assert again.recovery.cut is None
    again.append([record("on")])
    again.close()
    assert log.found() == [*records_of(BATCHES[:3]), record("on")]


# Zeros


@pytest.mark.parametrize("batch", range(3))
def test_zeros_instead_of_a_batch_are_a_torn_tail_only_at_the_end(batch: int) -> None:
    files, positions = written(*BATCHES[:3])
    content = bytearray(files.contents(path_of(1)))
    start, end = positions[batch][0].offset, frame_end(positions[batch][1])
    content[start:end] = bytes(end - start)
    files.replace(path_of(1), bytes(content))
    if batch == 2:
        assert found(files) == records_of(BATCHES[:2])
    else:
        with pytest.raises(CorruptionError, match=f"damage at byte {start}"):
            open_log(files)


def test_zeros_to_the_end_of_the_file_from_any_place_leave_whole_batches() -> None:
    log = RecycledLog(*BATCHES[:3])
    content = log.files.contents(log.path)
    ends = [
        max(each.offset + FRAME_HEADER_BYTES + each.length for each in batch)
        for batch in log.positions
    ]
    for cut in range(HEADER_END, len(content), 5):
        log.files.replace(log.path, content[:cut] + bytes(len(content) - cut))
        assert log.found() == records_of(BATCHES[: sum(end <= cut for end in ends)])


# Sectors that reached the disk in another order, or in another place


def test_the_sectors_of_a_log_in_any_other_order_are_never_read_as_records() -> None:
    options = CommitLogOptions(
        segment_bytes=4096, payload_bytes_max=4096, batch_bytes_max=16384, salt=5
    )
    batches = [[record(f"{number:02}" * (number % 60))] for number in range(40)]
    files, _ = written(*batches, options=options)
    content = files.contents(path_of(1))
    sectors = [content[at : at + 512] for at in range(0, 4096, 512)]
    used = sum(any(sector) for sector in sectors)
    assert used >= 6
    random = Random(2)
    outcomes: Counter[str] = Counter()
    for _ in range(300):
        moved = sectors.copy()
        for _ in range(random.randint(1, 3)):
            one, other = random.randrange(8), random.randrange(8)
            if random.random() < 0.5:
                moved[one], moved[other] = moved[other], moved[one]
            else:
                moved[one] = moved[other]
        files.replace(path_of(1), b"".join(moved))
        visited = Visited()
        try:
            CommitLog.open(files.copy(), FOLDER, options, visited).close()
            outcomes["opened"] += 1
        except CorruptionError:
            outcomes["corrupt"] += 1
        assert visited.records == records_of(batches)[: len(visited.records)]
        if moved[0] == sectors[0] and moved == sectors:
            assert len(visited.records) == len(batches)
    assert outcomes["corrupt"] > 100


# Files


def four_segments() -> MemoryFileSystem:
    files, _ = written(*[[record(letter * 900)] for letter in "abcd"])
    return files


@pytest.mark.parametrize("source", [1, 2, 3, 4])
@pytest.mark.parametrize("target", [1, 2, 3, 4, 5, 9])
def test_a_copy_of_a_segment_under_another_number_is_noticed(source: int, target: int) -> None:
    files = four_segments()
    content = files.contents(path_of(source))
    files.put(path_of(target), content)
    if source == target:
        assert len(found(files)) == 4
        return
    with pytest.raises(CorruptionError, match=f"the header at byte 0 is of segment {source}"):
        open_log(files)


def test_a_copy_of_a_segment_among_the_spares_is_only_space() -> None:
    files = four_segments()
    files.put(f"{FOLDER}/{spare_name(4)}", files.contents(path_of(4)))
    before = found(files)
    log, records = open_log(files)
    assert records == before
    assert log.spares == 1
    log.append([record("e" * 900)])
    log.close()
    assert found(files) == [*before, record("e" * 900)]


@pytest.mark.parametrize("segment", [1, 2, 3, 4])
def test_every_missing_segment_is_noticed_also_the_last(segment: int) -> None:
    """The one before the last says that the log went on."""
    files = four_segments()
    files.remove(path_of(segment))
    with pytest.raises(CorruptionError, match=f"{path_of(segment)}: the file is missing"):
        open_log(files)


def test_two_missing_segments_at_the_end_are_noticed() -> None:
    files = four_segments()
    files.remove(path_of(3))
    files.remove(path_of(4))
    with pytest.raises(CorruptionError, match=f"{path_of(3)}: the file is missing"):
        open_log(files)


def test_a_seal_is_no_promise_before_the_next_segment_is_there() -> None:
    """The power may go at any operation that begins a segment: none leaves a log that is missed."""
    for point in range(20):
        files = MemoryFileSystem()
        log, _ = open_log(files)
        log.append([record("a" * 900)])
        files.fail_all_after(point)
        try:
            log.append([record("b" * 900)])
            ended = True
        except Exception:
            ended = False
        files.crash(Random(point))
        assert found(files)[:1] == [record("a" * 900)]
        if ended:
            assert found(files) == [record("a" * 900), record("b" * 900)]
            break
    else:
        pytest.fail("the append never ended")


def test_a_seal_that_was_not_synced_is_not_needed() -> None:
    files, positions = written([record("a" * 900)], [record("b" * 900)])
    content = bytearray(files.contents(path_of(1)))
    end = frame_end(positions[0][0])
    assert any(content[end : end + SEAL_BYTES])
    for kept in range(SEAL_BYTES):
        twin = content.copy()
        twin[end + kept : end + SEAL_BYTES] = bytes(SEAL_BYTES - kept)
        files.replace(path_of(1), bytes(twin))
        assert len(found(files)) == 2


def test_a_log_of_an_older_segment_header_is_read_as_one_that_is_not_recycled() -> None:
    """Flags were zero before there were any."""
    files, _ = written([record("a")])
    header = decode_segment_header(files.contents(path_of(1)), "", 1)
    assert not header.is_recycled
    assert encode_segment_header(header)[-4:] == bytes(4)
