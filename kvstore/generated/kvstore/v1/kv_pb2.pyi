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
    SECTION_KIND_READ_SESSION: _ClassVar[SectionKind]
    SECTION_KIND_READ_STALE: _ClassVar[SectionKind]
    SECTION_KIND_SCAN_SESSION: _ClassVar[SectionKind]
    SECTION_KIND_SCAN_STALE: _ClassVar[SectionKind]

class SectionStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SECTION_STATUS_UNSPECIFIED: _ClassVar[SectionStatus]
    SECTION_STATUS_OK: _ClassVar[SectionStatus]
    SECTION_STATUS_NOT_LEADER: _ClassVar[SectionStatus]
    SECTION_STATUS_UNAVAILABLE: _ClassVar[SectionStatus]
    SECTION_STATUS_OVERLOADED: _ClassVar[SectionStatus]
    SECTION_STATUS_INVALID: _ClassVar[SectionStatus]
    SECTION_STATUS_UNKNOWN: _ClassVar[SectionStatus]
    SECTION_STATUS_BEHIND: _ClassVar[SectionStatus]
    SECTION_STATUS_EXPIRED: _ClassVar[SectionStatus]
    SECTION_STATUS_NO_ROOM: _ClassVar[SectionStatus]

class Consistency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_UNSPECIFIED: _ClassVar[Consistency]
    CONSISTENCY_LINEARIZABLE: _ClassVar[Consistency]
    CONSISTENCY_SESSION: _ClassVar[Consistency]
    CONSISTENCY_STALE: _ClassVar[Consistency]
SECTION_KIND_UNSPECIFIED: SectionKind
SECTION_KIND_WRITE: SectionKind
SECTION_KIND_READ: SectionKind
SECTION_KIND_SCAN: SectionKind
SECTION_KIND_READ_SESSION: SectionKind
SECTION_KIND_READ_STALE: SectionKind
SECTION_KIND_SCAN_SESSION: SectionKind
SECTION_KIND_SCAN_STALE: SectionKind
SECTION_STATUS_UNSPECIFIED: SectionStatus
SECTION_STATUS_OK: SectionStatus
SECTION_STATUS_NOT_LEADER: SectionStatus
SECTION_STATUS_UNAVAILABLE: SectionStatus
SECTION_STATUS_OVERLOADED: SectionStatus
SECTION_STATUS_INVALID: SectionStatus
SECTION_STATUS_UNKNOWN: SectionStatus
SECTION_STATUS_BEHIND: SectionStatus
SECTION_STATUS_EXPIRED: SectionStatus
SECTION_STATUS_NO_ROOM: SectionStatus
CONSISTENCY_UNSPECIFIED: Consistency
CONSISTENCY_LINEARIZABLE: Consistency
CONSISTENCY_SESSION: Consistency
CONSISTENCY_STALE: Consistency

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
    __slots__ = ("statuses", "results", "details", "leaders", "map", "indexes", "terms", "revisions")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    LEADERS_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[SectionStatus]
    results: _containers.RepeatedScalarFieldContainer[bytes]
    details: _containers.RepeatedScalarFieldContainer[str]
    leaders: _containers.RepeatedScalarFieldContainer[int]
    map: _map_pb2.ClusterMap
    indexes: _containers.RepeatedScalarFieldContainer[int]
    terms: _containers.RepeatedScalarFieldContainer[int]
    revisions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, statuses: _Optional[_Iterable[_Union[SectionStatus, str]]] = ..., results: _Optional[_Iterable[bytes]] = ..., details: _Optional[_Iterable[str]] = ..., leaders: _Optional[_Iterable[int]] = ..., map: _Optional[_Union[_map_pb2.ClusterMap, _Mapping]] = ..., indexes: _Optional[_Iterable[int]] = ..., terms: _Optional[_Iterable[int]] = ..., revisions: _Optional[_Iterable[int]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("key", "value", "version", "create_revision", "mod_revision", "expiry_ms")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_REVISION_FIELD_NUMBER: _ClassVar[int]
    MOD_REVISION_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_MS_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    version: int
    create_revision: int
    mod_revision: int
    expiry_ms: int
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., version: _Optional[int] = ..., create_revision: _Optional[int] = ..., mod_revision: _Optional[int] = ..., expiry_ms: _Optional[int] = ...) -> None: ...

