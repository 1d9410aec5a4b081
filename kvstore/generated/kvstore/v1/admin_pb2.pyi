from kvstore.generated.kvstore.v1 import map_pb2 as _map_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScrubOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCRUB_OUTCOME_UNSPECIFIED: _ClassVar[ScrubOutcome]
    SCRUB_OUTCOME_AGREED: _ClassVar[ScrubOutcome]
    SCRUB_OUTCOME_PARTIAL: _ClassVar[ScrubOutcome]
    SCRUB_OUTCOME_DIVERGED: _ClassVar[ScrubOutcome]
    SCRUB_OUTCOME_UNDECIDED: _ClassVar[ScrubOutcome]
SCRUB_OUTCOME_UNSPECIFIED: ScrubOutcome
SCRUB_OUTCOME_AGREED: ScrubOutcome
SCRUB_OUTCOME_PARTIAL: ScrubOutcome
SCRUB_OUTCOME_DIVERGED: ScrubOutcome
SCRUB_OUTCOME_UNDECIDED: ScrubOutcome

class PreferLeadersRequest(_message.Message):
    __slots__ = ("node_id",)
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    def __init__(self, node_id: _Optional[str] = ...) -> None: ...

class PreferLeadersResponse(_message.Message):
    __slots__ = ("map",)
    MAP_FIELD_NUMBER: _ClassVar[int]
    map: _map_pb2.ClusterMap
    def __init__(self, map: _Optional[_Union[_map_pb2.ClusterMap, _Mapping]] = ...) -> None: ...

class RejoinRequest(_message.Message):
    __slots__ = ("node_id", "replica_id", "life", "new_life", "is_passed_on")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    NEW_LIFE_FIELD_NUMBER: _ClassVar[int]
    IS_PASSED_ON_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    replica_id: int
    life: int
    new_life: int
    is_passed_on: bool
    def __init__(self, node_id: _Optional[str] = ..., replica_id: _Optional[int] = ..., life: _Optional[int] = ..., new_life: _Optional[int] = ..., is_passed_on: bool = ...) -> None: ...

