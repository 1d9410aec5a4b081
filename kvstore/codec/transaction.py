"""Transactions inside one partition: comparisons, and operations for either outcome.

```
u8 format = 1
u16 n comparisons | each: u8 subject | u8 relation | u16 length | key | u32 length | operand
then, and else:     u32 n | n × u8 operation kind | list of n keys | list of n arguments
```

All comparisons hold: the operations of `then` are done, else those of `else`, in order; later ones
see earlier ones. All are done or none. A change that is refused makes the transaction fail: it has
changed nothing then.

| subject | operand |
| --- | --- |
| value | the bytes; an absent key compares as the empty value |
| version, create revision, mod revision | u64; of an absent key 0 |

```
answer    u8 branch | u16 position | results (codec/results.py), or the answer of the change
```
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, unique
from struct import Struct, error
from typing import Final

from kvstore.codec.byteslist import CodecError, decode_list, encode_list
from kvstore.codec.change import ChangeStatus, decode_change, needs_clock
from kvstore.codec.command import OperationKind

TRANSACTION_FORMAT: Final = 1
OPERATIONS_MAX: Final = 1024
"""Comparisons, and operations of each branch."""

_HEAD: Final = Struct("<BH")
_COMPARISON: Final = Struct("<BBH")
_U32: Final = Struct("<I")
_U64: Final = Struct("<Q")
_ANSWER: Final = Struct("<BH")
_KINDS: Final = bytes(
    (OperationKind.PUT, OperationKind.DELETE, OperationKind.CHANGE, OperationKind.GET)
)


@unique
class Subject(IntEnum):
    """What of a key is compared."""

    VALUE = 1
    VERSION = 2
    CREATE_REVISION = 3
    MOD_REVISION = 4


@unique
class Relation(IntEnum):
    """What has to hold: subject, relation, operand."""

    EQUAL = 1
    NOT_EQUAL = 2
    LESS = 3
    GREATER = 4


@unique
class Branch(IntEnum):
    """What a transaction came to."""

    ELSE = 0
    THEN = 1
    FAILED = 2
    """The operation at `position` of its branch was refused; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Holds or not; see the module."""

    key: bytes
    subject: Subject
    relation: Relation
    operand: bytes
    """A value, or 8 bytes of a number."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Of one branch; parallel lists."""

    kinds: bytes = b""
    keys: Sequence[bytes] = ()
    arguments: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Transaction:
    """See the module."""

    comparisons: Sequence[Comparison]
    then: Operations
    otherwise: Operations

    def keys(self) -> Iterator[bytes]:
        """All keys that it names, some perhaps more than once."""
        for comparison in self.comparisons:
            yield comparison.key
        yield from self.then.keys
        yield from self.otherwise.keys

    @property
    def is_timed(self) -> bool:
        """Whether one of its changes begins a lifetime."""
        return any(
            kind == OperationKind.CHANGE and needs_clock(argument)
            for branch in (self.then, self.otherwise)
            for kind, argument in zip(branch.kinds, branch.arguments, strict=True)
        )


@dataclass(frozen=True, slots=True)
class TransactionAnswer:
    """What came of a transaction."""

    branch: Branch
    position: int
    """With FAILED: of the operation that was refused."""
    body: bytes
    """Results, or with FAILED the answer of that change."""


def number_operand(number: int) -> bytes:
    """Of a comparison with a version or revision."""
    return _U64.pack(number)


def encode_transaction(transaction: Transaction) -> bytes:
    """`transaction` as the argument of an operation."""
    parts = [_HEAD.pack(TRANSACTION_FORMAT, len(transaction.comparisons))]
    for each in transaction.comparisons:
        parts += (
            _COMPARISON.pack(each.subject, each.relation, len(each.key)),
            each.key,
            _U32.pack(len(each.operand)),
            each.operand,
        )
    for branch in (transaction.then, transaction.otherwise):
        parts += (
            _U32.pack(len(branch.kinds)),
            branch.kinds,
            encode_list(branch.keys),
            encode_list(branch.arguments),
        )
    return b"".join(parts)


