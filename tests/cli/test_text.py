"""What stands on the command line and in its output's lines."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from kvstore.cli.text import from_argument, json_line


@given(st.text())
def test_an_object_is_one_line(text: str) -> None:
    line = json_line({"value": text})
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"value": text}


def test_any_bytes_can_be_typed() -> None:
    assert from_argument("grüße") == "grüße".encode()
    assert from_argument(b"\xff\x00".decode(errors="surrogateescape")) == b"\xff\x00"
