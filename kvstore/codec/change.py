"""Changes: writes that depend on what is there, or do more than to replace it.

```
u8 action | u8 conditions and options
u64 revision        with IF_REVISION
u32 length | value  with IF_VALUE
u64 lifetime ms     with LIFETIME
u16 length | name of the lock | u64 token    with FENCE
operand             by action; the rest
```

| action | operand | does |
| --- | --- | --- |
| put | the value | replaces the value; without LIFETIME the key then does not expire |
| delete | empty | removes the key |
| increment | i64 by, i64 initial | adds to the number, written in decimal digits; absent: initial |
| append | u32 most bytes, bytes | adds to the end of the value; absent: an empty one |
| touch | empty | gives the key a new lifetime; without LIFETIME it then does not expire |

Increment and append leave the lifetime as it is unless there is LIFETIME.

```
answer    u8 status | i64 number | u8 has record | record
```
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag, unique
from struct import Struct, error
from typing import Final

from kvstore.codec.byteslist import CodecError

INTEGER_MIN: Final = -(1 << 63)
INTEGER_MAX: Final = (1 << 63) - 1
LIFETIME_MS_MAX: Final = 100 * 366 * 24 * 3600 * 1000
"""A hundred years: sums of a clock and a lifetime stay far from 64 bits."""

_HEAD: Final = Struct("<BB")
_U16: Final = Struct("<H")
_U32: Final = Struct("<I")
_U64: Final = Struct("<Q")
_INCREMENT: Final = Struct("<qq")
_ANSWER: Final = Struct("<BqB")


@unique
class Action(IntEnum):
    """The numbers stand in logs: never renumber."""

    PUT = 1
    DELETE = 2
    INCREMENT = 3
    APPEND = 4
    TOUCH = 5


class _Option(IntFlag):
    IF_ABSENT = 1
    IF_REVISION = 2
    IF_VALUE = 4
    LIFETIME = 8
    RETURN_PREVIOUS = 16
    FENCE = 32


_OPTIONS: Final = 63


@unique
class ChangeStatus(IntEnum):
    """How a change ended. All but DONE have changed nothing."""

    DONE = 0
    """`number`: of an increment, the sum; of an append, the length."""
    CONDITION_FAILED = 1
    """`number`: the revision that the key has, 0 where it is absent."""
    NOT_A_NUMBER = 2
    """An increment of what is not a decimal number of 64 bits."""
    OVERFLOW = 3
    """`number`: what is there, to which the increment cannot be added."""
    FENCED = 4
    """`number`: the token of a later holder of the lock that was seen here."""
    TOO_LARGE = 5
    """`number`: the bytes that the value would have had."""
    ABSENT = 6
    """A touch or delete of a key that is not there."""
    BUSY = 7
    """The command rewrites or returns more than one may; in a smaller one it can be done."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Proof that the writer holds a lock, as far as the partition written to can tell."""

    lock: bytes
    """The lock's name."""
    token: int
    """Larger for each later holder; from 1."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change; see the module."""

    action: Action
    operand: bytes = b""
    if_absent: bool = False
    if_revision: int | None = None
    """The revision that the key must have; 0: it must be absent."""
    if_value: bytes | None = None
    lifetime_ms: int | None = None
    returns_previous: bool = False
    fence: Fence | None = None


@dataclass(frozen=True, slots=True)
class ChangeAnswer:
    """What came of a change."""

    status: ChangeStatus
    number: int = 0
    record: bytes | None = None
    """What was there before, where that was asked for (codec/record.py)."""


def encode_change(change: Change) -> bytes:
    """`change` as the argument of an operation."""
    options = 0
    parts: list[bytes] = []
    if change.if_absent:
        options |= _Option.IF_ABSENT
    if change.if_revision is not None:
        options |= _Option.IF_REVISION
        parts.append(_U64.pack(change.if_revision))
    if change.if_value is not None:
        options |= _Option.IF_VALUE
        parts += (_U32.pack(len(change.if_value)), change.if_value)
    if change.lifetime_ms is not None:
        options |= _Option.LIFETIME
        parts.append(_U64.pack(change.lifetime_ms))
    if change.returns_previous:
        options |= _Option.RETURN_PREVIOUS
    if change.fence is not None:
        options |= _Option.FENCE
        name = change.fence.lock
        parts += (_U16.pack(len(name)), name, _U64.pack(change.fence.token))
    return b"".join((_HEAD.pack(change.action, options), *parts, change.operand))


