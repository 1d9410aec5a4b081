"""Operations as a table of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvstore.codec.text import to_cell
from kvstore.verify.operation import Ending, Kind, Operation

HEADER: Final = ("client", "operation", "answer", "invoked", "returned")
_VALUE_CHARACTERS_MAX: Final = 40
_VALUES_MAX: Final = 20


def operations_table(operations: Sequence[Operation]) -> str:
    """One line an operation, in the order given; times in milliseconds since the first."""
    rows = [HEADER, *operation_rows(operations)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def operation_rows(operations: Sequence[Operation]) -> list[tuple[str, ...]]:
    """The table's rows under HEADER."""
    start_ns = min([operation.invoked_ns for operation in operations], default=0)
    return [_row(operation, start_ns) for operation in operations]


def question(operation: Operation) -> str:
    """What was asked for, such as `cas "k": "1" → "2"`; of reads of less than linearizability, the
    level too: `session get "k"`."""
    level = "" if operation.is_linearizable else f"{operation.level} "
    asked = f"{level}{operation.op.value} {_shown(operation.key)}"
    arguments = _arguments(operation)
    return f"{asked}: {arguments}" if arguments else asked


def short_question(operation: Operation) -> str:
    """The same without the key, such as `cas "1" → "2"`."""
    return f"{operation.op.value} {_arguments(operation)}".rstrip()


def _arguments(operation: Operation) -> str:
    if operation.op is Kind.CAS:
        return f"{_shown(operation.expected)} → {_shown(operation.input)}"
    return "" if operation.input is None else _shown(operation.input)


def answer(operation: Operation) -> str:
    """What came of it, as far as the client knows."""
    if operation.outcome is not Ending.OK:
        return str(operation.outcome.value)
    match operation.op:
        case Kind.GET:
            return _shown(operation.output)
        case Kind.MEMBERS | Kind.BALANCES | Kind.SCAN:
            return _many(operation.outputs or ())
        case Kind.CAS:
            return "written" if operation.applied else "not written"
        case Kind.DELETE if operation.applied is not None:
            return "deleted" if operation.applied else "no such key"
    return "ok"


def _many(values: Sequence[bytes]) -> str:
    shown = " ".join(_shown(each) for each in values[:_VALUES_MAX]) or "nothing"
    more = len(values) - _VALUES_MAX
    return f"{shown} and {more} more" if more > 0 else shown


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
