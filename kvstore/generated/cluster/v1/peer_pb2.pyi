from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MessageKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESSAGE_KIND_UNSPECIFIED: _ClassVar[MessageKind]
    MESSAGE_KIND_VOTE_REQUEST: _ClassVar[MessageKind]
    MESSAGE_KIND_VOTE_RESPONSE: _ClassVar[MessageKind]
    MESSAGE_KIND_APPEND_REQUEST: _ClassVar[MessageKind]
    MESSAGE_KIND_APPEND_RESPONSE: _ClassVar[MessageKind]
    MESSAGE_KIND_HEARTBEAT_REQUEST: _ClassVar[MessageKind]
    MESSAGE_KIND_HEARTBEAT_RESPONSE: _ClassVar[MessageKind]
    MESSAGE_KIND_TIMEOUT_NOW: _ClassVar[MessageKind]
    MESSAGE_KIND_SNAPSHOT_REQUEST: _ClassVar[MessageKind]
    MESSAGE_KIND_STATE_CHUNK: _ClassVar[MessageKind]
    MESSAGE_KIND_STATE_ACK: _ClassVar[MessageKind]
    MESSAGE_KIND_SCRUB_HASH: _ClassVar[MessageKind]
    MESSAGE_KIND_SCRUB_REPLY: _ClassVar[MessageKind]
    MESSAGE_KIND_UNFIT_TO_LEAD: _ClassVar[MessageKind]
    MESSAGE_KIND_POINT_QUESTION: _ClassVar[MessageKind]
    MESSAGE_KIND_POINT_ANSWER: _ClassVar[MessageKind]
    MESSAGE_KIND_LEADERSHIP_QUESTION: _ClassVar[MessageKind]
    MESSAGE_KIND_LEADERSHIP_ANSWER: _ClassVar[MessageKind]
MESSAGE_KIND_UNSPECIFIED: MessageKind
MESSAGE_KIND_VOTE_REQUEST: MessageKind
MESSAGE_KIND_VOTE_RESPONSE: MessageKind
MESSAGE_KIND_APPEND_REQUEST: MessageKind
MESSAGE_KIND_APPEND_RESPONSE: MessageKind
MESSAGE_KIND_HEARTBEAT_REQUEST: MessageKind
MESSAGE_KIND_HEARTBEAT_RESPONSE: MessageKind
MESSAGE_KIND_TIMEOUT_NOW: MessageKind
MESSAGE_KIND_SNAPSHOT_REQUEST: MessageKind
MESSAGE_KIND_STATE_CHUNK: MessageKind
MESSAGE_KIND_STATE_ACK: MessageKind
MESSAGE_KIND_SCRUB_HASH: MessageKind
MESSAGE_KIND_SCRUB_REPLY: MessageKind
MESSAGE_KIND_UNFIT_TO_LEAD: MessageKind
MESSAGE_KIND_POINT_QUESTION: MessageKind
MESSAGE_KIND_POINT_ANSWER: MessageKind
MESSAGE_KIND_LEADERSHIP_QUESTION: MessageKind
MESSAGE_KIND_LEADERSHIP_ANSWER: MessageKind

class Round(_message.Message):
    __slots__ = ("sender_replica_id", "receiver_replica_id", "cluster_id", "messages", "introduction", "common")
    SENDER_REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_REPLICA_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    INTRODUCTION_FIELD_NUMBER: _ClassVar[int]
    COMMON_FIELD_NUMBER: _ClassVar[int]
    sender_replica_id: int
    receiver_replica_id: int
    cluster_id: str
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    introduction: Introduction
    common: CommonMessages
    def __init__(self, sender_replica_id: _Optional[int] = ..., receiver_replica_id: _Optional[int] = ..., cluster_id: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ..., introduction: _Optional[_Union[Introduction, _Mapping]] = ..., common: _Optional[_Union[CommonMessages, _Mapping]] = ...) -> None: ...

class Introduction(_message.Message):
    __slots__ = ("life", "receiver_life", "address")
    LIFE_FIELD_NUMBER: _ClassVar[int]
    RECEIVER_LIFE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    life: int
    receiver_life: int
    address: str
    def __init__(self, life: _Optional[int] = ..., receiver_life: _Optional[int] = ..., address: _Optional[str] = ...) -> None: ...

class CommonMessages(_message.Message):
    __slots__ = ("numbers", "entry_terms", "entry_kinds", "entry_data")
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_TERMS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_KINDS_FIELD_NUMBER: _ClassVar[int]
    ENTRY_DATA_FIELD_NUMBER: _ClassVar[int]
    numbers: _containers.RepeatedScalarFieldContainer[int]
    entry_terms: _containers.RepeatedScalarFieldContainer[int]
    entry_kinds: _containers.RepeatedScalarFieldContainer[int]
    entry_data: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, numbers: _Optional[_Iterable[int]] = ..., entry_terms: _Optional[_Iterable[int]] = ..., entry_kinds: _Optional[_Iterable[int]] = ..., entry_data: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("group_id", "kind", "term", "index", "log_term", "flag", "flag2", "configuration", "stream_id", "sequence", "chunk", "chunk_crc", "state_hash", "numbers")
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LOG_TERM_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    FLAG2_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    CHUNK_CRC_FIELD_NUMBER: _ClassVar[int]
    STATE_HASH_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    group_id: int
    kind: MessageKind
    term: int
    index: int
    log_term: int
    flag: bool
    flag2: bool
    configuration: bytes
    stream_id: int
    sequence: int
    chunk: bytes
    chunk_crc: int
    state_hash: int
    numbers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, group_id: _Optional[int] = ..., kind: _Optional[_Union[MessageKind, str]] = ..., term: _Optional[int] = ..., index: _Optional[int] = ..., log_term: _Optional[int] = ..., flag: bool = ..., flag2: bool = ..., configuration: _Optional[bytes] = ..., stream_id: _Optional[int] = ..., sequence: _Optional[int] = ..., chunk: _Optional[bytes] = ..., chunk_crc: _Optional[int] = ..., state_hash: _Optional[int] = ..., numbers: _Optional[_Iterable[int]] = ...) -> None: ...

class RoundsSummary(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
