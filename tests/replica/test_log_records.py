"""The payloads of the commit log's records: their bytes are forever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import Index, ReplicaId, Term
from cluster.raft.messages import Entry, EntryKind
from cluster.raft.ready import HardState
from kvstore.codec.byteslist import CodecError
from kvstore.replica.log_records import (
    Bounds,
    decode_bounds,
    decode_entries,
    decode_entry_heads,
    decode_hard_state,
    encode_bounds,
    encode_entries,
    encode_hard_state,
)

U64 = st.integers(0, (1 << 64) - 1)


@st.composite
def runs(draw: st.DrawFn) -> list[Entry]:
    first = draw(st.integers(1, 1 << 60))
    count = draw(st.integers(1, 6))
    return [
        Entry(
            Index(first + i),
            Term(draw(U64)),
            draw(st.sampled_from(EntryKind)),
            draw(st.binary(max_size=40)),
        )
        for i in range(count)
    ]


@given(runs())
def test_entries_come_back_as_they_were(run: list[Entry]) -> None:
    payload = encode_entries(run)
    assert decode_entries(payload) == run
    first, terms, kinds = decode_entry_heads(payload)
    assert (first, list(terms)) == (run[0].index, [entry.term for entry in run])
    assert list(kinds) == [entry.kind for entry in run]


@given(U64, st.none() | st.integers(1, 1 << 60), U64)
def test_hard_state_comes_back_as_it_was(term: int, vote: int | None, commit: int) -> None:
    state = HardState(Term(term), None if vote is None else ReplicaId(vote), Index(commit))
    assert decode_hard_state(encode_hard_state(state)) == state


@given(U64, U64)
def test_bounds_come_back_as_they_were(index: int, term: int) -> None:
    bounds = Bounds(Index(index), Term(term))
    assert decode_bounds(encode_bounds(bounds)) == bounds


def test_the_bytes_are_those_of_the_format_page() -> None:
    entry = Entry(Index(7), Term(3), EntryKind.NORMAL, b"abc")
    assert encode_entries([entry]).hex() == (
        "0700000000000000010000000300000000000000000100000003000000616263"
    )
    assert encode_hard_state(HardState(Term(3), ReplicaId(2), Index(6))).hex() == (
        "030000000000000002000000000000000600000000000000"
    )
    assert encode_bounds(Bounds(Index(7), Term(3))).hex() == "07000000000000000300000000000000"


@given(runs(), st.data())
def test_a_payload_cut_short_is_refused(run: list[Entry], data: st.DataObject) -> None:
    payload = encode_entries(run)
    cut = data.draw(st.integers(0, len(payload) - 1))
    with pytest.raises(CodecError):
        decode_entries(payload[:cut])


@pytest.mark.parametrize("length", [0, 23, 25])
def test_a_hard_state_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(CodecError, match=f"not {length}"):
        decode_hard_state(bytes(length))


@pytest.mark.parametrize("length", [0, 15, 17])
def test_bounds_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(CodecError, match=f"not {length}"):
        decode_bounds(bytes(length))
