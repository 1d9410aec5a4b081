"""What stands on the command line and in its output's lines."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Final

from kvstore.errors import ConfigurationError

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?", re.ASCII)
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_S_MAX: Final = 100 * 366 * 86400.0


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


def duration_s(name: str, text: str) -> float:
    """The seconds that `text` says: 90, 1.5s, 250ms, 15m, 2h or 7d; else ConfigurationError."""
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _UNITS_S[found[2]] if found else 0.0
    if not 0 < seconds <= _DURATION_S_MAX:
        raise ConfigurationError(
            f"{name} is {text!r}; it must be a time above 0 and up to 36600d, such as 90, 250ms, "
            "15m, 2h or 7d"
        )
    return seconds
