"""The definition of linearizability, by trying all orders: for a handful of operations."""

from __future__ import annotations

from collections.abc import Sequence

from kvstore.verify.operation import Ending, Kind, Operation

_IMPOSSIBLE = b"not a value"


def is_linearizable(operations: Sequence[Operation]) -> bool:
    """Whether some order of all that certainly took effect, and of any of the unknown, is valid."""
    left = [each for each in operations if each.outcome is not Ending.FAIL]
    return _can_go_on(left, None)


def is_valid_order(order: Sequence[Operation]) -> bool:
    """Whether `order` keeps to real time and every answer is right."""
    value: bytes | None = None
    for place, operation in enumerate(order):
        if any(_precedes(later, operation) for later in order[place + 1 :]):
            return False
        after = _after(operation, value)
        if after is _IMPOSSIBLE:
            return False
        value = after
    return True


def _can_go_on(left: list[Operation], value: bytes | None) -> bool:
    if all(each.outcome is Ending.UNKNOWN for each in left):
        return True
    for operation in left:
        others = [each for each in left if each is not operation]
        if any(_precedes(other, operation) for other in others):
            continue
        after = _after(operation, value)
        if after is not _IMPOSSIBLE and _can_go_on(others, after):
            return True
    return False


def _precedes(first: Operation, second: Operation) -> bool:
    return first.returned_ns is not None and first.returned_ns < second.invoked_ns


def _after(operation: Operation, value: bytes | None) -> bytes | None:
    """The value after `operation` took effect on `value`; _IMPOSSIBLE if it cannot have."""
    ok = operation.is_ok
    match operation.op:
        case Kind.GET:
            return value if not ok or operation.output == value else _IMPOSSIBLE
        case Kind.PUT:
            return operation.input
        case Kind.DELETE:
            found = value is not None
            return None if operation.applied in (None, found) else _IMPOSSIBLE
        case Kind.CAS:
            matches = value == operation.expected
            if ok and matches != operation.applied:
                return _IMPOSSIBLE
            return operation.input if matches else value
    raise AssertionError(operation.op)
