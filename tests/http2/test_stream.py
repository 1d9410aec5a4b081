"""Messages out of pieces of bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.http2.stream import MessageTooLarge, MessageUnusable, Stream
from tests.http2.support import with_prefix


class Messages(Stream):
    def __init__(self) -> None:
        super().__init__(1, 0)
        self.found: list[bytes] = []

    def on_message(self, message: bytes) -> None:
        self.found.append(message)


def test_a_message_is_a_zero_its_length_and_itself() -> None:
    assert with_prefix(b"abc") == b"\0\0\0\0\x03abc"
    assert with_prefix(b"") == bytes(5)


@given(
    st.lists(st.binary(max_size=40), max_size=8),
    st.lists(st.integers(min_value=0, max_value=400), max_size=30),
)
def test_messages_come_out_whole_wherever_they_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    stream = Messages()
    data = b"".join(map(with_prefix, sent))
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(edges):
        stream.take_data(data[start:end], 1000)
    assert stream.found == sent
    assert not stream.partial


def test_what_is_kept_is_what_has_come_of_the_message_that_is_not_whole() -> None:
    stream = Messages()
    stream.take_data(with_prefix(b"first") + b"\0\0\0", 1000)
    assert (stream.found, len(stream.partial)) == ([b"first"], 3)
    stream.take_data(b"\0\x04ab", 1000)
    assert (len(stream.partial), stream.wanted_bytes) == (7, 9)
    stream.take_data(b"cd" + with_prefix(b"more")[:2], 1000)
    assert (stream.found, len(stream.partial)) == ([b"first", b"abcd"], 2)


def test_a_message_beyond_the_limit_is_refused_by_its_length_alone() -> None:
    stream = Messages()
    with pytest.raises(MessageTooLarge, match="has 1001 bytes; the limit is 1000"):
        stream.take_data(b"\0\0\0\x03\xe9", 1000)
    stream.take_data(with_prefix(bytes(1000)), 1000)
    assert stream.found == [bytes(1000)]


def test_a_compressed_message_is_refused() -> None:
    with pytest.raises(MessageUnusable, match="compressed"):
        Messages().take_data(b"\x01\0\0\0\0", 1000)