def needs_clock(argument: bytes) -> bool:
    """Whether the change in `argument`, which decodes, begins a lifetime."""
    return bool(argument[1] & _Option.LIFETIME)


def decode_change(data: bytes) -> Change:
    """The change in `data`; raises CodecError where it does not follow the format."""
    try:
        return _decode(data)
    except (error, ValueError) as problem:
        raise CodecError(f"a change of {len(data)} bytes makes no sense: {problem}") from problem


def _decode(data: bytes) -> Change:
    number, options = _HEAD.unpack_from(data)
    action = Action(number)
    at = _HEAD.size
    if options & ~_OPTIONS:
        raise ValueError(f"options {options} are not known here")
    revision = value = lifetime_ms = fence = None
    if options & _Option.IF_REVISION:
        (revision,) = _U64.unpack_from(data, at)
        at += _U64.size
    if options & _Option.IF_VALUE:
        (length,) = _U32.unpack_from(data, at)
        at += _U32.size
        value = _take(data, at, length)
        at += length
    if options & _Option.LIFETIME:
        (lifetime_ms,) = _U64.unpack_from(data, at)
        at += _U64.size
        if not 1 <= lifetime_ms <= LIFETIME_MS_MAX:
            raise ValueError(f"a lifetime of {lifetime_ms} ms; the limit is {LIFETIME_MS_MAX}")
        if action is Action.DELETE:
            raise ValueError("a delete begins no lifetime")
    if options & _Option.FENCE:
        (length,) = _U16.unpack_from(data, at)
        name = _take(data, at + _U16.size, length)
        at += _U16.size + length
        (token,) = _U64.unpack_from(data, at)
        at += _U64.size
        fence = Fence(name, token)
    operand = data[at:]
    _check_operand(action, operand)
    return Change(
        action,
        operand,
        bool(options & _Option.IF_ABSENT),
        revision,
        value,
        lifetime_ms,
        bool(options & _Option.RETURN_PREVIOUS),
        fence,
    )


def _take(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise ValueError(f"{length} bytes at {at} are cut short")
    return data[at : at + length]


def _check_operand(action: Action, operand: bytes) -> None:
    if action is Action.INCREMENT:
        _INCREMENT.unpack(operand)
    elif action is Action.APPEND:
        _U32.unpack_from(operand)
    elif action is not Action.PUT and operand:
        raise ValueError(f"a {action.name.lower()} has no operand")


def increment_operand(by: int, initial: int) -> bytes:
    """Of an increment; both are 64-bit signed numbers."""
    return _INCREMENT.pack(by, initial)


def increment_of(operand: bytes) -> tuple[int, int]:
    """By how much, and what an absent key counts as."""
    by, initial = _INCREMENT.unpack(operand)
    return by, initial


def append_operand(value_bytes_max: int, suffix: bytes) -> bytes:
    """Of an append that may make a value of so many bytes at most."""
    return _U32.pack(value_bytes_max) + suffix


def append_of(operand: bytes) -> tuple[int, bytes]:
    """The most bytes that the value may have then, and what to append."""
    return _U32.unpack_from(operand)[0], operand[_U32.size :]


def encode_answer(answer: ChangeAnswer) -> bytes:
    """`answer` as the extra of a result (codec/results.py)."""
    record = answer.record
    head = _ANSWER.pack(answer.status, answer.number, record is not None)
    return head if record is None else head + record


def decode_answer(data: bytes) -> ChangeAnswer:
    """The answer in `data`; raises CodecError."""
    try:
        number, value, has_record = _ANSWER.unpack_from(data)
        status = ChangeStatus(number)
    except (error, ValueError) as problem:
        raise CodecError(f"an answer of {len(data)} bytes makes no sense: {problem}") from problem
    if has_record not in (0, 1) or (not has_record and len(data) != _ANSWER.size):
        raise CodecError("an answer is followed by more bytes")
    return ChangeAnswer(status, value, data[_ANSWER.size :] if has_record else None)
