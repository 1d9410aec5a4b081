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
        AsyncClient,
        Client,
        ClusterStatus,
        Finding,
        GroupScrub,
        GroupStatus,
        Location,
        NodeStatus,
        ReplicaScrub,
        ScrubVerdict,
    )
    from kvstore.codec.record import Record
    from kvstore.errors import (
        ClientClosed,
        DeadlineExceeded,
        InvalidArgument,
        KVStoreError,
        Outcome,
        OutcomeUnknown,
        ResourceExhausted,
        SessionExpired,
        Unavailable,
    )
    from kvstore.local import LocalCluster

__all__ = [
    "AsyncClient",
    "Client",
    "ClientClosed",
    "ClusterStatus",
    "DeadlineExceeded",
    "Finding",
    "GroupScrub",
    "GroupStatus",
    "InvalidArgument",
    "KVStoreError",
    "LocalCluster",
    "Location",
    "NodeStatus",
    "Outcome",
    "OutcomeUnknown",
    "Record",
    "ReplicaScrub",
    "ResourceExhausted",
    "ScrubVerdict",
    "SessionExpired",
    "Unavailable",
]

_OF_CLIENT: Final = frozenset(
    {
        "AsyncClient",
        "Client",
        "ClusterStatus",
        "Finding",
        "GroupScrub",
        "GroupStatus",
        "Location",
        "NodeStatus",
        "ReplicaScrub",
        "ScrubVerdict",
    }
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _OF_CLIENT:
        home = "kvstore.client"
    elif name == "LocalCluster":
        home = "kvstore.local"
    else:
        home = "kvstore.codec.record" if name == "Record" else "kvstore.errors"
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
