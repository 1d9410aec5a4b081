"""The client library: `AsyncClient` for asyncio, `Client` for threads, one vocabulary.

Read in this order: `operations` are columns of what is asked; `outbox` queues them by partition;
`lane` carries queues to a node; `routing` says which node; `dispatch` ties these together and
decides what each answer means; `async_client` is the face.
"""

from kvstore.client.async_client import AsyncClient
from kvstore.client.scrub import Finding, GroupScrub, ReplicaScrub, ScrubVerdict
from kvstore.client.status import ClusterStatus, GroupStatus, Location, NodeStatus
from kvstore.client.sync_client import Client

__all__ = [
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
]
