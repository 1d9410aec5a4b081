"""Levels of consistency and receipts in the plain operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kvstore.client import Consistency, Receipt, Seen, Stale
from kvstore.errors import InvalidArgument
from kvstore.generated.kvstore.v1 import kv_pb2 as pb

_TO_WIRE: Final = {
    Consistency.LINEARIZABLE: pb.CONSISTENCY_LINEARIZABLE,
    Consistency.SESSION: pb.CONSISTENCY_SESSION,
    Consistency.STALE: pb.CONSISTENCY_STALE,
}


def level_of(request: pb.GetRequest) -> tuple[Consistency | Stale, int | None]:
    """What `request` asks for: the level, and of a session the index; raises InvalidArgument."""
    match request.consistency:
        case pb.CONSISTENCY_UNSPECIFIED | pb.CONSISTENCY_LINEARIZABLE:
            return Consistency.LINEARIZABLE, None
        case pb.CONSISTENCY_SESSION:
            return Consistency.SESSION, request.min_index
        case pb.CONSISTENCY_STALE:
            return Stale(request.max_staleness_ms / 1000), None
    raise InvalidArgument(f"consistency {request.consistency} is not known here")


def level_of_many(request: pb.GetManyRequest | pb.ScanRequest) -> Consistency | Stale | Seen:
    """What `request` asks for, of all partitions; raises InvalidArgument."""
    match request.consistency:
        case pb.CONSISTENCY_UNSPECIFIED | pb.CONSISTENCY_LINEARIZABLE:
            return Consistency.LINEARIZABLE
        case pb.CONSISTENCY_SESSION:
            return Seen(dict(request.min_indexes))
        case pb.CONSISTENCY_STALE:
            return Stale(request.max_staleness_ms / 1000)
    raise InvalidArgument(f"consistency {request.consistency} is not known here")


def receipts_to_wire(receipts: Iterable[Receipt]) -> list[pb.Receipt]:
    """The same, as messages."""
    return [receipt_to_wire(each) for each in receipts]


def receipt_to_wire(receipt: Receipt) -> pb.Receipt:
    """The same, as a message."""
    return pb.Receipt(
        node_id=receipt.node,
        partition_id=receipt.partition,
        term=receipt.term,
        revision=receipt.revision,
        index=receipt.index,
        consistency=_TO_WIRE[receipt.level],
        age_ms=0 if receipt.age_s is None else round(receipt.age_s * 1000),
    )
