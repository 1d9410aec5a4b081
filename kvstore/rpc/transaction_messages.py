"""Transactions as messages, and as the client library has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from kvstore.client.transactions import (
    Append,
    Compare,
    Delete,
    Get,
    Increment,
    Operation,
    OperationResult,
    Put,
    Touch,
)
from kvstore.codec.record import Record
from kvstore.codec.transaction import Subject
from kvstore.errors import InvalidArgument
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.rpc.plain import record_to_wire, ttl_of

_RELATIONS: Final = {
    pb.Comparison.RELATION_EQUAL: "==",
    pb.Comparison.RELATION_NOT_EQUAL: "!=",
    pb.Comparison.RELATION_LESS: "<",
    pb.Comparison.RELATION_GREATER: ">",
}
_SUBJECTS: Final = {
    pb.Comparison.SUBJECT_VALUE: Subject.VALUE,
    pb.Comparison.SUBJECT_VERSION: Subject.VERSION,
    pb.Comparison.SUBJECT_CREATE_REVISION: Subject.CREATE_REVISION,
    pb.Comparison.SUBJECT_MOD_REVISION: Subject.MOD_REVISION,
}
_TAKEN: Final = frozenset({"key", "value", "by", "initial", "suffix", "ttl_ms"})
"""What an operation may say inside a transaction."""


def compares_of(messages: Iterable[pb.Comparison]) -> list[Compare]:
    """What has to hold; raises InvalidArgument."""
    compares: list[Compare] = []
    for position, each in enumerate(messages):
        where = f"compare[{position}]"
        subject, relation = _SUBJECTS.get(each.subject), _RELATIONS.get(each.relation)
        if subject is None or relation is None:
            raise InvalidArgument(
                f"{where}: subject is {each.subject}, relation is {each.relation}; "
                "both must be 1 to 4"
            )
        wanted = "value" if subject is Subject.VALUE else "number"
        if each.WhichOneof("operand") != wanted:
            raise InvalidArgument(f"{where}: a {subject.name.lower()} is compared with a {wanted}")
        operand = each.value if subject is Subject.VALUE else each.number
        compares.append(Compare(each.key, subject, relation, operand))
    return compares


def operations_of(name: str, messages: Iterable[pb.Operation]) -> list[Operation]:
    """What to do; raises InvalidArgument."""
    operations: list[Operation] = []
    for position, each in enumerate(messages):
        try:
            operations.append(_operation(each))
        except InvalidArgument as problem:
            raise InvalidArgument(f"{name}[{position}]: {problem}") from problem
    return operations


def _operation(message: pb.Operation) -> Operation:
    which = message.WhichOneof("operation")
    if which is None:
        raise InvalidArgument("says no operation")
    for field, _ in getattr(message, which).ListFields():
        if field.name not in _TAKEN:
            raise InvalidArgument(f"{field.name} does not stand inside a transaction")
    match which:
        case "put":
            return Put(message.put.key, message.put.value, ttl_of(message.put))
        case "delete":
            return Delete(message.delete.key)
        case "get":
            return Get(message.get.key)
        case "increment":
            add = message.increment
            by = add.by if add.HasField("by") else 1
            return Increment(add.key, by, add.initial, ttl_of(add))
        case "append":
            return Append(message.append.key, message.append.suffix, ttl_of(message.append))
        case _:
            return Touch(message.touch.key, ttl_of(message.touch))


def results_to_wire(
    operations: Sequence[Operation], results: Sequence[OperationResult]
) -> list[pb.OperationResult]:
    """What came of each operation."""
    return [_result(*each) for each in zip(operations, results, strict=True)]


def _result(operation: Operation, result: OperationResult) -> pb.OperationResult:
    if isinstance(operation, Get):
        got = pb.GetResponse()
        if isinstance(result, Record):
            key = operation.key if isinstance(operation.key, bytes) else operation.key.encode()
            got.record.CopyFrom(record_to_wire(key, result))
        return pb.OperationResult(get=got)
    number = result if isinstance(result, int) else 0
    match operation:
        case Put():
            return pb.OperationResult(put=pb.PutResponse(revision=number))
        case Delete():
            return pb.OperationResult(delete=pb.DeleteResponse(deleted=bool(result)))
        case Increment():
            return pb.OperationResult(increment=pb.IncrementResponse(number=number))
        case Append():
            return pb.OperationResult(append=pb.AppendResponse(length=number))
        case Touch():
            return pb.OperationResult(touch=pb.TouchResponse(touched=bool(result)))
