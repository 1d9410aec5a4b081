"""Histories: many operations, in memory and in files of JSON lines (docs/format-history.md).

A history says nothing of how operations were carried out, so that one of any store, real or
simulated, can be judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

from kvstore.codec.text import from_json, to_json
from kvstore.errors import ConfigurationError
from kvstore.verify.operation import READS_OF_MANY, Ending, Kind, Operation, Receipt

E = TypeVar("E", bound=Enum)

_REQUIRED: Final = (
    *("client", "op", "key", "input", "expected", "output", "applied"),
    *("invoked_ns", "returned_ns", "outcome"),
)
_OPTIONAL: Final = ("node", "partition", "receipt")
_FIELDS: Final = frozenset((*_REQUIRED, *_OPTIONAL))


@dataclass(slots=True)
class History:
    """Operations in any order; what counts are their times."""

    operations: list[Operation] = field(default_factory=list)
    missing_end: str | None = None
    """Why there were more operations that are not known, in a clause; None: these are all."""

    def add(self, operation: Operation) -> None:
        """Takes one more."""
        self.operations.append(operation)

    def by_key(self) -> dict[bytes, list[Operation]]:
        """The operations of each key, keys in the order of their first operation here."""
        keys: dict[bytes, list[Operation]] = {}
        for operation in self.operations:
            keys.setdefault(operation.key, []).append(operation)
        return keys

    @classmethod
    def parse(
        cls, lines: Iterable[str | bytes], name: str, *, may_be_torn: bool = False
    ) -> History:
        """Reads lines of JSON; blank ones are passed over.

        Raises ConfigurationError, with `name`, the line's number, the field and its value, for the
        first line that is no operation. With `may_be_torn` a last line that has no end, and is no
        JSON, is left out, and said in `missing_end`.
        """
        history = cls()
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            try:
                history.operations.append(_decode(line))
            except _NotJson as problem:
                if not may_be_torn or line[-1:] in ("\n", b"\n"):
                    raise ConfigurationError(f"{name}, line {number}: {problem}") from problem
                history.missing_end = f"its last line, {number}, is torn, and was left out"
            except ValueError as problem:
                raise ConfigurationError(f"{name}, line {number}: {problem}") from problem
        return history

    @classmethod
    def read(cls, path: Path) -> History:
        """Reads a file, whose last line may be torn; raises ConfigurationError as `parse` does, and
        OSError."""
        with path.open("rb") as file:
            return cls.parse(file, str(path), may_be_torn=True)

    def lines(self) -> Iterator[str]:
        """The history as lines of JSON, without line ends."""
        for operation in self.operations:
            yield json.dumps(to_record(operation), ensure_ascii=False, separators=(",", ":"))

    def write(self, path: Path) -> None:
        """Writes a file; one that is there is replaced."""
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for line in self.lines():
                file.write(line + "\n")


def to_record(operation: Operation) -> dict[str, object]:
    """The object that stands for `operation` in a file."""
    many = operation.outputs
    output = _optional_json(operation.output) if many is None else [to_json(one) for one in many]
    record: dict[str, object] = {
        "client": operation.client,
        "op": operation.op.value,
        "key": to_json(operation.key),
        "input": _optional_json(operation.input),
        "expected": _optional_json(operation.expected),
        "output": output,
        "applied": operation.applied,
        "invoked_ns": operation.invoked_ns,
        "returned_ns": operation.returned_ns,
        "outcome": operation.outcome.value,
    }
    receipt = operation.receipt
    if operation.node is not None:
        record["node"] = operation.node
    if operation.partition is not None:
        record["partition"] = operation.partition
    if receipt is not None:
        parts = {"revision": receipt.revision, "term": receipt.term, "level": receipt.level}
        record["receipt"] = {name: part for name, part in parts.items() if part is not None}
    return record


def _optional_json(data: bytes | None) -> object:
    return None if data is None else to_json(data)


class _NotJson(ValueError):
    """A line, or a part of one."""


def _decode(line: str | bytes) -> Operation:
    """The operation on `line`; raises ValueError, whose text names field and value."""
    try:
        record = json.loads(line)
    except RecursionError as problem:
        raise ValueError("not JSON: nested too deeply") from problem
    except ValueError as problem:
        raise _NotJson(f"not JSON: {problem}") from problem
    if not isinstance(record, dict):
        raise ValueError("not an object")
    for name in _REQUIRED:
        if name not in record:
            raise ValueError(f"field {name} is missing")
    for name, value in record.items():
        if name not in _FIELDS:
            raise ValueError(f"field {name} is not known; its value is {_shown(value)}")
    op = _member(Kind, record, "op")
    returned_ns = record["returned_ns"]
    many = op in READS_OF_MANY
    return Operation(
        client=_integer(record, "client"),
        op=op,
        key=_bytes(record["key"], "key"),
        input=_optional_bytes(record, "input"),
        expected=_optional_bytes(record, "expected"),
        output=None if many else _optional_bytes(record, "output"),
        outputs=_optional_list(record, "output") if many else None,
        applied=_optional_boolean(record, "applied"),
        invoked_ns=_integer(record, "invoked_ns"),
        returned_ns=None if returned_ns is None else _integer(record, "returned_ns"),
        outcome=_member(Ending, record, "outcome"),
        node=_optional_text(record, "node"),
        partition=None if record.get("partition") is None else _integer(record, "partition"),
        receipt=_receipt(record.get("receipt")),
    )


def _shown(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else shown[:57] + "…"


def _wrong(name: str, value: object, kind: str) -> ValueError:
    return ValueError(f"{name} is {_shown(value)}, not {kind}")


def _integer(record: Mapping[str, object], name: str) -> int:
    value = record[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(name, value, "a whole number of 0 or more")
    return value


def _bytes(value: object, name: str) -> bytes:
    try:
        return from_json(value, name)
    except ValueError as problem:
        raise ValueError(f"{problem}: {_shown(value)}") from problem


def _optional_bytes(record: Mapping[str, object], name: str) -> bytes | None:
    value = record[name]
    return None if value is None else _bytes(value, name)


def _optional_list(record: Mapping[str, object], name: str) -> tuple[bytes, ...] | None:
    value = record[name]
    if value is None:
        return None
    if not isinstance(value, list):
        raise _wrong(name, value, "a list")
    return tuple([_bytes(each, name) for each in value])


def _optional_boolean(record: Mapping[str, object], name: str) -> bool | None:
    value = record[name]
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, value, "true, false or null")
    return value


def _optional_text(record: Mapping[str, object], name: str) -> str | None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong(name, value, "a string")
    return value


def _member(kind: type[E], record: Mapping[str, object], name: str) -> E:
    value = record[name]
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise _wrong(name, value, f"one of {known}") from None


def _receipt(value: object) -> Receipt | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not {"revision"} <= value.keys() <= _RECEIPT_FIELDS:
        raise _wrong("receipt", value, "an object with revision, and perhaps term and level")
    term = None if value.get("term") is None else _integer(value, "term")
    return Receipt(_integer(value, "revision"), term, _optional_text(value, "level"))


_RECEIPT_FIELDS: Final = frozenset({"revision", "term", "level"})
