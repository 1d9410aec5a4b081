"""The plain operations on keys: one call each, for any language, sent to any node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypedDict, TypeVar

import grpc

from kvstore.client.changes import DeleteResult, PutResult
from kvstore.client.receipts import Receipt
from kvstore.codec.limits import MESSAGE_BYTES_MAX
from kvstore.codec.record import Record
from kvstore.errors import InvalidArgument, KVStoreError, ResourceExhausted
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.rpc.errors import refuse_with
from kvstore.rpc.plain import Context, fence_of, record_to_wire, time_left_s, ttl_of
from kvstore.rpc.read_levels import (
    level_of,
    level_of_many,
    receipt_to_wire,
    receipts_to_wire,
)
from kvstore.rpc.router import Router
from kvstore.rpc.transaction_messages import compares_of, operations_of, results_to_wire

KEYS_MAX: Final = 10_000
"""Of one GetMany."""
_KEYS_AT_ONCE: Final = 256
"""Of those: how large their records are is known when they are there."""
_RESPONSE_BYTES_MAX: Final = MESSAGE_BYTES_MAX // 2

Q = TypeVar("Q")
R = TypeVar("R")


class _Conditions(TypedDict):
    """See Router.put."""

    if_revision: int | None
    if_value: bytes | None


class KeyCalls:
    """Part of KVService."""

    __slots__ = ("_router",)

    def __init__(self, router: Router) -> None:
        self._router = router

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """By method name."""
        return {
            "Get": _method(self.get, pb.GetRequest, pb.GetResponse),
            "Put": _method(self.put, pb.PutRequest, pb.PutResponse),
            "Delete": _method(self.delete, pb.DeleteRequest, pb.DeleteResponse),
            "Increment": _method(self.increment, pb.IncrementRequest, pb.IncrementResponse),
            "Append": _method(self.append, pb.AppendRequest, pb.AppendResponse),
            "Touch": _method(self.touch, pb.TouchRequest, pb.TouchResponse),
            "GetMany": _method(self.get_many, pb.GetManyRequest, pb.GetManyResponse),
            "Transaction": _method(self.transaction, pb.TransactionRequest, pb.TransactionResponse),
        }

    async def get(self, request: pb.GetRequest, timeout_s: float) -> pb.GetResponse:
        """One key, linearizable unless something else is asked for."""
        level, min_index = level_of(request)
        answer = await self._router.read(
            request.key, consistency=level, min_index=min_index, timeout_s=timeout_s
        )
        return pb.GetResponse(
            record=_optional(request.key, answer.record),
            receipt=receipt_to_wire(answer.receipt),
        )

    async def put(self, request: pb.PutRequest, timeout_s: float) -> pb.PutResponse:
        """One key, durable when it returns."""
        receipts: list[Receipt] = []
        result = await self._router.put(
            request.key,
            request.value,
            ttl=ttl_of(request),
            if_absent=request.if_absent,
            return_previous=request.return_previous,
            fence=fence_of(request),
            receipts=receipts,
            timeout_s=timeout_s,
            **_conditions(request),
        )
        receipt = _last(receipts)
        response = pb.PutResponse(receipt=receipt, index=0 if receipt is None else receipt.index)
        if not isinstance(result, PutResult):
            response.revision = result
            return response
        response.revision = result.revision
        if result.previous is not None:
            response.previous.CopyFrom(record_to_wire(request.key, result.previous))
        return response

    async def delete(self, request: pb.DeleteRequest, timeout_s: float) -> pb.DeleteResponse:
        """One key, durable when it returns."""
        receipts: list[Receipt] = []
        result = await self._router.delete(
            request.key,
            return_previous=request.return_previous,
            fence=fence_of(request),
            receipts=receipts,
            timeout_s=timeout_s,
            **_conditions(request),
        )
        receipt = _last(receipts)
        response = pb.DeleteResponse(receipt=receipt, index=0 if receipt is None else receipt.index)
        if not isinstance(result, DeleteResult):
            response.deleted = result
            return response
        response.deleted = result.deleted
        if result.previous is not None:
            response.previous.CopyFrom(record_to_wire(request.key, result.previous))
        return response

    async def increment(
        self, request: pb.IncrementRequest, timeout_s: float
    ) -> pb.IncrementResponse:
        """One number, durable when it returns."""
        receipts: list[Receipt] = []
        number = await self._router.increment(
            request.key,
            request.by if request.HasField("by") else 1,
            initial=request.initial,
            ttl=ttl_of(request),
            fence=fence_of(request),
            receipts=receipts,
            timeout_s=timeout_s,
        )
        return pb.IncrementResponse(number=number, receipt=_last(receipts))

    async def append(self, request: pb.AppendRequest, timeout_s: float) -> pb.AppendResponse:
        """One value, durable when it returns."""
        receipts: list[Receipt] = []
        length = await self._router.append(
            request.key,
            request.suffix,
            ttl=ttl_of(request),
            fence=fence_of(request),
            receipts=receipts,
            timeout_s=timeout_s,
        )
        return pb.AppendResponse(length=length, receipt=_last(receipts))

    async def touch(self, request: pb.TouchRequest, timeout_s: float) -> pb.TouchResponse:
        """One key's lifetime, durable when it returns."""
        receipts: list[Receipt] = []
        touched = await self._router.touch(
            request.key,
            ttl_of(request),
            fence=fence_of(request),
            receipts=receipts,
            timeout_s=timeout_s,
            **_conditions(request),
        )
        return pb.TouchResponse(touched=touched, receipt=_last(receipts))

    async def get_many(self, request: pb.GetManyRequest, timeout_s: float) -> pb.GetManyResponse:
        """Several keys, each linearizable unless something else is asked for."""
        if len(request.keys) > KEYS_MAX:
            raise InvalidArgument(f"{len(request.keys)} keys; the limit is {KEYS_MAX}")
        level = level_of_many(request)
        keys = list(dict.fromkeys(request.keys))
        receipts: list[Receipt] = []
        response = pb.GetManyResponse()
        size = 0
        now_s = asyncio.get_running_loop().time
        deadline_s = now_s() + timeout_s
        for first in range(0, len(keys), _KEYS_AT_ONCE):
            found = await self._router.get_many_records(
                keys[first : first + _KEYS_AT_ONCE],
                consistency=level,
                receipts=receipts,
                timeout_s=max(deadline_s - now_s(), 0.001),
            )
            size += sum(len(key) + len(record.value) for key, record in found.items())
            if size > _RESPONSE_BYTES_MAX:
                raise ResourceExhausted(
                    f"the records have more than {_RESPONSE_BYTES_MAX} bytes, which is the most "
                    "of an answer; ask for fewer keys at once"
                )
            response.records.extend(record_to_wire(*each) for each in found.items())
        response.receipts.extend(receipts_to_wire(dict.fromkeys(receipts)))
        return response

    async def transaction(
        self, request: pb.TransactionRequest, timeout_s: float
    ) -> pb.TransactionResponse:
        """Keys of one partition, all or none."""
        then = operations_of("then", request.then)
        otherwise = operations_of("otherwise", request.otherwise)
        receipts: list[Receipt] = []
        result = await self._router.transaction(
            compares_of(request.compare),
            then,
            otherwise,
            fence=fence_of(request),
            receipts=receipts,
            timeout_s=timeout_s,
        )
        done = then if result.succeeded else otherwise
        return pb.TransactionResponse(
            succeeded=result.succeeded,
            results=results_to_wire(done, result.results),
            receipt=_last(receipts),
        )


def _method(
    answer: Callable[[Q, float], Awaitable[R]], request: Any, response: Any
) -> grpc.RpcMethodHandler[Any, Any]:
    async def call(asked: Q, context: Context) -> R:
        try:
            return await answer(asked, time_left_s(context))
        except KVStoreError as problem:
            await refuse_with(context, problem)

    return grpc.unary_unary_rpc_method_handler(
        call,
        request_deserializer=request.FromString,
        response_serializer=response.SerializeToString,
    )


def _conditions(request: pb.PutRequest | pb.DeleteRequest | pb.TouchRequest) -> _Conditions:
    return {
        "if_revision": request.if_revision if request.HasField("if_revision") else None,
        "if_value": request.if_value if request.HasField("if_value") else None,
    }


def _last(receipts: list[Receipt]) -> pb.Receipt | None:
    """That of a write: None where its node is older than receipts are."""
    return receipt_to_wire(receipts[-1]) if receipts else None


def _optional(key: bytes, record: Record | None) -> pb.Record | None:
    return None if record is None else record_to_wire(key, record)