def decode_transaction(data: bytes) -> Transaction:
    """The transaction in `data`, with all changes in it checked; raises CodecError."""
    try:
        return _decode(data)
    except (error, ValueError) as problem:
        if isinstance(problem, CodecError):
            raise
        raise CodecError(f"a transaction of {len(data)} bytes makes no sense: {problem}") from None


def _decode(data: bytes) -> Transaction:
    transaction_format, count = _HEAD.unpack_from(data)
    if transaction_format != TRANSACTION_FORMAT:
        raise CodecError(f"transactions of format {transaction_format} are not known here")
    _check_count(count)
    at = _HEAD.size
    comparisons: list[Comparison] = []
    for _ in range(count):
        comparison, at = _decode_comparison(data, at)
        comparisons.append(comparison)
    then, at = _decode_operations(data, at)
    otherwise, at = _decode_operations(data, at)
    if at != len(data):
        raise CodecError("a transaction is followed by more bytes")
    return Transaction(comparisons, then, otherwise)


def _decode_comparison(data: bytes, at: int) -> tuple[Comparison, int]:
    subject, relation, key_length = _COMPARISON.unpack_from(data, at)
    at += _COMPARISON.size
    key = data[at : at + key_length]
    at += key_length
    (length,) = _U32.unpack_from(data, at)
    at += _U32.size
    operand = data[at : at + length]
    at += length
    if at > len(data):
        raise CodecError("a comparison is cut short")
    comparison = Comparison(key, Subject(subject), Relation(relation), operand)
    if comparison.subject is not Subject.VALUE and len(operand) != _U64.size:
        raise CodecError(f"a {comparison.subject.name.lower()} of {len(operand)} bytes is none")
    return comparison, at


def _decode_operations(data: bytes, at: int) -> tuple[Operations, int]:
    (count,) = _U32.unpack_from(data, at)
    _check_count(count)
    at += _U32.size
    kinds = data[at : at + count]
    keys, at = decode_list(data, at + count)
    arguments, at = decode_list(data, at)
    if not len(kinds) == len(keys) == len(arguments) == count:
        raise CodecError("the lists of a transaction differ in length")
    if kinds.translate(None, _KINDS):
        raise CodecError("a transaction has an operation that cannot be part of one")
    for kind, argument in zip(kinds, arguments, strict=True):
        if kind == OperationKind.CHANGE:
            decode_change(argument)
        elif kind != OperationKind.PUT and argument:
            raise CodecError("a get or delete has no argument")
    return Operations(kinds, keys, arguments), at


def _check_count(count: int) -> None:
    if count > OPERATIONS_MAX:
        raise CodecError(f"{count} operations in a transaction; the limit is {OPERATIONS_MAX}")


def encode_transaction_answer(answer: TransactionAnswer) -> bytes:
    """`answer` as the extra of a result."""
    return _ANSWER.pack(answer.branch, answer.position) + answer.body


_FAILED: Final = bytes((Branch.FAILED,))
_BUSY: Final = bytes((ChangeStatus.BUSY,))
MAY_BE_BUSY: Final = frozenset((_FAILED, _BUSY))
"""What an answer begins with for which `is_busy` is worth asking."""


def is_busy(kind: int, extra: bytes) -> bool:
    """Whether an operation of that kind with that answer did nothing because its command had used
    up what one may rewrite or give back."""
    if kind == OperationKind.TRANSACTION:
        if extra[:1] != _FAILED:
            return False
        extra = extra[_ANSWER.size :]
    return extra[:1] == _BUSY


def decode_transaction_answer(data: bytes) -> TransactionAnswer:
    """The answer in `data`; raises CodecError."""
    try:
        branch, position = _ANSWER.unpack_from(data)
        return TransactionAnswer(Branch(branch), position, data[_ANSWER.size :])
    except (error, ValueError) as problem:
        raise CodecError(f"an answer of {len(data)} bytes makes no sense: {problem}") from problem
