"""The bytes of headers and frames."""

from __future__ import annotations

from struct import pack, unpack_from

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.commitlog.log_format import (
    FORMAT_VERSION,
    FRAME_HEADER_BYTES,
    MAGIC,
    SEGMENT_HEADER_BYTES,
    FrameHeader,
    Record,
    SegmentHeader,
    crc32c,
    decode_frame_header,
    decode_segment_header,
    encode_batch,
    encode_segment_header,
    frame_bytes,
)
from kvstore.commitlog.log_reader import SegmentReader, words_between
from kvstore.errors import ConfigurationError, CorruptionError
from kvstore.simulation.disk import MemoryFileSystem

HEADER = SegmentHeader(
    segment=3, oldest_segment=1, first_batch=10, salt=77, payload_bytes_max=1 << 20
)
RECORDS = [Record(7, 2, b"hello"), Record(8, 255, b"")]


def test_the_documented_segment_header_is_what_is_written() -> None:
    data = encode_segment_header(HEADER)
    fields = pack("<IQQQQII", FORMAT_VERSION, 3, 1, 10, 77, 1 << 20, 0)
    crc = google_crc32c.value(MAGIC + bytes(4) + fields)
    assert data == b"kvstolog" + pack("<I", crc) + fields
    assert len(data) == SEGMENT_HEADER_BYTES == 56


def test_the_documented_frame_is_what_is_written() -> None:
    parts, _positions, end = encode_batch(HEADER, 56, 10, 3, RECORDS)
    data = b"".join(parts)
    fields = pack("<IIIQBBHI", google_crc32c.value(b"hello"), 5, 7, 10, 2, 0, 3, 1)
    crc = google_crc32c.value(pack("<QQ", 3, 77) + pack("<Q", 56) + fields)
    assert data[:40] == pack("<I", crc) + fields + b"hello" + bytes(3)
    assert len(data) == 40 + 32 == end - 56
    assert FRAME_HEADER_BYTES == 32


def test_a_segment_header_comes_back() -> None:
    assert decode_segment_header(encode_segment_header(HEADER), "file", 3) == HEADER


def test_frames_come_back() -> None:
    parts, positions, end = encode_batch(HEADER, 56, 10, 3, RECORDS)
    data = bytes(56) + b"".join(parts)
    assert len(data) == end
    first, second = (
        decode_frame_header(HEADER.seed, data, position.offset, position.offset)
        for position in positions
    )
    assert first == FrameHeader(crc32c(b"hello"), 5, 7, 10, 2, 3, 1)
    assert second == FrameHeader(0, 0, 8, 10, 255, 3, 0)
    assert first.synced_batch == 6


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda data: data[:55], "cut short"),
        (lambda data: b"", "cut short"),
        (lambda data: bytes(56), "not a commit log segment"),
        (lambda data: b"X" + data[1:], "not a commit log segment"),
        (lambda data: data[:20] + b"X" + data[21:], "header at byte 0 is damaged"),
        (lambda data: encode_segment_header(SegmentHeader(4, 1, 10, 77, 9)), "was renamed"),
    ],
)
def test_each_wrong_segment_header_has_an_error_of_its_own(change: object, error: str) -> None:
    assert callable(change)
    with pytest.raises(CorruptionError, match=f"^file: .*{error}"):
        decode_segment_header(change(encode_segment_header(HEADER)), "file", 3)


def test_a_newer_format_is_not_called_damage() -> None:
    data = encode_segment_header(HEADER)
    newer = data[:8] + bytes(4) + pack("<I", 2) + data[16:]
    newer = newer[:8] + pack("<I", crc32c(newer)) + newer[12:]
    with pytest.raises(ConfigurationError, match="format 2, and this release knows only 1: start"):
        decode_segment_header(newer, "file", 3)


def test_every_flipped_bit_of_a_segment_header_is_noticed() -> None:
    data = encode_segment_header(HEADER)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptionError):
            decode_segment_header(bytes(changed), "file", 3)


def test_a_frame_counts_only_in_its_place_segment_and_log() -> None:
    parts, _, _ = encode_batch(HEADER, 56, 10, 0, RECORDS)
    data = b"".join(parts)
    assert decode_frame_header(HEADER.seed, data, 0, 56) is not None
    assert decode_frame_header(HEADER.seed, data, 0, 64) is None
    for other in (SegmentHeader(4, 1, 10, 77, 1 << 20), SegmentHeader(3, 1, 10, 78, 1 << 20)):
        assert decode_frame_header(other.seed, data, 0, 56) is None


@settings(deadline=None)
@given(data=st.binary(max_size=200), at=st.integers(0, 210), offset=st.integers(0, 1 << 63))
def test_random_bytes_are_no_frame_and_no_error(data: bytes, at: int, offset: int) -> None:
    assert decode_frame_header(HEADER.seed, data, at, offset) is None


