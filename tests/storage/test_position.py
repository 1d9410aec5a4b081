"""The record that says how far a group is applied."""

from __future__ import annotations

import pytest

from cluster.ids import GroupId, Index
from kvstore.errors import CorruptionError
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, generation_key, section_prefix
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.position import Position, encode_position, load_position
from tests.storage.test_engine import put_all

GROUP = GroupId(3)
STATE = section_prefix(GROUP, 0, Section.STATE)


def test_the_bytes_of_a_position_are_as_documented() -> None:
    assert encode_position(2, 258) == bytes.fromhex("01 0200000000000000 0201000000000000")


def test_a_new_group_stands_at_zero(engine: Engine) -> None:
    assert load_position(engine, GROUP) == Position(0, Index(0), 0)


def test_a_group_stands_where_its_record_says(engine: Engine) -> None:
    put_all(engine, {STATE: encode_position(7, 2**64 - 1)})
    assert load_position(engine, GROUP) == Position(0, Index(7), 2**64 - 1)


def test_only_the_current_generation_counts(engine: Engine) -> None:
    put_all(
        engine,
        {
            STATE: encode_position(7, 5),
            section_prefix(GROUP, 2, Section.STATE): encode_position(9, 6),
            generation_key(GROUP): bytes.fromhex("02000000"),
            generation_key(GroupId(GROUP + 1)): bytes.fromhex("03000000"),
        },
    )
    assert load_position(engine, GROUP) == Position(2, Index(9), 6)
    state = PartitionState(engine, GROUP)
    assert (state.generation, state.applied_index, state.revision) == (2, 9, 6)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (STATE, b""),
        (STATE, encode_position(1, 1)[:-1]),
        (STATE, encode_position(1, 1) + b"\0"),
        (STATE, b"\2" + encode_position(1, 1)[1:]),
        (generation_key(GROUP), b""),
        (generation_key(GROUP), bytes(5)),
    ],
)
def test_a_record_that_makes_no_sense_is_corruption(
    engine: Engine, key: bytes, value: bytes
) -> None:
    put_all(engine, {key: value})
    with pytest.raises(CorruptionError, match="group 3"):
        load_position(engine, GROUP)
