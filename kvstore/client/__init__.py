"""The client library: `AsyncClient` for asyncio, `Client` for threads, one vocabulary.

Read in this order: `operations` are columns of what is asked; `outbox` queues them by partition;
`lane` carries queues to a node; `routing` says which node; `dispatch` ties these together and
decides what each answer means; `async_client` is the face, with `key_operations`,
`group_operations` and `range_operations` for what it does to keys; `changes` and `transactions` are
what travels for it.
"""

from kvstore.client.async_client import AsyncClient
from kvstore.client.changes import DeleteResult, PutResult
from kvstore.client.leaders import LeaderPlacement
from kvstore.client.levels import Consistency, Seen, Stale
from kvstore.client.lock import Lock
from kvstore.client.receipts import Answer, Receipt
from kvstore.client.scanning import AsyncScan
from kvstore.client.scrub import Finding, GroupScrub, ReplicaScrub, ScrubVerdict
from kvstore.client.status import ClusterStatus, GroupStatus, Location, NodeStatus
from kvstore.client.sync_client import Client
from kvstore.client.sync_lock import SyncLock
from kvstore.client.sync_scan import SyncScan
from kvstore.client.transactions import (
    Append,
    Compare,
    Delete,
    Get,
    Increment,
    Put,
    Touch,
    TransactionResult,
)

__all__ = [
    "Answer",
    "Append",
    "AsyncClient",
    "AsyncScan",
    "Client",
    "ClusterStatus",
    "Compare",
    "Consistency",
    "Delete",
    "DeleteResult",
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
    "Receipt",
    "ReplicaScrub",
    "ScrubVerdict",
    "Seen",
    "Stale",
    "SyncLock",
    "SyncScan",
    "Touch",
    "TransactionResult",
]