class Fence(_message.Message):
    __slots__ = ("lock", "token")
    LOCK_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    lock: bytes
    token: int
    def __init__(self, lock: _Optional[bytes] = ..., token: _Optional[int] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("key", "consistency", "min_index", "max_staleness_ms")
    KEY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    MIN_INDEX_FIELD_NUMBER: _ClassVar[int]
    MAX_STALENESS_MS_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    consistency: Consistency
    min_index: int
    max_staleness_ms: int
    def __init__(self, key: _Optional[bytes] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., min_index: _Optional[int] = ..., max_staleness_ms: _Optional[int] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("record", "receipt")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    record: Record
    receipt: Receipt
    def __init__(self, record: _Optional[_Union[Record, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("node_id", "partition_id", "term", "revision", "index", "consistency", "age_ms")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    node_id: str
    partition_id: int
    term: int
    revision: int
    index: int
    consistency: Consistency
    age_ms: int
    def __init__(self, node_id: _Optional[str] = ..., partition_id: _Optional[int] = ..., term: _Optional[int] = ..., revision: _Optional[int] = ..., index: _Optional[int] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., age_ms: _Optional[int] = ...) -> None: ...

class PutRequest(_message.Message):
    __slots__ = ("key", "value", "ttl_ms", "if_absent", "if_revision", "if_value", "return_previous", "fence")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    IF_ABSENT_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    IF_VALUE_FIELD_NUMBER: _ClassVar[int]
    RETURN_PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    ttl_ms: int
    if_absent: bool
    if_revision: int
    if_value: bytes
    return_previous: bool
    fence: Fence
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., ttl_ms: _Optional[int] = ..., if_absent: bool = ..., if_revision: _Optional[int] = ..., if_value: _Optional[bytes] = ..., return_previous: bool = ..., fence: _Optional[_Union[Fence, _Mapping]] = ...) -> None: ...

class PutResponse(_message.Message):
    __slots__ = ("revision", "previous", "index", "receipt")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    revision: int
    previous: Record
    index: int
    receipt: Receipt
    def __init__(self, revision: _Optional[int] = ..., previous: _Optional[_Union[Record, _Mapping]] = ..., index: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("key", "if_revision", "if_value", "return_previous", "fence")
    KEY_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    IF_VALUE_FIELD_NUMBER: _ClassVar[int]
    RETURN_PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    if_revision: int
    if_value: bytes
    return_previous: bool
    fence: Fence
    def __init__(self, key: _Optional[bytes] = ..., if_revision: _Optional[int] = ..., if_value: _Optional[bytes] = ..., return_previous: bool = ..., fence: _Optional[_Union[Fence, _Mapping]] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("deleted", "previous", "index", "receipt")
    DELETED_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    deleted: bool
    previous: Record
    index: int
    receipt: Receipt
    def __init__(self, deleted: bool = ..., previous: _Optional[_Union[Record, _Mapping]] = ..., index: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class IncrementRequest(_message.Message):
    __slots__ = ("key", "by", "initial", "ttl_ms", "fence")
    KEY_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    INITIAL_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    by: int
    initial: int
    ttl_ms: int
    fence: Fence
    def __init__(self, key: _Optional[bytes] = ..., by: _Optional[int] = ..., initial: _Optional[int] = ..., ttl_ms: _Optional[int] = ..., fence: _Optional[_Union[Fence, _Mapping]] = ...) -> None: ...

class IncrementResponse(_message.Message):
    __slots__ = ("number", "receipt")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    number: int
    receipt: Receipt
    def __init__(self, number: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class AppendRequest(_message.Message):
    __slots__ = ("key", "suffix", "ttl_ms", "fence")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SUFFIX_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    suffix: bytes
    ttl_ms: int
    fence: Fence
    def __init__(self, key: _Optional[bytes] = ..., suffix: _Optional[bytes] = ..., ttl_ms: _Optional[int] = ..., fence: _Optional[_Union[Fence, _Mapping]] = ...) -> None: ...

class AppendResponse(_message.Message):
    __slots__ = ("length", "receipt")
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    length: int
    receipt: Receipt
    def __init__(self, length: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class TouchRequest(_message.Message):
    __slots__ = ("key", "ttl_ms", "if_revision", "if_value", "fence")
    KEY_FIELD_NUMBER: _ClassVar[int]
    TTL_MS_FIELD_NUMBER: _ClassVar[int]
    IF_REVISION_FIELD_NUMBER: _ClassVar[int]
    IF_VALUE_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    ttl_ms: int
    if_revision: int
    if_value: bytes
    fence: Fence
    def __init__(self, key: _Optional[bytes] = ..., ttl_ms: _Optional[int] = ..., if_revision: _Optional[int] = ..., if_value: _Optional[bytes] = ..., fence: _Optional[_Union[Fence, _Mapping]] = ...) -> None: ...

class TouchResponse(_message.Message):
    __slots__ = ("touched", "receipt")
    TOUCHED_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    touched: bool
    receipt: Receipt
    def __init__(self, touched: bool = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class GetManyRequest(_message.Message):
    __slots__ = ("keys", "consistency", "min_indexes", "max_staleness_ms")
    class MinIndexesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    KEYS_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    MIN_INDEXES_FIELD_NUMBER: _ClassVar[int]
    MAX_STALENESS_MS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[bytes]
    consistency: Consistency
    min_indexes: _containers.ScalarMap[int, int]
    max_staleness_ms: int
    def __init__(self, keys: _Optional[_Iterable[bytes]] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., min_indexes: _Optional[_Mapping[int, int]] = ..., max_staleness_ms: _Optional[int] = ...) -> None: ...

class GetManyResponse(_message.Message):
    __slots__ = ("records", "receipts")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("key", "subject", "relation", "value", "number")
    class Subject(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SUBJECT_UNSPECIFIED: _ClassVar[Comparison.Subject]
        SUBJECT_VALUE: _ClassVar[Comparison.Subject]
        SUBJECT_VERSION: _ClassVar[Comparison.Subject]
        SUBJECT_CREATE_REVISION: _ClassVar[Comparison.Subject]
        SUBJECT_MOD_REVISION: _ClassVar[Comparison.Subject]
    SUBJECT_UNSPECIFIED: Comparison.Subject
    SUBJECT_VALUE: Comparison.Subject
    SUBJECT_VERSION: Comparison.Subject
    SUBJECT_CREATE_REVISION: Comparison.Subject
    SUBJECT_MOD_REVISION: Comparison.Subject
    class Relation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RELATION_UNSPECIFIED: _ClassVar[Comparison.Relation]
        RELATION_EQUAL: _ClassVar[Comparison.Relation]
        RELATION_NOT_EQUAL: _ClassVar[Comparison.Relation]
        RELATION_LESS: _ClassVar[Comparison.Relation]
        RELATION_GREATER: _ClassVar[Comparison.Relation]
    RELATION_UNSPECIFIED: Comparison.Relation
    RELATION_EQUAL: Comparison.Relation
    RELATION_NOT_EQUAL: Comparison.Relation
    RELATION_LESS: Comparison.Relation
    RELATION_GREATER: Comparison.Relation
    KEY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    RELATION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    subject: Comparison.Subject
    relation: Comparison.Relation
    value: bytes
    number: int
    def __init__(self, key: _Optional[bytes] = ..., subject: _Optional[_Union[Comparison.Subject, str]] = ..., relation: _Optional[_Union[Comparison.Relation, str]] = ..., value: _Optional[bytes] = ..., number: _Optional[int] = ...) -> None: ...

class Operation(_message.Message):
    __slots__ = ("put", "delete", "get", "increment", "append", "touch")
    PUT_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    TOUCH_FIELD_NUMBER: _ClassVar[int]
    put: PutRequest
    delete: DeleteRequest
    get: GetRequest
    increment: IncrementRequest
    append: AppendRequest
    touch: TouchRequest
    def __init__(self, put: _Optional[_Union[PutRequest, _Mapping]] = ..., delete: _Optional[_Union[DeleteRequest, _Mapping]] = ..., get: _Optional[_Union[GetRequest, _Mapping]] = ..., increment: _Optional[_Union[IncrementRequest, _Mapping]] = ..., append: _Optional[_Union[AppendRequest, _Mapping]] = ..., touch: _Optional[_Union[TouchRequest, _Mapping]] = ...) -> None: ...

class OperationResult(_message.Message):
    __slots__ = ("put", "delete", "get", "increment", "append", "touch")
    PUT_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    INCREMENT_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    TOUCH_FIELD_NUMBER: _ClassVar[int]
    put: PutResponse
    delete: DeleteResponse
    get: GetResponse
    increment: IncrementResponse
    append: AppendResponse
    touch: TouchResponse
    def __init__(self, put: _Optional[_Union[PutResponse, _Mapping]] = ..., delete: _Optional[_Union[DeleteResponse, _Mapping]] = ..., get: _Optional[_Union[GetResponse, _Mapping]] = ..., increment: _Optional[_Union[IncrementResponse, _Mapping]] = ..., append: _Optional[_Union[AppendResponse, _Mapping]] = ..., touch: _Optional[_Union[TouchResponse, _Mapping]] = ...) -> None: ...

class TransactionRequest(_message.Message):
    __slots__ = ("compare", "then", "otherwise", "fence")
    COMPARE_FIELD_NUMBER: _ClassVar[int]
    THEN_FIELD_NUMBER: _ClassVar[int]
    OTHERWISE_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    compare: _containers.RepeatedCompositeFieldContainer[Comparison]
    then: _containers.RepeatedCompositeFieldContainer[Operation]
    otherwise: _containers.RepeatedCompositeFieldContainer[Operation]
    fence: Fence
    def __init__(self, compare: _Optional[_Iterable[_Union[Comparison, _Mapping]]] = ..., then: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., otherwise: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ..., fence: _Optional[_Union[Fence, _Mapping]] = ...) -> None: ...

class TransactionResponse(_message.Message):
    __slots__ = ("succeeded", "results", "receipt")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    succeeded: bool
    results: _containers.RepeatedCompositeFieldContainer[OperationResult]
    receipt: Receipt
    def __init__(self, succeeded: bool = ..., results: _Optional[_Iterable[_Union[OperationResult, _Mapping]]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class ScanRequest(_message.Message):
    __slots__ = ("start", "end", "prefix", "limit", "keys_only", "reverse", "cursor", "consistency", "min_indexes", "max_staleness_ms", "consistent", "close")
    class MinIndexesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    KEYS_ONLY_FIELD_NUMBER: _ClassVar[int]
    REVERSE_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    MIN_INDEXES_FIELD_NUMBER: _ClassVar[int]
    MAX_STALENESS_MS_FIELD_NUMBER: _ClassVar[int]
    CONSISTENT_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    start: bytes
    end: bytes
    prefix: bytes
    limit: int
    keys_only: bool
    reverse: bool
    cursor: str
    consistency: Consistency
    min_indexes: _containers.ScalarMap[int, int]
    max_staleness_ms: int
    consistent: bool
    close: bool
    def __init__(self, start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., prefix: _Optional[bytes] = ..., limit: _Optional[int] = ..., keys_only: bool = ..., reverse: bool = ..., cursor: _Optional[str] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., min_indexes: _Optional[_Mapping[int, int]] = ..., max_staleness_ms: _Optional[int] = ..., consistent: bool = ..., close: bool = ...) -> None: ...

class ScanResponse(_message.Message):
    __slots__ = ("records", "next_start", "next_cursor", "receipts", "revisions")
    class RevisionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_START_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    next_start: bytes
    next_cursor: str
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    revisions: _containers.ScalarMap[int, int]
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ..., next_start: _Optional[bytes] = ..., next_cursor: _Optional[str] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ..., revisions: _Optional[_Mapping[int, int]] = ...) -> None: ...

class CountRequest(_message.Message):
    __slots__ = ("start", "end", "prefix")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    start: bytes
    end: bytes
    prefix: bytes
    def __init__(self, start: _Optional[bytes] = ..., end: _Optional[bytes] = ..., prefix: _Optional[bytes] = ...) -> None: ...

class CountResponse(_message.Message):
    __slots__ = ("count", "receipts")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    count: int
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    def __init__(self, count: _Optional[int] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ...) -> None: ...
