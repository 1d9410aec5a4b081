"""Header blocks, as an implementation that others wrote reads and writes them."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder

from kvstore.http2 import headers as blocks
from kvstore.http2.frames import ErrorCode, Violation


def read(block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in Decoder().decode(block)]


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255, 256, 16_510, 16_511, 40_000])
def test_strings_of_any_length_are_read_by_others(length: int) -> None:
    value = "v" * length
    assert read(blocks.encode([("name", value), ("after", "x")])) == [
        ("name", value),
        ("after", "x"),
    ]


def test_what_others_compress_is_read() -> None:
    encoder = Encoder()
    encoder.header_table_size = 0
    written = [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-message", "a" * 300),
    ]
    assert blocks.decode(encoder.encode(written, huffman=True)) == dict(written)


def test_the_last_of_two_headers_of_one_name_counts() -> None:
    assert blocks.decode(blocks.encode([("a", "1"), ("a", "2")])) == {"a": "2"}


@pytest.mark.parametrize(
    "block",
    [
        b"\xff",
        b"\x80",
        b"\xbf",
        b"\x00\x7f",
        b"\x00\x05ab",
        b"\x00\x01a\x01\xff",
        b"\x3f\xe1\x1f",
        b"\x40\x01a\x01b\xbe",
        b"\xff" * 2000,
    ],
    ids=["half", "index 0", "no entry", "length", "string", "utf-8", "table", "added", "number"],
)
def test_blocks_that_cannot_be_read_are_refused(block: bytes) -> None:
    with pytest.raises(Violation, match="headers cannot be read") as caught:
        blocks.decode(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_a_small_block_that_stands_for_very_much_is_refused() -> None:
    with pytest.raises(Violation):
        blocks.decode(b"\x90" * 8000)  # "accept-encoding: gzip, deflate", by its number


def test_a_request_is_what_grpc_asks_for() -> None:
    block = blocks.request_block("/a.B/C", "host:1", 250)
    assert read(block) == [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/a.B/C"),
        (":authority", "host:1"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "kvstore"),
        ("grpc-timeout", "250m"),
    ]
    assert "grpc-timeout" not in dict(read(blocks.request_block("/a.B/C", "host:1", None)))


@pytest.mark.parametrize(
    ("timeout_ms", "said"),
    [
        (1, "1m"),
        (99_999_999, "99999999m"),
        (100_000_000, "100000S"),
        (10**15, "99999999S"),
    ],
)
def test_a_timeout_has_eight_digits_at_most(timeout_ms: int, said: str) -> None:
    assert dict(read(blocks.request_block("/a.B/C", "h", timeout_ms)))["grpc-timeout"] == said


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("2H", 7200.0),
        ("3M", 180.0),
        ("00000001S", 1.0),
        ("250m", 0.25),
        ("5u", 5e-6),
        ("7n", 7e-9),
        ("99999999H", 99_999_999 * 3600.0),
    ],
)
def test_timeouts_have_units(said: str, seconds: float) -> None:
    assert blocks.timeout_s({"grpc-timeout": said}) == pytest.approx(seconds)
    assert blocks.timeout_s({}) is None


@pytest.mark.parametrize("said", ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "١S"])
def test_what_is_no_timeout_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="grpc-timeout"):
        blocks.timeout_s({"grpc-timeout": said})


@pytest.mark.parametrize(
    "details",
    ["", "plain words, with: marks!", "100% of it", "a\nb\r\0", "größer als ≤ 7 🙂", "%41"],
)
def test_details_come_through_as_they_were(details: str) -> None:
    block = blocks.error_response(9, details)
    said = dict(read(block))
    assert said["grpc-status"] == "9"
    assert said["grpc-message"].isascii()
    assert said["grpc-message"].isprintable()
    assert blocks.details_of(blocks.decode(block)) == details


def test_details_of_any_length_stay_below_what_a_receiver_takes() -> None:
    for details in ("x" * 100_000, "🙂" * 100_000, "\n" * 100_000):
        block = blocks.error_response(2, details, [("outcome", "unknown")])
        assert len(block) < blocks.BLOCK_BYTES_MAX // 2
        assert details.startswith(blocks.details_of(blocks.decode(block))[:500])


def test_details_that_are_wrongly_written_are_read_as_far_as_can_be() -> None:
    assert blocks.details_of({"grpc-message": "50% off %zz %ff"}) == (
        "50% off %zz \N{REPLACEMENT CHARACTER}"
    )
    assert blocks.details_of({}) == ""


def test_a_response_that_is_only_an_error_has_all_in_one_block() -> None:
    assert read(blocks.error_response(5, "no", [("a", "b")])) == [
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", "5"),
        ("grpc-message", "no"),
        ("a", "b"),
    ]
