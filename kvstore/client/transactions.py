"""Transactions: what they are made of, as values; checked, as bytes, and what they came to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cluster.partition.ranges import partition_of_hash
from kvstore.client.arguments import as_bytes
from kvstore.client.changes import (
    Ttl,
    answer_of,
    check_change,
    check_fence,
    check_operation_bytes,
    checked_change,
    checked_integer,
    checked_revision,
    refusal,
    unreadable,
)
from kvstore.codec.byteslist import CodecError
from kvstore.codec.change import (
    Action,
    Change,
    ChangeStatus,
    Fence,
    append_operand,
    decode_answer,
    encode_change,
    increment_operand,
)
from kvstore.codec.command import OperationKind
from kvstore.codec.limits import Limits
from kvstore.codec.record import Record, decode_record
from kvstore.codec.results import Results, decode_results
from kvstore.codec.routing import key_hash
from kvstore.codec.transaction import (
    OPERATIONS_MAX,
    Branch,
    Comparison,
    Operations,
    Relation,
    Subject,
    Transaction,
    decode_transaction_answer,
    encode_transaction,
    number_operand,
)
from kvstore.errors import InvalidArgument

RelationName = Literal["==", "!=", "<", ">"]

_RELATIONS: Final[dict[object, Relation]] = {
    "==": Relation.EQUAL,
    "!=": Relation.NOT_EQUAL,
    "<": Relation.LESS,
    ">": Relation.GREATER,
}


@dataclass(frozen=True, slots=True)
class Compare:
    """What has to hold of a key for a transaction to do `then`; made by its class methods."""

    key: bytes | str
    subject: Subject
    relation: str
    operand: bytes | str | int

    @classmethod
    def value(cls, key: bytes | str, relation: RelationName, value: bytes | str) -> Compare:
        """The value under `key`, byte by byte; an absent key compares as the empty value."""
        return cls(key, Subject.VALUE, relation, value)

    @classmethod
    def version(cls, key: bytes | str, relation: RelationName, version: int) -> Compare:
        """The writes to `key` since it was created; of an absent key 0."""
        return cls(key, Subject.VERSION, relation, version)

    @classmethod
    def create_revision(cls, key: bytes | str, relation: RelationName, revision: int) -> Compare:
        """The revision of the write that created `key`; of an absent key 0."""
        return cls(key, Subject.CREATE_REVISION, relation, revision)

    @classmethod
    def mod_revision(cls, key: bytes | str, relation: RelationName, revision: int) -> Compare:
        """The revision of the last write to `key`; of an absent key 0."""
        return cls(key, Subject.MOD_REVISION, relation, revision)

    @classmethod
    def exists(cls, key: bytes | str) -> Compare:
        """There is such a key."""
        return cls(key, Subject.VERSION, ">", 0)

    @classmethod
    def absent(cls, key: bytes | str) -> Compare:
        """There is no such key."""
        return cls(key, Subject.VERSION, "==", 0)


@dataclass(frozen=True, slots=True)
class Put:
    """Stores a value; gives the revision."""

    key: bytes | str
    value: bytes | str
    ttl: Ttl | None = None
    """None: the key then does not expire."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes a key; gives whether there was one."""

    key: bytes | str


@dataclass(frozen=True, slots=True)
class Get:
    """Reads a key, as the operations before it left it; gives its Record, or None."""

    key: bytes | str


@dataclass(frozen=True, slots=True)
class Increment:
    """Adds to a decimal number, as `AsyncClient.increment` does; gives the sum."""

    key: bytes | str
    by: int = 1
    initial: int = 0
    ttl: Ttl | None = None
    """None: the lifetime stays as it is."""


@dataclass(frozen=True, slots=True)
class Append:
    """Adds to the end of a value; gives its new length in bytes."""

    key: bytes | str
    suffix: bytes | str
    ttl: Ttl | None = None
    """None: the lifetime stays as it is."""


@dataclass(frozen=True, slots=True)
class Touch:
    """Gives a key a new lifetime, None: no end; gives whether there was such a key."""

    key: bytes | str
    ttl: Ttl | None


Operation = Put | Delete | Get | Increment | Append | Touch
OperationResult = int | bool | Record | None


@dataclass(frozen=True, slots=True)
class TransactionResult:
    """What a transaction came to."""

    succeeded: bool
    """All comparisons held: `then` was done, else `otherwise`."""
    results: list[OperationResult]
    """Of the operations that were done, in order; see each operation for what it gives."""


# --- as bytes


def checked_transaction(
    compare: Sequence[Compare],
    then: Sequence[Operation],
    otherwise: Sequence[Operation],
    fence: Fence | None,
    limits: Limits,
) -> Transaction:
    """What callers hand in, as it travels; InvalidArgument names the part that breaks a rule."""
    given: tuple[tuple[str, object], ...] = (
        ("compare", compare),
        ("then", then),
        ("otherwise", otherwise),
    )
    for name, parts in given:
        if not isinstance(parts, Sequence) or isinstance(parts, str | bytes):
            raise InvalidArgument(f"{name} must be a sequence, not {type(parts).__name__}")
        if len(parts) > OPERATIONS_MAX:
            raise InvalidArgument(f"{name} has {len(parts)} parts; the limit is {OPERATIONS_MAX}")
    check_fence(fence, limits)
    comparisons: list[Comparison] = []
    for position, each in enumerate(compare):
        try:
            comparisons.append(_comparison(each, limits))
        except InvalidArgument as problem:
            raise InvalidArgument(f"compare[{position}]: {problem}") from problem
    return Transaction(
        comparisons,
        _operations("then", then, fence, limits),
        _operations("otherwise", otherwise, fence, limits),
    )


