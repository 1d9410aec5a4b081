"""A distributed key-value store: partitioned, replicated by Raft, durable and linearizable.

```python
from kvstore import AsyncClient, Client
```

Names are loaded when they are first used, so that a node does not load the client, nor a program
that only catches errors gRPC.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kvstore.client import (
        Answer,
        Append,
        AsyncClient,
        AsyncScan,
        Client,
        ClusterStatus,
        Compare,
        Consistency,
        Delete,
        DeleteResult,
        Finding,
        Get,
        GroupScrub,
        GroupStatus,
        Increment,
        LeaderPlacement,
        Location,
        Lock,
        NodeStatus,
        Put,
        PutResult,
        Receipt,
        ReplicaScrub,
        ScrubVerdict,
        Seen,
        Stale,
        SyncLock,
        SyncScan,
        Touch,
        TransactionResult,
    )
    from kvstore.codec.change import Fence
    from kvstore.codec.record import Record
    from kvstore.errors import (
        BatchFailed,
        ClientClosed,
        ConditionFailed,
        CounterOverflow,
        DeadlineExceeded,
        Fenced,
        InvalidArgument,
        KVStoreError,
        LockLost,
        LockTimeout,
        NotANumber,
        Outcome,
        OutcomeUnknown,
        ResourceExhausted,
        ScanExpired,
        SessionExpired,
        Unavailable,
    )
    from kvstore.local import LocalCluster

__all__ = [
    "Answer",
    "Append",
    "AsyncClient",
    "AsyncScan",
    "BatchFailed",
    "Client",
    "ClientClosed",
    "ClusterStatus",
    "Compare",
    "ConditionFailed",
    "Consistency",
    "CounterOverflow",
    "DeadlineExceeded",
    "Delete",
    "DeleteResult",
    "Fence",
    "Fenced",
    "Finding",
    "Get",
    "GroupScrub",
    "GroupStatus",
    "Increment",
    "InvalidArgument",
    "KVStoreError",
    "LeaderPlacement",
    "LocalCluster",
    "Location",
    "Lock",
    "LockLost",
    "LockTimeout",
    "NodeStatus",
    "NotANumber",
    "Outcome",
    "OutcomeUnknown",
    "Put",
    "PutResult",
    "Receipt",
    "Record",
    "ReplicaScrub",
    "ResourceExhausted",
    "ScanExpired",
    "ScrubVerdict",
    "Seen",
    "SessionExpired",
    "Stale",
    "SyncLock",
    "SyncScan",
    "Touch",
    "TransactionResult",
    "Unavailable",
]

_OF_CLIENT: Final = frozenset(
    {
        "Append",
        "AsyncClient",
        "AsyncScan",
        "Client",
        "ClusterStatus",
        "Compare",
        "Delete",
        "DeleteResult",
        "Answer",
        "Consistency",
        "Finding",
        "Get",
        "GroupScrub",
        "GroupStatus",
        "Increment",
        "LeaderPlacement",
        "Location",
        "Lock",
        "NodeStatus",
        "Put",
        "PutResult",
        "ReplicaScrub",
        "ScrubVerdict",
        "SyncLock",
        "Touch",
        "TransactionResult",
        "Receipt",
        "Seen",
        "Stale",
        "SyncScan",
    }
)
_HOMES: Final = {
    "Fence": "kvstore.codec.change",
    "LocalCluster": "kvstore.local",
    "Record": "kvstore.codec.record",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "kvstore.client" if name in _OF_CLIENT else _HOMES.get(name, "kvstore.errors")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
