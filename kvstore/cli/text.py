"""What stands on the command line and in its output's lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from kvstore.errors import ConfigurationError


def from_argument(argument: str) -> bytes:
    """The bytes that the user typed, whatever they are."""
    return os.fsencode(argument)


def json_line(record: Mapping[str, object]) -> bytes:
    """One object on one line."""
    return json.dumps(record, ensure_ascii=False).encode() + b"\n"


def positive(name: str, value: float, most: float) -> None:
    """Raises ConfigurationError unless 0 < value ≤ most."""
    if not 0 < value <= most:
        raise ConfigurationError(f"{name} is {value:g}; it must be above 0 and at most {most:g}")
