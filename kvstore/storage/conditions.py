"""What holds of a record: comparisons of transactions, and numbers in values."""

from __future__ import annotations

from struct import Struct
from typing import Final

from kvstore.codec.change import INTEGER_MAX, INTEGER_MIN
from kvstore.codec.record import Record
from kvstore.codec.transaction import Comparison, Relation, Subject

_U64: Final = Struct("<Q")
_INTEGER_BYTES_MAX: Final = 20
"""Digits and sign of a 64-bit number."""


def holds_for(record: Record | None, comparison: Comparison) -> bool:
    """Whether `comparison`, which decodes, holds for what is under its key; None: nothing is."""
    subject, relation, operand = comparison.subject, comparison.relation, comparison.operand
    if subject is Subject.VALUE:
        return _compare(b"" if record is None else record.value, relation, operand)
    number = 0
    if record is not None:
        number = {
            Subject.VERSION: record.version,
            Subject.CREATE_REVISION: record.create_revision,
            Subject.MOD_REVISION: record.mod_revision,
        }[subject]
    # Big-endian numbers of one length are in the order of their bytes.
    return _compare(number.to_bytes(8, "big"), relation, _U64.unpack(operand)[0].to_bytes(8, "big"))


def _compare(mine: bytes, relation: Relation, theirs: bytes) -> bool:
    if relation is Relation.EQUAL:
        return mine == theirs
    if relation is Relation.NOT_EQUAL:
        return mine != theirs
    return mine < theirs if relation is Relation.LESS else mine > theirs


def is_integer(number: int) -> bool:
    """Whether it is one of 64 bits, signed."""
    return INTEGER_MIN <= number <= INTEGER_MAX


def integer_in(value: bytes) -> int | None:
    """The number that `value` is in decimal digits; None where it is none of 64 bits."""
    digits = value[1:] if value[:1] == b"-" else value
    if len(value) > _INTEGER_BYTES_MAX or not digits.isdigit():
        return None
    number = int(value)
    return number if is_integer(number) else None
