"""Rounds on the wire: proto/cluster/v1/peer.proto.

The sender and receiver of a message are those of its round: they are not repeated in each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.configuration_format import decode_configuration, encode_configuration
from cluster.raft.messages import (
    Message,
    SnapshotRequest,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from cluster.raft.snapshot import SnapshotMeta
from cluster.scrub import Outcome
from kvstore.codec.byteslist import CodecError
from kvstore.codec.fitness import UnfitToLead
from kvstore.codec.leadership import ROW, LeadershipAnswer, LeadershipQuestion
from kvstore.codec.read_points import PointAnswer, PointQuestion
from kvstore.codec.scrub import ScrubHash, ScrubReply
from kvstore.codec.state_transfer import StateAck, StateChunk
from kvstore.environment import GroupMessage, PeerMessage
from kvstore.generated.cluster.v1 import peer_pb2 as pb
from kvstore.wire.common import CommonRows, decode_common

_OUTCOMES: Final = {int(outcome): outcome for outcome in Outcome}

_Add = Callable[..., object]
"""Puts a message with some fields behind those of a round."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a node says of itself with each round, beside its replica id."""

    cluster: str
    """The cluster's id; before it has one, what its initial nodes were said to be."""
    life: int
    """The token of its data."""
    receiver_life: int
    """The token by which it knows the receiver; 0: it knows none."""
    address: str
    """Where it is reached."""


def encode_round(
    sender: ReplicaId, to: ReplicaId, introduction: Introduction, messages: Iterable[GroupMessage]
) -> pb.Round:
    """The round that carries `messages` from `sender` to `to`."""
    # Everything is put in its place at once: what is made apart is copied there, payloads and all.
    encoded = pb.Round(
        sender_replica_id=sender, receiver_replica_id=to, cluster_id=introduction.cluster
    )
    said = encoded.introduction
    said.life = introduction.life
    said.receiver_life = introduction.receiver_life
    said.address = introduction.address
    common = CommonRows()
    add = encoded.messages.add
    for group, message in messages:
        if not common.add(group, message):
            _ENCODERS[type(message)](add, group, message)
    common.put_into(encoded)
    return encoded


def is_introduced_as(message: pb.Round, known: Introduction) -> bool:
    """Whether the sender of a round says the same of itself as `known`."""
    said = message.introduction
    return (
        said.life == known.life
        and said.receiver_life == known.receiver_life
        and said.address == known.address
        and message.cluster_id == known.cluster
    )


def decode_introduction(message: pb.Round) -> Introduction:
    """What the sender of a round says of itself."""
    said = message.introduction
    return Introduction(message.cluster_id, said.life, said.receiver_life, said.address)


def decode_round(message: pb.Round) -> list[GroupMessage]:
    """The messages of a round; raises CodecError on a kind that is not known here. Those of the
    common kinds come first: Raft does not count on an order."""
    sender = ReplicaId(message.sender_replica_id)
    to = ReplicaId(message.receiver_replica_id)
    decoded = decode_common(sender, to, message.common)
    for each in message.messages:
        decoder = _DECODERS.get(each.kind)
        if decoder is None:
            raise CodecError(f"message kind {each.kind} is not known here")
        decoded.append((GroupId(each.group_id), decoder(sender, to, each)))
    return decoded


def _encode_vote_request(add: _Add, group: GroupId, message: VoteRequest) -> None:
    add(
        group_id=group,
        kind=pb.MESSAGE_KIND_VOTE_REQUEST,
        term=message.term,
        index=message.last_index,
        log_term=message.last_term,
        flag=message.pre_vote,
        flag2=message.handover,
    )


