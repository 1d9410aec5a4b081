"""Session tokens come back as they went, and nothing else is taken for one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.byteslist import CodecError
from kvstore.codec.session_token import (
    TOKEN_CHARS_MAX,
    decode_session_token,
    encode_session_token,
)

U32 = st.integers(0, (1 << 32) - 1)
U64 = st.integers(0, (1 << 64) - 1)
TOKENS = st.tuples(st.text(max_size=60), st.dictionaries(U32, U64, max_size=20))


@given(TOKENS)
def test_a_token_comes_back(token: tuple[str, dict[int, int]]) -> None:
    assert decode_session_token(encode_session_token(*token)) == token


def test_the_characters_of_a_token_are_as_documented() -> None:
    token = encode_session_token("c", {1: 2})
    assert token == "AQFjAQAAAAEAAAACAAAAAAAAAIz5UNE"
    assert decode_session_token(token) == ("c", {1: 2})


@given(TOKENS, st.data())
def test_every_token_that_was_cut_or_changed_is_refused(
    token: tuple[str, dict[int, int]], data: st.DataObject
) -> None:
    whole = encode_session_token(*token)
    position = data.draw(st.integers(0, len(whole) - 1))
    changed = data.draw(st.characters(codec="utf-8"))
    with pytest.raises(CodecError):
        decode_session_token(whole[:position])
    damaged = whole[:position] + changed + whole[position + 1 :]
    with contextlib.suppress(CodecError):
        assert decode_session_token(damaged) == token, "only the last bits may be without meaning"


def test_a_token_that_is_too_long_is_refused() -> None:
    with pytest.raises(CodecError, match=f"limit is {TOKEN_CHARS_MAX}"):
        decode_session_token("A" * (TOKEN_CHARS_MAX + 1))
