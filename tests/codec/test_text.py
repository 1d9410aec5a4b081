"""Bytes as text and back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.codec.text import from_json, to_cell, to_json


@given(st.binary())
def test_bytes_survive_json(data: bytes) -> None:
    assert from_json(json.loads(json.dumps(to_json(data))), "value") == data


def test_utf8_is_a_string_and_the_rest_is_base64() -> None:
    assert to_json("grüße".encode()) == "grüße"
    assert to_json(b"\xff\x00") == {"base64": "/wA="}


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (7, "key is neither a string nor"),
        (None, "key is neither a string nor"),
        ({"base64": "/wA=", "more": 1}, "key is neither a string nor"),
        ({"base64": 7}, "key is neither a string nor"),
        ({"base64": "/wA"}, "key is not valid base64"),
        ({"base64": "/w A="}, "key is not valid base64"),
        ({"base64": "ü"}, "key is not valid base64"),
        ("\ud800", "key has half of a surrogate pair"),
    ],
)
def test_what_is_no_bytes_is_refused_by_name(value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        from_json(value, "key")


@given(st.binary())
def test_a_cell_never_moves_the_cursor(data: bytes) -> None:
    assert not any(c < " " or "\x7f" <= c < "\xa0" for c in to_cell(data))