def _decode_vote_request(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> Message:
    return VoteRequest(
        sender,
        to,
        Term(message.term),
        Index(message.index),
        Term(message.log_term),
        message.flag,
        message.flag2,
    )


def _encode_vote_response(add: _Add, group: GroupId, message: VoteResponse) -> None:
    add(
        group_id=group,
        kind=pb.MESSAGE_KIND_VOTE_RESPONSE,
        term=message.term,
        flag=message.pre_vote,
        flag2=message.granted,
    )


def _decode_vote_response(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> Message:
    return VoteResponse(sender, to, Term(message.term), message.flag2, message.flag)


def _encode_timeout_now(add: _Add, group: GroupId, message: TimeoutNow) -> None:
    add(group_id=group, kind=pb.MESSAGE_KIND_TIMEOUT_NOW, term=message.term)


def _decode_timeout_now(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> Message:
    return TimeoutNow(sender, to, Term(message.term))


def _encode_snapshot_request(add: _Add, group: GroupId, message: SnapshotRequest) -> None:
    snapshot = message.snapshot
    add(
        group_id=group,
        kind=pb.MESSAGE_KIND_SNAPSHOT_REQUEST,
        term=message.term,
        index=snapshot.index,
        log_term=snapshot.term,
        configuration=encode_configuration(snapshot.configuration),
    )


def _decode_snapshot_request(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> Message:
    return SnapshotRequest(sender, to, Term(message.term), _decode_snapshot(message))


def _decode_snapshot(message: pb.Message) -> SnapshotMeta:
    try:
        configuration = decode_configuration(message.configuration)
    except ValueError as problem:
        raise CodecError(f"a snapshot's configuration: {problem}") from problem
    return SnapshotMeta(Index(message.index), Term(message.log_term), configuration)


def _encode_state_chunk(add: _Add, group: GroupId, message: StateChunk) -> None:
    snapshot = message.snapshot
    add(
        group_id=group,
        kind=pb.MESSAGE_KIND_STATE_CHUNK,
        term=message.term,
        index=snapshot.index,
        log_term=snapshot.term,
        configuration=encode_configuration(snapshot.configuration),
        stream_id=message.stream,
        sequence=message.sequence,
        chunk=message.data,
        chunk_crc=message.checksum,
        flag=message.state_hash is not None,
        state_hash=message.state_hash or 0,
    )


def _decode_state_chunk(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> StateChunk:
    return StateChunk(
        sender,
        to,
        Term(message.term),
        _decode_snapshot(message),
        message.stream_id,
        message.sequence,
        message.chunk,
        message.chunk_crc,
        message.state_hash if message.flag else None,
    )


def _encode_state_ack(add: _Add, group: GroupId, message: StateAck) -> None:
    add(
        group_id=group,
        kind=pb.MESSAGE_KIND_STATE_ACK,
        stream_id=message.stream,
        sequence=message.expected,
        flag=message.refused,
    )


def _decode_state_ack(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> StateAck:
    return StateAck(sender, to, message.stream_id, message.sequence, message.flag)


def _encode_scrub_hash(add: _Add, group: GroupId, message: ScrubHash) -> None:
    add(
        group_id=group,
        kind=pb.MESSAGE_KIND_SCRUB_HASH,
        term=message.term,
        index=message.index,
        flag=message.hash is not None,
        state_hash=message.hash or 0,
    )


def _decode_scrub_hash(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> ScrubHash:
    return ScrubHash(sender, to, Term(message.term), Index(message.index), _hash(message))


def _encode_scrub_reply(add: _Add, group: GroupId, message: ScrubReply) -> None:
    add(
        group_id=group,
        kind=pb.MESSAGE_KIND_SCRUB_REPLY,
        term=message.term,
        index=message.index,
        sequence=message.outcome,
        flag=message.hash is not None,
        state_hash=message.hash or 0,
        flag2=message.is_named,
    )


def _decode_scrub_reply(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> ScrubReply:
    outcome = _OUTCOMES.get(message.sequence)
    if outcome is None:
        raise CodecError(f"outcome {message.sequence} of a scrub is not known here")
    term, index = Term(message.term), Index(message.index)
    return ScrubReply(sender, to, term, index, outcome, _hash(message), message.flag2)


def _hash(message: pb.Message) -> int | None:
    return message.state_hash if message.flag else None


def _encode_unfit_to_lead(add: _Add, group: GroupId, message: UnfitToLead) -> None:
    add(group_id=group, kind=pb.MESSAGE_KIND_UNFIT_TO_LEAD, flag=message.takes_entries)


def _decode_unfit_to_lead(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> UnfitToLead:
    return UnfitToLead(sender, to, message.flag)


def _encode_point_question(add: _Add, group: GroupId, message: PointQuestion) -> None:
    add(group_id=group, kind=pb.MESSAGE_KIND_POINT_QUESTION, sequence=message.number)


def _decode_point_question(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> PointQuestion:
    return PointQuestion(sender, to, message.sequence)


def _encode_point_answer(add: _Add, group: GroupId, message: PointAnswer) -> None:
    add(
        group_id=group,
        kind=pb.MESSAGE_KIND_POINT_ANSWER,
        sequence=message.number,
        flag=message.index is not None,
        index=message.index or 0,
    )


def _decode_point_answer(sender: ReplicaId, to: ReplicaId, message: pb.Message) -> PointAnswer:
    index = Index(message.index) if message.flag else None
    return PointAnswer(sender, to, message.sequence, index)


def _encode_leadership(
    kind: pb.MessageKind, add: _Add, group: GroupId, message: LeadershipQuestion | LeadershipAnswer
) -> None:
    add(group_id=group, kind=kind, numbers=message.numbers)


def _decode_leadership(
    made: type[LeadershipQuestion | LeadershipAnswer],
    sender: ReplicaId,
    to: ReplicaId,
    message: pb.Message,
) -> LeadershipQuestion | LeadershipAnswer:
    numbers: list[int] = list(message.numbers)
    if len(numbers) % ROW:
        raise CodecError(f"leadership is asked with {ROW} numbers each, not {len(numbers)} in all")
    return made(sender, to, numbers)


# Looked up by the message's own type: each encoder takes just that one.
_ENCODERS: Final[dict[type[Any], Callable[[_Add, GroupId, Any], None]]] = {
    VoteRequest: _encode_vote_request,
    VoteResponse: _encode_vote_response,
    TimeoutNow: _encode_timeout_now,
    SnapshotRequest: _encode_snapshot_request,
    StateChunk: _encode_state_chunk,
    StateAck: _encode_state_ack,
    ScrubHash: _encode_scrub_hash,
    ScrubReply: _encode_scrub_reply,
    UnfitToLead: _encode_unfit_to_lead,
    PointQuestion: _encode_point_question,
    PointAnswer: _encode_point_answer,
    LeadershipQuestion: partial(_encode_leadership, pb.MESSAGE_KIND_LEADERSHIP_QUESTION),
    LeadershipAnswer: partial(_encode_leadership, pb.MESSAGE_KIND_LEADERSHIP_ANSWER),
}

_DECODERS: Final[dict[int, Callable[[ReplicaId, ReplicaId, pb.Message], PeerMessage]]] = {
    pb.MESSAGE_KIND_VOTE_REQUEST: _decode_vote_request,
    pb.MESSAGE_KIND_VOTE_RESPONSE: _decode_vote_response,
    pb.MESSAGE_KIND_TIMEOUT_NOW: _decode_timeout_now,
    pb.MESSAGE_KIND_SNAPSHOT_REQUEST: _decode_snapshot_request,
    pb.MESSAGE_KIND_STATE_CHUNK: _decode_state_chunk,
    pb.MESSAGE_KIND_STATE_ACK: _decode_state_ack,
    pb.MESSAGE_KIND_SCRUB_HASH: _decode_scrub_hash,
    pb.MESSAGE_KIND_SCRUB_REPLY: _decode_scrub_reply,
    pb.MESSAGE_KIND_UNFIT_TO_LEAD: _decode_unfit_to_lead,
    pb.MESSAGE_KIND_POINT_QUESTION: _decode_point_question,
    pb.MESSAGE_KIND_POINT_ANSWER: _decode_point_answer,
    pb.MESSAGE_KIND_LEADERSHIP_QUESTION: partial(_decode_leadership, LeadershipQuestion),
    pb.MESSAGE_KIND_LEADERSHIP_ANSWER: partial(_decode_leadership, LeadershipAnswer),
}
