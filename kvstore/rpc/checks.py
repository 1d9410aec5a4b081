"""What must hold of a section before it reaches the host: all that applying it takes for granted.

A command is proposed as the client encoded it, and every replica applies it for ever after: what
breaks a rule or a limit has to be found here, once. Raises InvalidArgument or CodecError.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cluster.ids import PartitionId
from cluster.partition.ranges import partition_of_hash
from kvstore.codec.byteslist import CodecError, decode_list
from kvstore.codec.change import (
    INTEGER_MAX,
    Action,
    Change,
    append_of,
    decode_change,
)
from kvstore.codec.command import (
    CLIENT_KINDS,
    SIMPLE_KINDS,
    Command,
    OperationKind,
    decode_command,
)
from kvstore.codec.limits import Limits
from kvstore.codec.routing import key_hash
from kvstore.codec.scan import Scan, decode_scan
from kvstore.codec.transaction import Subject, Transaction, decode_transaction
from kvstore.errors import InvalidArgument
from kvstore.generated.kvstore.v1 import kv_pb2 as pb

# Plain numbers, because they are compared for every operation.
_DELETE: Final = int(OperationKind.DELETE)
_CHANGE: Final = int(OperationKind.CHANGE)
_TRANSACTION: Final = int(OperationKind.TRANSACTION)


def check_command(body: bytes, partition: PartitionId, partitions: int, limits: Limits) -> None:
    """Everything that must hold of a command before it is proposed."""
    if len(body) > limits.batch_bytes_max:
        raise InvalidArgument(
            f"a partition's section has {len(body)} bytes; the limit is {limits.batch_bytes_max}"
        )
    command = decode_command(body)
    if not command.keys:
        raise InvalidArgument("a command has no operations; the least is 1")
    if command.clock_ms:
        raise InvalidArgument(f"clock is {command.clock_ms}; only a leader sets it")
    _check_keys(command.keys, partition, partitions, limits)
    if command.kinds.translate(None, SIMPLE_KINDS):
        timed = _check_operations(command, partition, partitions, limits)
    else:
        timed = False
        for argument in command.arguments:
            limits.check_value(argument)
        if _DELETE in command.kinds:
            _check_deletes(command)
    if timed is not command.is_timed:
        begins = "begins a lifetime" if timed else "begins no lifetime"
        raise InvalidArgument(f"timed is {command.is_timed}, and the command {begins}")


def _check_keys(
    keys: Iterable[bytes], partition: PartitionId, partitions: int, limits: Limits
) -> None:
    for key in keys:
        limits.check_key(key)
        if partition_of_hash(key_hash(key), partitions) != partition:
            raise InvalidArgument(f"key {key!r} does not belong to partition {partition}")


def _check_deletes(command: Command) -> None:
    for kind, argument in zip(command.kinds, command.arguments, strict=True):
        if kind == _DELETE and argument:
            raise InvalidArgument(f"a delete has an argument of {len(argument)} bytes; it has none")


def _check_operations(
    command: Command, partition: PartitionId, partitions: int, limits: Limits
) -> bool:
    """Of a command that has more than puts and deletes; says whether it begins a lifetime."""
    if command.kinds.translate(None, CLIENT_KINDS):
        raise InvalidArgument("a command has an operation that clients may not ask for")
    _check_deletes(command)
    timed = False
    for kind, key, argument in zip(command.kinds, command.keys, command.arguments, strict=True):
        if kind == _CHANGE:
            timed |= _check_change(decode_change(argument), limits)
        elif kind == _TRANSACTION:
            transaction = decode_transaction(argument)
            named = set(transaction.keys())
            if key not in named:
                raise InvalidArgument(f"key {key!r} is not among those of its transaction")
            _check_keys(named, partition, partitions, limits)
            timed |= _check_transaction(transaction, limits)
        else:
            limits.check_value(argument)
    return timed


def _check_transaction(transaction: Transaction, limits: Limits) -> bool:
    for comparison in transaction.comparisons:
        if comparison.subject is Subject.VALUE:
            limits.check_value(comparison.operand)
    timed = False
    for branch in (transaction.then, transaction.otherwise):
        for kind, argument in zip(branch.kinds, branch.arguments, strict=True):
            if kind == _CHANGE:
                timed |= _check_change(decode_change(argument), limits)
            else:
                limits.check_value(argument)
    return timed


def _check_change(change: Change, limits: Limits) -> bool:
    """Says whether it begins a lifetime."""
    if change.action is Action.PUT:
        limits.check_value(change.operand)
    elif change.action is Action.APPEND:
        bytes_max, suffix = append_of(change.operand)
        limits.check_value(suffix)
        if bytes_max > limits.value_bytes_max:
            raise InvalidArgument(
                f"an append may make a value of {bytes_max} bytes; "
                f"the limit is {limits.value_bytes_max}"
            )
    if change.if_value is not None:
        limits.check_value(change.if_value)
    if change.fence is not None:
        name, token = change.fence.lock, change.fence.token
        if not 1 <= len(name) <= limits.key_bytes_max:
            raise InvalidArgument(
                f"a lock's name has {len(name)} bytes; the limit is 1 to {limits.key_bytes_max}"
            )
        if not 1 <= token <= INTEGER_MAX:
            raise InvalidArgument(f"a token is {token}; the limit is 1 to {INTEGER_MAX}")
    return change.lifetime_ms is not None


def question_of(kind: int, body: bytes, limits: Limits) -> list[bytes] | Scan:
    """What a section asks for that is no write: keys, or a scan."""
    if kind == pb.SECTION_KIND_SCAN:
        return decode_scan(body)
    if kind != pb.SECTION_KIND_READ:
        raise InvalidArgument(f"section kind {kind} is not known here")
    keys, end = decode_list(body)
    if end != len(body) or not keys:
        raise CodecError("a read is a list of one key or more, and nothing else")
    for key in keys:
        limits.check_key(key)
    return keys
