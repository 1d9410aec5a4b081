"""The consensus core: one replica of one group, sans-IO.

`Raft` (core.py) is what a host drives; `Ready` (ready.py) is what it asks of the host, and
`LogStorage` (storage.py) what it reads. Imports go one way:

```
core → view → status, roles → voter, follower, candidate, leader → state
leader → replication, membership, transfer, read_service → progress, state
read_service → reads;  candidate, leader, membership, read_service → quorum
state → log → storage, configurations;  state, config, read_service → lease
reads → ready → messages → snapshot → configuration
```
"""

from cluster.raft.config import RaftConfig
from cluster.raft.configuration import Configuration, MembershipChange
from cluster.raft.configuration_format import decode_configuration, encode_configuration
from cluster.raft.core import Raft
from cluster.raft.lease import LeaseConfig
from cluster.raft.membership import (
    ChangeInProgress,
    ChangeTooEarly,
    LearnerNotReady,
    NothingToChange,
    VotersNotHeard,
)
from cluster.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryKind,
    HeartbeatRequest,
    HeartbeatResponse,
    Message,
    SnapshotRequest,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from cluster.raft.progress import ProgressState
from cluster.raft.reads import TooManyReads
from cluster.raft.ready import HardState, ReadState, Ready, Role
from cluster.raft.snapshot import SnapshotMeta
from cluster.raft.status import PeerStatus, Status
from cluster.raft.storage import LogStorage, MemoryLogStorage

__all__ = [
    "AppendRequest",
    "AppendResponse",
    "ChangeInProgress",
    "ChangeTooEarly",
    "Configuration",
    "Entry",
    "EntryKind",
    "HardState",
    "HeartbeatRequest",
    "HeartbeatResponse",
    "LearnerNotReady",
    "LeaseConfig",
    "LogStorage",
    "MembershipChange",
    "MemoryLogStorage",
    "Message",
    "NothingToChange",
    "PeerStatus",
    "ProgressState",
    "Raft",
    "RaftConfig",
    "ReadState",
    "Ready",
    "Role",
    "SnapshotMeta",
    "SnapshotRequest",
    "Status",
    "TimeoutNow",
    "TooManyReads",
    "VoteRequest",
    "VoteResponse",
    "VotersNotHeard",
    "decode_configuration",
    "encode_configuration",
]
