"""Operations as a table of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvstore.codec.text import to_cell
from kvstore.verify.operation import Ending, Kind, Operation

_HEADER: Final = ("client", "operation", "answer", "invoked", "returned")
_VALUE_CHARACTERS_MAX: Final = 40


def operations_table(operations: Sequence[Operation]) -> str:
    """One line an operation, in the order given; times in milliseconds since the first."""
    start_ns = min([operation.invoked_ns for operation in operations], default=0)
    rows = [_HEADER, *(_row(operation, start_ns) for operation in operations)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def question(operation: Operation) -> str:
    """What was asked for, such as `cas k: 1 → 2`."""
    asked = f"{operation.op.value} {_shown(operation.key)}"
    if operation.op is Kind.CAS:
        return f"{asked}: {_shown(operation.expected)} → {_shown(operation.input)}"
    return asked if operation.input is None else f"{asked}: {_shown(operation.input)}"


def answer(operation: Operation) -> str:
    """What came of it, as far as the client knows."""
    if operation.outcome is not Ending.OK:
        return str(operation.outcome.value)
    match operation.op:
        case Kind.GET:
            return _shown(operation.output)
        case Kind.MEMBERS | Kind.BALANCES:
            return " ".join(_shown(each) for each in operation.outputs or ()) or "nothing"
        case Kind.CAS:
            return "written" if operation.applied else "not written"
        case Kind.DELETE if operation.applied is not None:
            return "deleted" if operation.applied else "no such key"
    return "ok"


def _row(operation: Operation, start_ns: int) -> tuple[str, ...]:
    returned_ns = operation.returned_ns
    return (
        str(operation.client),
        question(operation),
        answer(operation),
        _time(operation.invoked_ns - start_ns),
        "" if returned_ns is None else _time(returned_ns - start_ns),
    )


def _time(elapsed_ns: int) -> str:
    return f"{elapsed_ns / 1e6:.3f} ms"


def _shown(value: bytes | None) -> str:
    if value is None:
        return "absent"
    cell = to_cell(value)
    if len(cell) > _VALUE_CHARACTERS_MAX:
        cell = cell[: _VALUE_CHARACTERS_MAX - 1] + "…"
    return f'"{cell}"'
