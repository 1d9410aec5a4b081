from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Node(_message.Message):
    __slots__ = ("replica_id", "node_id", "address")
    REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    replica_id: int
    node_id: str
    address: str
    def __init__(self, replica_id: _Optional[int] = ..., node_id: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Partition(_message.Message):
    __slots__ = ("partition_id", "replica_ids", "leader_replica_id")
    PARTITION_ID_FIELD_NUMBER: _ClassVar[int]
    REPLICA_IDS_FIELD_NUMBER: _ClassVar[int]
    LEADER_REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    partition_id: int
    replica_ids: _containers.RepeatedScalarFieldContainer[int]
    leader_replica_id: int
    def __init__(self, partition_id: _Optional[int] = ..., replica_ids: _Optional[_Iterable[int]] = ..., leader_replica_id: _Optional[int] = ...) -> None: ...

class ClusterMap(_message.Message):
    __slots__ = ("cluster_id", "epoch", "nodes", "partitions", "key_bytes_max", "value_bytes_max", "batch_bytes_max")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    KEY_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    VALUE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    BATCH_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    epoch: int
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    partitions: _containers.RepeatedCompositeFieldContainer[Partition]
    key_bytes_max: int
    value_bytes_max: int
    batch_bytes_max: int
    def __init__(self, cluster_id: _Optional[str] = ..., epoch: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., partitions: _Optional[_Iterable[_Union[Partition, _Mapping]]] = ..., key_bytes_max: _Optional[int] = ..., value_bytes_max: _Optional[int] = ..., batch_bytes_max: _Optional[int] = ...) -> None: ...
