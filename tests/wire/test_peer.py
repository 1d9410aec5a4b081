"""Raft messages come back from the wire as they went."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import META_GROUP, GroupId, Index, ReplicaId, Term
from cluster.raft.configuration import Configuration
from cluster.raft.messages import (
    AppendRequest,
    AppendResponse,
    Entry,
    EntryKind,
    HeartbeatRequest,
    HeartbeatResponse,
    SnapshotRequest,
    TimeoutNow,
    VoteRequest,
    VoteResponse,
)
from cluster.raft.snapshot import SnapshotMeta
from cluster.scrub import Outcome
from kvstore.codec.byteslist import CodecError
from kvstore.codec.leadership import LeadershipAnswer, LeadershipQuestion
from kvstore.codec.read_points import PointAnswer, PointQuestion
from kvstore.codec.scrub import ScrubHash, ScrubReply
from kvstore.codec.state_transfer import StateAck, StateChunk
from kvstore.environment import GroupMessage, PeerMessage
from kvstore.generated.cluster.v1 import peer_pb2
from kvstore.wire.peer import Introduction, decode_introduction, decode_round, encode_round

ME, PEER = ReplicaId(1), ReplicaId(2)
SAID = Introduction("cluster", (1 << 64) - 1, 7, "10.0.0.1:7001")
INDEX = st.integers(0, (1 << 63) - 8).map(Index)
HASH = st.none() | st.integers(0, (1 << 64) - 1)
TERM = st.integers(0, (1 << 64) - 1).map(Term)
FLAG = st.booleans()
ROWS = st.lists(st.tuples(*[st.integers(0, (1 << 64) - 1)] * 4), max_size=3).map(
    lambda rows: [number for row in rows for number in row]
)


@st.composite
def appends(draw: st.DrawFn) -> AppendRequest:
    previous = draw(INDEX)
    entries = tuple(
        Entry(
            Index(previous + 1 + i), draw(TERM), draw(st.sampled_from(EntryKind)), draw(st.binary())
        )
        for i in range(draw(st.integers(0, 4)))
    )
    return AppendRequest(ME, PEER, draw(TERM), previous, draw(TERM), draw(INDEX), entries)


SOME = st.frozensets(st.integers(1, 1 << 60).map(ReplicaId), max_size=5)


@st.composite
def snapshots(draw: st.DrawFn) -> SnapshotMeta:
    voters = draw(SOME.filter(bool))
    outgoing = draw(SOME)
    learners = draw(SOME) - voters - outgoing
    return SnapshotMeta(draw(INDEX), draw(TERM), Configuration(voters, outgoing, learners))


MESSAGES: st.SearchStrategy[PeerMessage] = st.one_of(
    st.builds(VoteRequest, st.just(ME), st.just(PEER), TERM, INDEX, TERM, FLAG, FLAG),
    st.builds(VoteResponse, st.just(ME), st.just(PEER), TERM, FLAG, FLAG),
    appends(),
    st.builds(AppendResponse, st.just(ME), st.just(PEER), TERM, FLAG, INDEX, INDEX, TERM),
    st.builds(
        HeartbeatRequest, st.just(ME), st.just(PEER), TERM, INDEX, st.integers(0, 1 << 60), FLAG
    ),
    st.builds(HeartbeatResponse, st.just(ME), st.just(PEER), TERM, st.integers(0, 1 << 60)),
    st.builds(TimeoutNow, st.just(ME), st.just(PEER), TERM),
    st.builds(ScrubHash, st.just(ME), st.just(PEER), TERM, INDEX, HASH),
    st.builds(
        ScrubReply,
        st.just(ME),
        st.just(PEER),
        TERM,
        INDEX,
        st.sampled_from(Outcome),
        HASH,
        FLAG,
    ),
    st.builds(PointQuestion, st.just(ME), st.just(PEER), st.integers(0, (1 << 64) - 1)),
    st.builds(
        PointAnswer, st.just(ME), st.just(PEER), st.integers(0, (1 << 64) - 1), st.none() | INDEX
    ),
    st.builds(LeadershipQuestion, st.just(ME), st.just(PEER), ROWS),
    st.builds(LeadershipAnswer, st.just(ME), st.just(PEER), ROWS),
    st.builds(SnapshotRequest, st.just(ME), st.just(PEER), TERM, snapshots()),
    st.builds(
        StateChunk,
        st.just(ME),
        st.just(PEER),
        TERM,
        snapshots(),
        st.integers(0, (1 << 64) - 1),
        st.integers(0, 1 << 40),
        st.binary(max_size=30),
        st.integers(0, (1 << 32) - 1),
        st.none() | st.integers(0, (1 << 64) - 1),
    ),
    st.builds(
        StateAck,
        st.just(ME),
        st.just(PEER),
        st.integers(0, (1 << 64) - 1),
        st.integers(0, 1 << 40),
        FLAG,
    ),
)


COMMON = (AppendRequest, AppendResponse, HeartbeatRequest, HeartbeatResponse)


def _is_rare(message: GroupMessage) -> bool:
    return not isinstance(message[1], COMMON)


@given(st.lists(st.tuples(st.integers(0, 1 << 20).map(GroupId), MESSAGES), max_size=6))
def test_a_round_comes_back_as_it_went_the_common_messages_first(
    messages: list[GroupMessage],
) -> None:
    sent = encode_round(ME, PEER, SAID, messages).SerializeToString()
    received = peer_pb2.Round.FromString(sent)
    assert decode_round(received) == sorted(messages, key=_is_rare)
    assert decode_introduction(received) == SAID


@pytest.mark.parametrize("kind", [LeadershipQuestion, LeadershipAnswer])
def test_half_a_row_of_a_question_or_its_answer_is_refused(
    kind: type[LeadershipQuestion | LeadershipAnswer],
) -> None:
    received = encode_round(ME, PEER, SAID, [(META_GROUP, kind(ME, PEER, [1, 2, 3, 4, 5]))])
    with pytest.raises(CodecError, match="4 numbers each, not 5 in all"):
        decode_round(received)


def test_a_message_of_an_unknown_kind_is_refused() -> None:
    unknown = peer_pb2.Round(messages=[peer_pb2.Message(group_id=1)])
    with pytest.raises(CodecError, match="kind 0"):
        decode_round(unknown)


@pytest.mark.parametrize("kind", [0, int(peer_pb2.MESSAGE_KIND_VOTE_REQUEST), 99])
def test_a_kind_that_is_not_a_common_one_is_refused_among_them(kind: int) -> None:
    common = peer_pb2.CommonMessages(numbers=[kind, 1, 1, 0, 0, 0, 0])
    with pytest.raises(CodecError, match=f"kind {kind} is not one of the common ones"):
        decode_round(peer_pb2.Round(common=common))


ENTRY = Entry(Index(6), Term(3), EntryKind.NORMAL, b"e")
APPEND = AppendRequest(ME, PEER, Term(3), Index(5), Term(2), Index(4), (ENTRY,))
BEAT = HeartbeatRequest(ME, PEER, Term(3), Index(4), 9, True)


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("numbers", "7 numbers each, not 15 in all"),
        ("entry_terms", "1 entries have 2 terms and 1 kinds"),
        ("entry_kinds", "1 entries have 1 terms and 2 kinds"),
        ("entry_data", "2 entries have 1 terms and 1 kinds"),
    ],
)
def test_lists_that_do_not_fit_together_are_refused(column: str, sentence: str) -> None:
    received = encode_round(ME, PEER, SAID, [(GroupId(1), APPEND), (GroupId(2), BEAT)])
    values = getattr(received.common, column)
    values.append(values[-1])
    with pytest.raises(CodecError, match=sentence):
        decode_round(received)


def test_entries_that_are_not_there_and_such_of_no_message_are_refused() -> None:
    received = encode_round(ME, PEER, SAID, [(GroupId(1), APPEND)])
    received.common.numbers[6] = 2
    with pytest.raises(CodecError, match="an append has 2 entries; 1 are left"):
        decode_round(received)
    received.common.numbers[6] = 0
    with pytest.raises(CodecError, match="1 entries belong to no message"):
        decode_round(received)


@pytest.mark.parametrize("column", ["entry_terms", "entry_kinds"])
def test_terms_and_kinds_of_no_entry_are_refused(column: str) -> None:
    received = encode_round(ME, PEER, SAID, [(GroupId(2), BEAT)])
    getattr(received.common, column).append(1)
    with pytest.raises(CodecError, match="0 entries have"):
        decode_round(received)


def test_an_entry_of_an_unknown_kind_is_refused() -> None:
    received = encode_round(ME, PEER, SAID, [(GroupId(1), APPEND)])
    received.common.entry_kinds[0] = 77
    with pytest.raises(CodecError, match="entry kind 77 is not known here"):
        decode_round(received)
