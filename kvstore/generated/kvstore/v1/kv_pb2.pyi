from kvstore.generated.kvstore.v1 import map_pb2 as _map_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SectionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SECTION_KIND_UNSPECIFIED: _ClassVar[SectionKind]
    SECTION_KIND_WRITE: _ClassVar[SectionKind]
    SECTION_KIND_READ: _ClassVar[SectionKind]
    SECTION_KIND_SCAN: _ClassVar[SectionKind]

class SectionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SECTION_STATUS_UNSPECIFIED: _ClassVar[SectionStatus]
    SECTION_STATUS_OK: _ClassVar[SectionStatus]
    SECTION_STATUS_NOT_LEADER: _ClassVar[SectionStatus]
    SECTION_STATUS_UNAVAILABLE: _ClassVar[SectionStatus]
    SECTION_STATUS_OVERLOADED: _ClassVar[SectionStatus]
    SECTION_STATUS_INVALID: _ClassVar[SectionStatus]
    SECTION_STATUS_UNKNOWN: _ClassVar[SectionStatus]
SECTION_KIND_UNSPECIFIED: SectionKind
SECTION_KIND_WRITE: SectionKind
SECTION_KIND_READ: SectionKind
SECTION_KIND_SCAN: SectionKind
SECTION_STATUS_UNSPECIFIED: SectionStatus
SECTION_STATUS_OK: SectionStatus
SECTION_STATUS_NOT_LEADER: SectionStatus
SECTION_STATUS_UNAVAILABLE: SectionStatus
SECTION_STATUS_OVERLOADED: SectionStatus
SECTION_STATUS_INVALID: SectionStatus
SECTION_STATUS_UNKNOWN: SectionStatus

class BatchRequest(_message.Message):
    __slots__ = ("cluster_id", "map_epoch", "partition_ids", "kinds", "bodies")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    MAP_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PARTITION_IDS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    BODIES_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    map_epoch: int
    partition_ids: _containers.RepeatedScalarFieldContainer[int]
    kinds: _containers.RepeatedScalarFieldContainer[SectionKind]
    bodies: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, cluster_id: _Optional[str] = ..., map_epoch: _Optional[int] = ..., partition_ids: _Optional[_Iterable[int]] = ..., kinds: _Optional[_Iterable[_Union[SectionKind, str]]] = ..., bodies: _Optional[_Iterable[bytes]] = ...) -> None: ...

class BatchResponse(_message.Message):
    __slots__ = ("statuses", "results", "details", "leaders", "map")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    LEADERS_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[SectionStatus]
    results: _containers.RepeatedScalarFieldContainer[bytes]
    details: _containers.RepeatedScalarFieldContainer[str]
    leaders: _containers.RepeatedScalarFieldContainer[int]
    map: _map_pb2.ClusterMap
    def __init__(self, statuses: _Optional[_Iterable[_Union[SectionStatus, str]]] = ..., results: _Optional[_Iterable[bytes]] = ..., details: _Optional[_Iterable[str]] = ..., leaders: _Optional[_Iterable[int]] = ..., map: _Optional[_Union[_map_pb2.ClusterMap, _Mapping]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("key", "value", "version", "create_revision", "mod_revision")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_REVISION_FIELD_NUMBER: _ClassVar[int]
    MOD_REVISION_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    version: int
    create_revision: int
    mod_revision: int
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., version: _Optional[int] = ..., create_revision: _Optional[int] = ..., mod_revision: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    def __init__(self, key: _Optional[bytes] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("record",)
    RECORD_FIELD_NUMBER: _ClassVar[int]
    record: Record
    def __init__(self, record: _Optional[_Union[Record, _Mapping]] = ...) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class PutResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    def __init__(self, key: _Optional[bytes] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("deleted",)
    DELETED_FIELD_NUMBER: _ClassVar[int]
    deleted: bool
    def __init__(self, deleted: bool = ...) -> None: ...

class ScanRequest(_message.Message):
    __slots__ = ("start", "end", "prefix", "limit", "keys_only")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    KEYS_ONLY_FIELD_NUMBER: _ClassVar[int]
    start: bytes
    end: bytes
    prefix: bytes
    limit: int
    keys_only: bool
    def __init__(self, start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., prefix: _Optional[bytes] = ..., limit: _Optional[int] = ..., keys_only: bool = ...) -> None: ...

class ScanResponse(_message.Message):
    __slots__ = ("records", "next_start")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_START_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    next_start: bytes
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ..., next_start: _Optional[bytes] = ...) -> None: ...
