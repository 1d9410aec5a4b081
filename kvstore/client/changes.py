"""Writes with conditions, lifetimes and sums: checked, as bytes, and what their answers mean."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from kvstore.client.arguments import as_bytes, optional_bytes
from kvstore.codec.byteslist import CodecError
from kvstore.codec.change import (
    INTEGER_MAX,
    INTEGER_MIN,
    LIFETIME_MS_MAX,
    Action,
    Change,
    ChangeAnswer,
    ChangeStatus,
    Fence,
    append_of,
    append_operand,
    decode_answer,
)
from kvstore.codec.limits import Limits
from kvstore.codec.record import Record, decode_record
from kvstore.errors import (
    ConditionFailed,
    CounterOverflow,
    Fenced,
    InvalidArgument,
    KVStoreError,
    NotANumber,
    OutcomeUnknown,
    ResourceExhausted,
)

Ttl = int | float | timedelta
"""A lifetime: seconds, or a timedelta; above 0 and up to a hundred years."""

REVISION_MAX: Final = (1 << 64) - 1
_LEFT_FOR_FRAMING: Final = 512
"""Bytes of a batch that a single operation leaves: headers and lengths take less."""


@dataclass(frozen=True, slots=True)
class PutResult:
    """What came of a put that was asked for what it replaced."""

    revision: int
    previous: Record | None
    """What was there before; None: there was no such key."""


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """What came of a delete that was asked for what it removed."""

    deleted: bool
    """Whether there was such a key."""
    previous: Record | None
    """What was there before; None: there was no such key."""


# --- arguments


def checked_ttl_ms(ttl: object) -> int | None:
    """`ttl` in milliseconds, at least 1; None stays None; else InvalidArgument."""
    if ttl is None:
        return None
    if isinstance(ttl, timedelta):
        seconds: float = ttl.total_seconds()
    elif isinstance(ttl, int | float) and not isinstance(ttl, bool):
        seconds = ttl
    else:
        raise InvalidArgument(f"ttl must be seconds or a timedelta, not {type(ttl).__name__}")
    # Compared as it is: an int may be too large for a float.
    if not 0 < seconds <= LIFETIME_MS_MAX / 1000 or not math.isfinite(seconds):
        raise InvalidArgument(
            f"ttl is {_short(ttl)}; it must be above 0 and at most {LIFETIME_MS_MAX // 1000} s"
        )
    return min(max(1, round(seconds * 1000)), LIFETIME_MS_MAX)


def checked_integer(name: str, value: object) -> int:
    """`value` as a signed number of 64 bits; else InvalidArgument."""
    return _whole(name, value, INTEGER_MIN, INTEGER_MAX)


def checked_revision(name: str, value: object) -> int:
    """`value` as a revision or version; else InvalidArgument."""
    return _whole(name, value, 0, REVISION_MAX)


def _whole(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidArgument(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise InvalidArgument(f"{name} is {_short(value)}; it must be {least} to {most}")
    return value


def _short(value: object) -> str:
    """Python refuses to print integers of thousands of digits."""
    if isinstance(value, int) and abs(value) >= 1 << 128:
        return f"a number of {value.bit_length()} bits"
    return str(value)


def _checked_flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name} must be True or False, not {type(value).__name__}")
    return value


def checked_fence(fence: object) -> Fence | None:
    """`fence` with a name and a token that can be; else InvalidArgument."""
    if fence is None:
        return None
    if not isinstance(fence, Fence):
        raise InvalidArgument(f"fence must be a Fence, not {type(fence).__name__}")
    name = as_bytes("fence's lock", fence.lock)
    return Fence(name, _whole("fence's token", fence.token, 1, INTEGER_MAX))


def checked_change(
    action: Action,
    operand: bytes = b"",
    *,
    ttl: object = None,
    if_absent: object = False,
    if_revision: object = None,
    if_value: object = None,
    return_previous: object = False,
    fence: object = None,
) -> Change:
    """A change of what callers hand in, apart from limits; else InvalidArgument."""
    if _checked_flag("if_absent", if_absent) and not (if_revision is None and if_value is None):
        raise InvalidArgument(
            "if_absent goes with neither if_revision nor if_value: an absent key has none"
        )
    return Change(
        action,
        operand,
        bool(if_absent),
        None if if_revision is None else checked_revision("if_revision", if_revision),
        optional_bytes("if_value", if_value),
        checked_ttl_ms(ttl),
        _checked_flag("return_previous", return_previous),
        checked_fence(fence),
    )


def check_change(change: Change, limits: Limits) -> None:
    """Raises InvalidArgument where a part of `change` is larger than the cluster takes."""
    if change.action is Action.PUT:
        limits.check_value(change.operand)
    elif change.action is Action.APPEND:
        suffix = append_of(change.operand)[1]
        _check_size("suffix", suffix, 0, limits.value_bytes_max)
    if change.if_value is not None:
        _check_size("if_value", change.if_value, 0, limits.value_bytes_max)
    check_fence(change.fence, limits)


def check_fence(fence: Fence | None, limits: Limits) -> None:
    """Raises InvalidArgument where the lock's name is longer than a key can be, or empty."""
    if fence is not None:
        _check_size("fence's lock", fence.lock, 1, limits.key_bytes_max)


