"""Marks: entries that ask for a comparison and change nothing."""

from __future__ import annotations

import pytest

from cluster.ids import Index, Term
from cluster.raft.messages import Entry, EntryKind
from kvstore.codec.byteslist import CodecError
from kvstore.codec.command import OperationKind, decode_command, encode_command
from kvstore.codec.scrub import encode_mark, is_at_full_pace, is_mark


def entry(data: bytes, kind: EntryKind = EntryKind.NORMAL) -> Entry:
    return Entry(Index(1), Term(1), kind, data)


def test_the_bytes_of_marks_are_as_documented() -> None:
    assert encode_mark(at_full_pace=False) == b"\x02\x00"
    assert encode_mark(at_full_pace=True) == b"\x02\x01"


@pytest.mark.parametrize("at_full_pace", [True, False])
def test_a_mark_is_a_mark_and_no_command(at_full_pace: bool) -> None:
    mark = encode_mark(at_full_pace=at_full_pace)
    assert is_mark(entry(mark))
    assert is_at_full_pace(mark) is at_full_pace
    with pytest.raises(CodecError):
        decode_command(mark)


@pytest.mark.parametrize(
    "other",
    [
        entry(b""),
        entry(b"\x02"),
        entry(b"\x01\x00"),
        entry(b"\x02\x00\x00"),
        entry(b"\x02\x00", EntryKind.MEMBERSHIP),
        entry(encode_command(b"", [], [])),
        entry(encode_command(bytes((OperationKind.PUT,)), [b"a"], [b"b"])),
    ],
)
def test_nothing_else_is_taken_for_one(other: Entry) -> None:
    assert not is_mark(other)


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02\x02", b"\x01\x00", b"\x02\x00\x00"])
def test_a_mark_that_is_not_known_here_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError, match="no mark that is known here"):
        is_at_full_pace(data)
