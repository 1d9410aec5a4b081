"""What plain calls share: how long they may take, and parts of messages as values."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, Protocol, cast

import grpc.aio

from kvstore.codec.change import LIFETIME_MS_MAX, Fence
from kvstore.codec.record import Record
from kvstore.errors import InvalidArgument
from kvstore.generated.kvstore.v1 import kv_pb2 as pb

_TIMEOUT_S_DEFAULT: Final = 10.0
_TIMEOUT_S_MAX: Final = 60.0
_MARGIN_S_MIN: Final = 0.05

Context = grpc.aio.ServicerContext[Any, Any]


class HasTtl(Protocol):
    """A message with a lifetime."""

    ttl_ms: int

    def HasField(self, field_name: Any, /) -> bool:  # noqa: N802 - protobuf's name
        """Whether it is given."""
        ...


def time_left_s(context: Context) -> float:
    """Until when to answer: before the caller gives up, so that it learns what is known."""
    # None without a deadline, whatever the stubs say.
    left = cast("float | None", context.time_remaining())
    if left is None:
        return _TIMEOUT_S_DEFAULT
    left = min(left, _TIMEOUT_S_MAX)
    return max(0.0, left - max(_MARGIN_S_MIN, left / 10))


def record_to_wire(key: bytes, record: Record) -> pb.Record:
    """A record with its key."""
    return pb.Record(
        key=key,
        value=record.value,
        version=record.version,
        create_revision=record.create_revision,
        mod_revision=record.mod_revision,
        expiry_ms=record.expiry_ms,
    )


def ttl_of(request: HasTtl) -> timedelta | None:
    """The lifetime of `request`, where it has one; raises InvalidArgument."""
    if not request.HasField("ttl_ms"):
        return None
    if not 1 <= request.ttl_ms <= LIFETIME_MS_MAX:
        raise InvalidArgument(
            f"ttl_ms is {request.ttl_ms}; it must be 1 to {LIFETIME_MS_MAX}, or absent"
        )
    return timedelta(milliseconds=request.ttl_ms)


def fence_of(
    request: pb.PutRequest
    | pb.DeleteRequest
    | pb.IncrementRequest
    | pb.AppendRequest
    | pb.TouchRequest
    | pb.TransactionRequest,
) -> Fence | None:
    """The fence of `request`, where it has one."""
    if not request.HasField("fence"):
        return None
    return Fence(request.fence.lock, request.fence.token)
