"""Fields of JSON objects, each refused by name where it is not what it should be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

Record = Mapping[str, object]
_SHOWN_MAX: Final = 60


def integer(record: Record, name: str) -> int:
    """A whole number of 0 or more."""
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(record, name, "a whole number of 0 or more")
    return value


def optional_integer(record: Record, name: str) -> int | None:
    """The same, or None where it is null or missing."""
    return None if record.get(name) is None else integer(record, name)


def number(record: Record, name: str) -> float:
    """A finite number of 0 or more."""
    value = record.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e18:
        raise _wrong(record, name, "a number of 0 or more")
    return float(value)


def text(record: Record, name: str) -> str:
    """A string."""
    value = record.get(name)
    if not isinstance(value, str):
        raise _wrong(record, name, "a string")
    return value


def texts(record: Record, name: str) -> tuple[str, ...]:
    """A list of strings."""
    value = record.get(name)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _wrong(record, name, "a list of strings")
    return tuple(value)


def boolean(record: Record, name: str) -> bool:
    """True or false."""
    value = record.get(name)
    if not isinstance(value, bool):
        raise _wrong(record, name, "true or false")
    return value


def one_of(record: Record, name: str, known: tuple[str, ...]) -> str:
    """One of the strings in `known`."""
    value = record.get(name)
    if not isinstance(value, str) or value not in known:
        raise _wrong(record, name, f"one of {', '.join(known)}")
    return value


def counts(record: Record, name: str) -> dict[str, int]:
    """An object of whole numbers."""
    value = record.get(name)
    if not isinstance(value, dict):
        raise _wrong(record, name, "an object of whole numbers")
    return {key: integer(value, key) for key in value}


def parsed(line: str | bytes) -> Record:
    """The object that `line` is; raises ValueError."""
    try:
        record = json.loads(line)
    except RecursionError as problem:
        raise ValueError("not JSON: nested too deeply") from problem
    except ValueError as problem:
        raise ValueError(f"not JSON: {problem}") from problem
    if not isinstance(record, dict):
        raise ValueError("not an object")
    return record


def _wrong(record: Record, name: str, kind: str) -> ValueError:
    if name not in record:
        return ValueError(f"field {name} is missing; it has to be {kind}")
    shown = json.dumps(record[name], ensure_ascii=False)
    if len(shown) > _SHOWN_MAX:
        shown = shown[: _SHOWN_MAX - 1] + "…"
    return ValueError(f"{name} is {shown}, not {kind}")