def test_zeros_are_no_frame_anywhere() -> None:
    assert all(
        decode_frame_header(HEADER.seed, bytes(32), 0, offset) is None
        for offset in range(0, 1 << 16, 8)
    )


@settings(deadline=None)
@given(data=st.binary(max_size=3000))
def test_a_segment_of_random_bytes_holds_no_record(data: bytes) -> None:
    files = MemoryFileSystem()
    files.put("/segment", encode_segment_header(HEADER) + data)
    reader = SegmentReader(files.open("/segment"), HEADER)
    walk = reader.walk(lambda _record, _position: pytest.fail("a record of random bytes"), None)
    assert (walk.end, walk.next_batch, walk.records) == (56, 10, 0)
    tail = reader.tail(walk)
    assert (tail.proof, tail.bytes_torn) == (None, len(data.rstrip(b"\0")))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 255), st.binary(max_size=50))))
def test_any_batch_comes_back(fields: list[tuple[int, int, bytes]]) -> None:
    records = [Record(*each) for each in fields]
    parts, positions, end = encode_batch(HEADER, 56, 10, 0, records)
    files = MemoryFileSystem()
    files.put("/segment", encode_segment_header(HEADER) + b"".join(parts))
    found: list[Record] = []
    walk = SegmentReader(files.open("/segment"), HEADER).walk(
        lambda record, position: found.append(record), None
    )
    assert found == records
    assert walk.end == end == 56 + sum(frame_bytes(len(record.payload)) for record in records)
    assert all(position.offset % 8 == 0 for position in positions)


def test_a_length_beyond_the_limit_is_not_read() -> None:
    """The header of such a frame is right only if another limit held when it was written."""
    small = SegmentHeader(3, 1, 10, 77, payload_bytes_max=100)
    parts, _, _ = encode_batch(small, 56, 10, 0, [Record(1, 1, b"x" * 101)])
    files = MemoryFileSystem()
    files.put("/segment", encode_segment_header(small) + b"".join(parts))
    walk = SegmentReader(files.open("/segment"), small).walk(
        lambda _record, _position: pytest.fail("beyond the limit"), None
    )
    assert walk.records == 0


def test_fields_are_little_endian() -> None:
    data = b"".join(encode_batch(HEADER, 56, 0x0102, 0, [Record(1, 1, b"")])[0])
    assert unpack_from("<Q", data, 16) == (0x0102,)
    assert data[16:18] == b"\x02\x01"


def segment_of(*parts: list[bytes]) -> SegmentReader:
    """A segment with hand-made frames."""
    files = MemoryFileSystem()
    files.put(
        "/segment", encode_segment_header(HEADER) + b"".join(b"".join(each) for each in parts)
    )
    return SegmentReader(files.open("/segment"), HEADER)


@pytest.mark.parametrize("batch", [8, 9, 11, 12])
def test_a_batch_out_of_turn_is_not_handed_over(batch: int) -> None:
    """Batch 10 is due; whole frames of another one do not stand in for it."""
    parts, _, _ = encode_batch(HEADER, 56, batch, 0, RECORDS)
    reader = segment_of(parts)
    found: list[Record] = []
    walk = reader.walk(lambda record, position: found.append(record), None)
    assert (found, walk.next_batch) == ([], 10)
    assert (reader.tail(walk).proof is not None) == (batch > 10)


def test_a_batch_whose_frames_do_not_follow_each_other_is_not_handed_over() -> None:
    """Two beginnings of one batch: its first frame says two follow, and so does its second."""
    three = [Record(1, 1, b"a"), Record(1, 1, b"b"), Record(1, 1, b"c")]
    first, _, _ = encode_batch(HEADER, 56, 10, 0, three)
    rest, _, _ = encode_batch(HEADER, 56 + frame_bytes(1), 10, 0, three)
    found: list[Record] = []
    walk = segment_of(first[:3], rest).walk(lambda record, position: found.append(record), None)
    assert (found, walk.next_batch, walk.stopped) == ([], 10, 56 + frame_bytes(1))


def test_no_frame_is_of_batch_zero() -> None:
    data = b"".join(encode_batch(HEADER, 56, 0, 0, RECORDS)[0])
    assert decode_frame_header(HEADER.seed, data, 0, 56) is None


WORDS = st.one_of(
    st.integers(0, 700),
    st.integers(0, (1 << 64) - 1),
    st.integers((1 << 40) - 300, (1 << 40) + 300),
)


@settings(deadline=None)
@given(
    words=st.lists(WORDS, max_size=40),
    low=WORDS,
    span=st.integers(0, 600) | st.integers(0, 1 << 22),
    rest=st.binary(max_size=7),
)
def test_words_in_a_range_are_found_like_by_a_loop(
    words: list[int], low: int, span: int, rest: bytes
) -> None:
    data = b"".join(word.to_bytes(8, "little") for word in words) + rest
    expected = [8 * place for place, word in enumerate(words) if low <= word <= low + span]
    assert list(words_between(data, low, low + span)) == expected
