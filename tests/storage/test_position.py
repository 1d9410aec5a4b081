"""The record that says how far a group is applied."""

from __future__ import annotations

import pytest

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.configuration import Configuration
from cluster.raft.configuration_format import encode_configuration
from kvstore.errors import CorruptionError
from kvstore.storage.engine import Engine
from kvstore.storage.keys import Section, generation_key, section_prefix
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.position import (
    Generation,
    Position,
    encode_generation,
    encode_position,
    load_position,
)
from tests.storage.test_engine import put_all

GROUP = GroupId(3)
STATE = section_prefix(GROUP, 0, Section.STATE)


def position(
    generation: int,
    applied: int,
    revision: int,
    term: int = 0,
    configuration: Configuration | None = None,
    clock_ms: int = 0,
    forgotten_through: int = 0,
) -> Position:
    return Position(
        generation,
        Index(applied),
        revision,
        Term(term),
        configuration,
        clock_ms,
        Index(forgotten_through),
    )


def test_the_bytes_of_a_position_are_as_documented() -> None:
    assert encode_position(2, 258, 3, 4, 1) == bytes.fromhex(
        "03 0200000000000000 0201000000000000 0300000000000000 0400000000000000 0100000000000000"
    )


def test_a_new_group_stands_at_zero(engine: Engine) -> None:
    assert load_position(engine, GROUP) == position(0, 0, 0)


def test_a_group_stands_where_its_record_says(engine: Engine) -> None:
    put_all(engine, {STATE: encode_position(7, 2**64 - 1, 3, 2**40, 6)})
    assert load_position(engine, GROUP) == position(0, 7, 2**64 - 1, 3, None, 2**40, 6)


@pytest.mark.parametrize(
    ("stored", "term"),
    [
        pytest.param("01 0200000000000000 0201000000000000", 0, id="format 1"),
        pytest.param("02 0200000000000000 0201000000000000 0300000000000000", 3, id="format 2"),
    ],
)
def test_a_position_of_an_older_format_has_0_for_what_it_did_not_keep(
    engine: Engine, stored: str, term: int
) -> None:
    put_all(engine, {STATE: bytes.fromhex(stored)})
    assert load_position(engine, GROUP) == position(0, 2, 258, term)


def test_the_configuration_is_the_one_beside_the_position(engine: Engine) -> None:
    members = Configuration(frozenset({ReplicaId(1), ReplicaId(4)}))
    key = section_prefix(GROUP, 0, Section.CONFIGURATION)
    put_all(engine, {STATE: encode_position(7, 5, 3), key: encode_configuration(members)})
    assert load_position(engine, GROUP) == position(0, 7, 5, 3, members)


def test_only_the_current_generation_counts(engine: Engine) -> None:
    put_all(
        engine,
        {
            STATE: encode_position(7, 5, 1),
            section_prefix(GROUP, 2, Section.STATE): encode_position(9, 6, 2),
            generation_key(GROUP): encode_generation(Generation(2)),
            generation_key(GroupId(GROUP + 1)): encode_generation(Generation(3)),
        },
    )
    assert load_position(engine, GROUP) == position(2, 9, 6, 2)
    state = PartitionState(engine, GROUP)
    assert (state.generation, state.applied_index, state.revision, state.term) == (2, 9, 6, 2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (STATE, b""),
        (STATE, encode_position(1, 1, 1)[:-1]),
        (STATE, encode_position(1, 1, 1) + b"\0"),
        (STATE, b"\4" + encode_position(1, 1, 1)[1:]),
        (STATE, b"\1" + encode_position(1, 1, 1)[1:]),
        (section_prefix(GROUP, 0, Section.CONFIGURATION), b"\1\0"),
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
