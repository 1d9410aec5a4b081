from kvstore.generated.kvstore.v1 import map_pb2 as _map_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("group_id", "role", "term", "leader_replica_id", "last_index", "commit_index", "applied_index", "lags")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    LEADER_REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAGS_FIELD_NUMBER: _ClassVar[int]
    group_id: int
    role: str
    term: int
    leader_replica_id: int
    last_index: int
    commit_index: int
    applied_index: int
    lags: _containers.RepeatedCompositeFieldContainer[ReplicaLag]
    def __init__(self, group_id: _Optional[int] = ..., role: _Optional[str] = ..., term: _Optional[int] = ..., leader_replica_id: _Optional[int] = ..., last_index: _Optional[int] = ..., commit_index: _Optional[int] = ..., applied_index: _Optional[int] = ..., lags: _Optional[_Iterable[_Union[ReplicaLag, _Mapping]]] = ...) -> None: ...

class ReplicaLag(_message.Message):
    __slots__ = ("replica_id", "entries")
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    replica_id: int
    entries: int
    def __init__(self, replica_id: _Optional[int] = ..., entries: _Optional[int] = ...) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("node_id", "replica_id", "cluster_id", "version", "map_epoch", "uptime_s", "replicas", "rounds", "log_syncs", "messages_sent", "log_bytes")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MAP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    LOG_SYNCS_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_SENT_FIELD_NUMBER: _ClassVar[int]
    LOG_BYTES_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    replica_id: int
    cluster_id: str
    version: str
    map_epoch: int
    uptime_s: float
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaStatus]
    rounds: int
    log_syncs: int
    messages_sent: int
    log_bytes: int
    def __init__(self, node_id: _Optional[str] = ..., replica_id: _Optional[int] = ..., cluster_id: _Optional[str] = ..., version: _Optional[str] = ..., map_epoch: _Optional[int] = ..., uptime_s: _Optional[float] = ..., replicas: _Optional[_Iterable[_Union[ReplicaStatus, _Mapping]]] = ..., rounds: _Optional[int] = ..., log_syncs: _Optional[int] = ..., messages_sent: _Optional[int] = ..., log_bytes: _Optional[int] = ...) -> None: ...

class GetMapRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetMapResponse(_message.Message):
    __slots__ = ("map",)
    MAP_FIELD_NUMBER: _ClassVar[int]
    map: _map_pb2.ClusterMap
    def __init__(self, map: _Optional[_Union[_map_pb2.ClusterMap, _Mapping]] = ...) -> None: ...

class BackupRequest(_message.Message):
    __slots__ = ("cluster_id", "partition_id")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    partition_id: int
    def __init__(self, cluster_id: _Optional[str] = ..., partition_id: _Optional[int] = ...) -> None: ...

class BackupChunk(_message.Message):
    __slots__ = ("sequence", "rows", "checksum", "position", "totals")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    rows: bytes
    checksum: int
    position: BackupPosition
    totals: BackupTotals
    def __init__(self, sequence: _Optional[int] = ..., rows: _Optional[bytes] = ..., checksum: _Optional[int] = ..., position: _Optional[_Union[BackupPosition, _Mapping]] = ..., totals: _Optional[_Union[BackupTotals, _Mapping]] = ...) -> None: ...

class BackupPosition(_message.Message):
    __slots__ = ("applied_index", "term", "revision")
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    applied_index: int
    term: int
    revision: int
    def __init__(self, applied_index: _Optional[int] = ..., term: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class BackupTotals(_message.Message):
    __slots__ = ("records", "rows_hash")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_HASH_FIELD_NUMBER: _ClassVar[int]
    records: int
    rows_hash: int
    def __init__(self, records: _Optional[int] = ..., rows_hash: _Optional[int] = ...) -> None: ...