class RejoinResponse(_message.Message):
    __slots__ = ("replica_id", "map")
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    replica_id: int
    map: _map_pb2.ClusterMap
    def __init__(self, replica_id: _Optional[int] = ..., map: _Optional[_Union[_map_pb2.ClusterMap, _Mapping]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("group_id", "role", "term", "leader_replica_id", "last_index", "commit_index", "applied_index", "lags", "scrub_index", "scrub_age_s", "scrub_outcome", "voter_ids", "is_changing_members")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    LEADER_REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAGS_FIELD_NUMBER: _ClassVar[int]
    SCRUB_INDEX_FIELD_NUMBER: _ClassVar[int]
    SCRUB_AGE_S_FIELD_NUMBER: _ClassVar[int]
    SCRUB_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    VOTER_IDS_FIELD_NUMBER: _ClassVar[int]
    IS_CHANGING_MEMBERS_FIELD_NUMBER: _ClassVar[int]
    group_id: int
    role: str
    term: int
    leader_replica_id: int
    last_index: int
    commit_index: int
    applied_index: int
    lags: _containers.RepeatedCompositeFieldContainer[ReplicaLag]
    scrub_index: int
    scrub_age_s: float
    scrub_outcome: ScrubOutcome
    voter_ids: _containers.RepeatedScalarFieldContainer[int]
    is_changing_members: bool
    def __init__(self, group_id: _Optional[int] = ..., role: _Optional[str] = ..., term: _Optional[int] = ..., leader_replica_id: _Optional[int] = ..., last_index: _Optional[int] = ..., commit_index: _Optional[int] = ..., applied_index: _Optional[int] = ..., lags: _Optional[_Iterable[_Union[ReplicaLag, _Mapping]]] = ..., scrub_index: _Optional[int] = ..., scrub_age_s: _Optional[float] = ..., scrub_outcome: _Optional[_Union[ScrubOutcome, str]] = ..., voter_ids: _Optional[_Iterable[int]] = ..., is_changing_members: bool = ...) -> None: ...

class ReplicaLag(_message.Message):
    __slots__ = ("replica_id", "entries")
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    replica_id: int
    entries: int
    def __init__(self, replica_id: _Optional[int] = ..., entries: _Optional[int] = ...) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("node_id", "replica_id", "cluster_id", "version", "map_epoch", "uptime_s", "replicas", "rounds", "log_syncs", "messages_sent", "log_bytes", "short_of_space", "free_bytes", "loop_lag_ms_p99", "loop_lag_ms_max", "round_ms_p99", "round_ms_max", "log_write_ms_max", "unfit_reason", "scrubs", "scrub_mismatches", "scrub_age_s", "scrubbed_replicas", "rebuilds")
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
    SHORT_OF_SPACE_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOOP_LAG_MS_P99_FIELD_NUMBER: _ClassVar[int]
    LOOP_LAG_MS_MAX_FIELD_NUMBER: _ClassVar[int]
    ROUND_MS_P99_FIELD_NUMBER: _ClassVar[int]
    ROUND_MS_MAX_FIELD_NUMBER: _ClassVar[int]
    LOG_WRITE_MS_MAX_FIELD_NUMBER: _ClassVar[int]
    UNFIT_REASON_FIELD_NUMBER: _ClassVar[int]
    SCRUBS_FIELD_NUMBER: _ClassVar[int]
    SCRUB_MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    SCRUB_AGE_S_FIELD_NUMBER: _ClassVar[int]
    SCRUBBED_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    REBUILDS_FIELD_NUMBER: _ClassVar[int]
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
    short_of_space: bool
    free_bytes: int
    loop_lag_ms_p99: float
    loop_lag_ms_max: float
    round_ms_p99: float
    round_ms_max: float
    log_write_ms_max: float
    unfit_reason: str
    scrubs: int
    scrub_mismatches: int
    scrub_age_s: float
    scrubbed_replicas: int
    rebuilds: int
    def __init__(self, node_id: _Optional[str] = ..., replica_id: _Optional[int] = ..., cluster_id: _Optional[str] = ..., version: _Optional[str] = ..., map_epoch: _Optional[int] = ..., uptime_s: _Optional[float] = ..., replicas: _Optional[_Iterable[_Union[ReplicaStatus, _Mapping]]] = ..., rounds: _Optional[int] = ..., log_syncs: _Optional[int] = ..., messages_sent: _Optional[int] = ..., log_bytes: _Optional[int] = ..., short_of_space: bool = ..., free_bytes: _Optional[int] = ..., loop_lag_ms_p99: _Optional[float] = ..., loop_lag_ms_max: _Optional[float] = ..., round_ms_p99: _Optional[float] = ..., round_ms_max: _Optional[float] = ..., log_write_ms_max: _Optional[float] = ..., unfit_reason: _Optional[str] = ..., scrubs: _Optional[int] = ..., scrub_mismatches: _Optional[int] = ..., scrub_age_s: _Optional[float] = ..., scrubbed_replicas: _Optional[int] = ..., rebuilds: _Optional[int] = ...) -> None: ...

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

class ScrubRequest(_message.Message):
    __slots__ = ("group_ids", "begin")
    GROUP_IDS_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    group_ids: _containers.RepeatedScalarFieldContainer[int]
    begin: bool
    def __init__(self, group_ids: _Optional[_Iterable[int]] = ..., begin: bool = ...) -> None: ...

class ScrubResponse(_message.Message):
    __slots__ = ("groups",)
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[ScrubProgress]
    def __init__(self, groups: _Optional[_Iterable[_Union[ScrubProgress, _Mapping]]] = ...) -> None: ...

class ScrubProgress(_message.Message):
    __slots__ = ("group_id", "is_leader", "is_under_way", "last_index", "result")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    IS_LEADER_FIELD_NUMBER: _ClassVar[int]
    IS_UNDER_WAY_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    group_id: int
    is_leader: bool
    is_under_way: bool
    last_index: int
    result: ScrubResult
    def __init__(self, group_id: _Optional[int] = ..., is_leader: bool = ..., is_under_way: bool = ..., last_index: _Optional[int] = ..., result: _Optional[_Union[ScrubResult, _Mapping]] = ...) -> None: ...

class ScrubResult(_message.Message):
    __slots__ = ("index", "outcome", "hash", "answers")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    index: int
    outcome: ScrubOutcome
    hash: int
    answers: _containers.RepeatedCompositeFieldContainer[ScrubAnswer]
    def __init__(self, index: _Optional[int] = ..., outcome: _Optional[_Union[ScrubOutcome, str]] = ..., hash: _Optional[int] = ..., answers: _Optional[_Iterable[_Union[ScrubAnswer, _Mapping]]] = ...) -> None: ...

class ScrubAnswer(_message.Message):
    __slots__ = ("replica_id", "has_answered", "is_readable", "hash", "is_named")
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    HAS_ANSWERED_FIELD_NUMBER: _ClassVar[int]
    IS_READABLE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    IS_NAMED_FIELD_NUMBER: _ClassVar[int]
    replica_id: int
    has_answered: bool
    is_readable: bool
    hash: int
    is_named: bool
    def __init__(self, replica_id: _Optional[int] = ..., has_answered: bool = ..., is_readable: bool = ..., hash: _Optional[int] = ..., is_named: bool = ...) -> None: ...
