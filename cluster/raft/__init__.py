"""The consensus core: one replica of one group, sans-IO.

`Raft` (core.py) is what a host drives; `Ready` (ready.py) is what it asks of the host, and
`LogStorage` (storage.py) what it reads. Imports go one way:

```
core → status → leader → progress, reads
core → voter, follower, candidate, leader → state → log, config, configuration
log → storage → messages;  reads → ready → messages;  candidate, leader → quorum
```
"""

from cluster.raft.config import RaftConfig
from cluster.raft.configuration import Configuration
from cluster.raft.core import Raft
from cluster.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryKind,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from cluster.raft.reads import TooManyReads
from cluster.raft.ready import HardState, ReadState, Ready, Role
from cluster.raft.status import PeerStatus, Status
from cluster.raft.storage import LogStorage, MemoryLogStorage

__all__ = [
    "AppendRequest",
    "AppendResponse",
    "Configuration",
    "Entry",
    "EntryKind",
    "HardState",
    "HeartbeatRequest",
    "HeartbeatResponse",
    "LogStorage",
    "MemoryLogStorage",
    "Message",
    "PeerStatus",
    "Raft",
    "RaftConfig",
    "ReadState",
    "Ready",
    "Role",
    "Status",
    "TimeoutNow",
    "TooManyReads",
    "VoteRequest",
    "VoteResponse",
]