def _check_size(name: str, data: bytes, least: int, most: int) -> None:
    if not least <= len(data) <= most:
        raise InvalidArgument(f"{name} has {len(data)} bytes; the limit is {least} to {most}")


def check_operation_bytes(key: bytes, argument: bytes, limits: Limits) -> None:
    """Raises InvalidArgument where an operation is larger than a batch can be."""
    size, limit = len(key) + len(argument), limits.batch_bytes_max - _LEFT_FOR_FRAMING
    if size > limit:
        raise InvalidArgument(
            f"the operation has {size} bytes with all its keys, values and conditions; "
            f"the limit is {limit}"
        )


def with_limit(change: Change, value_bytes_max: int) -> Change:
    """`change`, where an append says how large the value may become."""
    if change.action is not Action.APPEND:
        return change
    suffix = append_of(change.operand)[1]
    return replace(change, operand=append_operand(value_bytes_max, suffix))


# --- answers


def answer_of(key: bytes, encoded: bytes) -> ChangeAnswer:
    """The answer to a change of `key` that was done, or whose key is absent; else raises."""
    try:
        answer = decode_answer(encoded)
    except CodecError as problem:
        raise unreadable(key, problem) from problem
    if answer.status in (ChangeStatus.DONE, ChangeStatus.ABSENT):
        return answer
    raise refusal(f"key {key!r}", answer)


def unreadable(key: bytes, problem: CodecError) -> OutcomeUnknown:
    """What to raise where a node's answer cannot be read."""
    return OutcomeUnknown(f"the answer for key {key!r} cannot be read, the write may be: {problem}")


def refusal(what: str, answer: ChangeAnswer) -> KVStoreError:
    """The error that says why the change of `what` was not done."""
    number = answer.number
    match answer.status:
        case ChangeStatus.CONDITION_FAILED | ChangeStatus.ABSENT:
            now = f"has revision {number}" if number else "does not exist"
            return ConditionFailed(
                f"{what}: the condition does not hold, the key {now}; nothing was changed", number
            )
        case ChangeStatus.NOT_A_NUMBER:
            return NotANumber(
                f"{what}: the value is no decimal number of 64 bits; nothing was changed"
            )
        case ChangeStatus.OVERFLOW:
            return CounterOverflow(
                f"{what}: the number is {number}, and the sum would not fit in 64 bits; "
                "nothing was changed",
                number,
            )
        case ChangeStatus.FENCED:
            return Fenced(
                f"{what}: a holder of the lock with token {number} has been here since; "
                "nothing was changed",
                number,
            )
        case ChangeStatus.TOO_LARGE:
            return InvalidArgument(
                f"{what}: the value would have {number} bytes, more than the cluster's limit for "
                "values; nothing was changed"
            )
        case _:
            return ResourceExhausted(
                f"{what}: a node was asked to rewrite or return too much at once; nothing was "
                "changed. Try again, with smaller values or fewer at a time"
            )


def previous_of(key: bytes, answer: ChangeAnswer) -> Record | None:
    """What was there before the change."""
    if answer.record is None:
        return None
    try:
        return decode_record(answer.record)
    except CodecError as problem:
        raise unreadable(key, problem) from problem