def _comparison(compare: Compare, limits: Limits) -> Comparison:
    if not isinstance(compare, Compare):
        raise InvalidArgument(f"must be a Compare, not {type(compare).__name__}")
    key = as_bytes("key", compare.key)
    limits.check_key(key)
    relation = _RELATIONS.get(compare.relation) if isinstance(compare.relation, str) else None
    if relation is None:
        raise InvalidArgument(f"relation is {compare.relation!r}; it must be ==, !=, < or >")
    if compare.subject is Subject.VALUE:
        operand = as_bytes("value", compare.operand)
        limits.check_value(operand)
    else:
        name = compare.subject.name.lower()
        operand = number_operand(checked_revision(name, compare.operand))
    return Comparison(key, compare.subject, relation, operand)


def _operations(
    name: str, operations: Sequence[Operation], fence: Fence | None, limits: Limits
) -> Operations:
    kinds = bytearray()
    keys: list[bytes] = []
    arguments: list[bytes] = []
    for position, each in enumerate(operations):
        try:
            kind, key, argument = _operation(each, fence, limits)
        except InvalidArgument as problem:
            raise InvalidArgument(f"{name}[{position}]: {problem}") from problem
        kinds.append(kind)
        keys.append(key)
        arguments.append(argument)
    return Operations(bytes(kinds), keys, arguments)


def _operation(
    operation: Operation, fence: Fence | None, limits: Limits
) -> tuple[OperationKind, bytes, bytes]:
    if not isinstance(operation, Operation):
        raise InvalidArgument(
            "must be a Put, Delete, Get, Increment, Append or Touch, "
            f"not {type(operation).__name__}"
        )
    key = as_bytes("key", operation.key)
    limits.check_key(key)
    if isinstance(operation, Get):
        return OperationKind.GET, key, b""
    change = _change(operation, fence, limits)
    check_change(change, limits)
    if change.lifetime_ms is None and fence is None:
        # The shorter form of the same.
        if change.action is Action.PUT:
            return OperationKind.PUT, key, change.operand
        if change.action is Action.DELETE:
            return OperationKind.DELETE, key, b""
    return OperationKind.CHANGE, key, encode_change(change)


def _change(
    operation: Put | Delete | Increment | Append | Touch, fence: Fence | None, limits: Limits
) -> Change:
    match operation:
        case Put():
            value = as_bytes("value", operation.value)
            return checked_change(Action.PUT, value, ttl=operation.ttl, fence=fence)
        case Delete():
            return checked_change(Action.DELETE, fence=fence)
        case Increment():
            operand = increment_operand(
                checked_integer("by", operation.by), checked_integer("initial", operation.initial)
            )
            return checked_change(Action.INCREMENT, operand, ttl=operation.ttl, fence=fence)
        case Append():
            suffix = as_bytes("suffix", operation.suffix)
            operand = append_operand(limits.value_bytes_max, suffix)
            return checked_change(Action.APPEND, operand, ttl=operation.ttl, fence=fence)
        case Touch():
            return checked_change(Action.TOUCH, ttl=operation.ttl, fence=fence)


def encoded_transaction(
    transaction: Transaction, partitions: int, limits: Limits
) -> tuple[bytes, bytes]:
    """The key by which `transaction` finds its partition, and the argument; InvalidArgument where
    it has none, or several partitions, or is too large."""
    first: bytes | None = None
    home = 0
    names = transaction.keys()
    for key in names:
        partition = partition_of_hash(key_hash(key), partitions)
        if first is None:
            first, home = key, partition
        elif partition != home:
            raise InvalidArgument(
                f"keys {first!r} and {key!r} are in different partitions, {home} and {partition}; "
                "a transaction stays in one. Keys that have the same part in braces are always "
                "together: {user:7}/name and {user:7}/mail"
            )
    if first is None:
        raise InvalidArgument("the transaction names no key; give it an operation or a comparison")
    argument = encode_transaction(transaction)
    check_operation_bytes(first, argument, limits)
    return first, argument


# --- answers


def result_of(
    key: bytes, encoded: bytes, then: Sequence[Operation], otherwise: Sequence[Operation]
) -> TransactionResult:
    """What the transaction came to; raises where one of its changes was refused."""
    try:
        answer = decode_transaction_answer(encoded)
        if answer.branch is Branch.FAILED:
            raise refusal(
                f"operation {answer.position} of the transaction", decode_answer(answer.body)
            )
        succeeded = answer.branch is Branch.THEN
        operations = then if succeeded else otherwise
        results = decode_results(answer.body)
        if not isinstance(results, Results) or len(results.revisions) != len(operations):
            raise CodecError(f"{len(operations)} operations have other results")
        extras = results.extras or [None] * len(operations)
        triples = zip(operations, results.revisions, extras, strict=True)
        return TransactionResult(succeeded, [_result(*each) for each in triples])
    except CodecError as problem:
        raise unreadable(key, problem) from problem


def _result(operation: Operation, revision: int, extra: bytes | None) -> OperationResult:
    if isinstance(operation, Get):
        return None if extra is None else decode_record(extra)
    if extra is None:
        return revision != 0 if isinstance(operation, Delete) else revision
    answer = answer_of(as_bytes("key", operation.key), extra)
    if isinstance(operation, Delete | Touch):
        return answer.status is ChangeStatus.DONE
    return revision if isinstance(operation, Put) else answer.number
