"""What stands on the command line and in its output's lines."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.cli.text import duration_s, from_argument, json_line
from kvstore.errors import ConfigurationError


@given(st.text())
def test_an_object_is_one_line(text: str) -> None:
    line = json_line({"value": text})
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"value": text}


def test_any_bytes_can_be_typed() -> None:
    assert from_argument("grüße") == "grüße".encode()
    assert from_argument(b"\xff\x00".decode(errors="surrogateescape")) == b"\xff\x00"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("15m", 900),
        ("2h", 7200),
        ("36600d", 3162240000),
    ],
)
def test_times_have_units(text: str, seconds: float) -> None:
    assert duration_s("ttl", text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "0", "0d", "-1", "soon", "1w", "1 s", "1e3", "nan", "inf", "36601d", "٣"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="ttl is "):
        duration_s("ttl", text)
