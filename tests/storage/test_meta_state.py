"""The meta group's blob."""

from __future__ import annotations

import pytest

from cluster.ids import META_GROUP, GroupId, Index, ReplicaId, Term
from cluster.raft.configuration import Configuration
from cluster.raft.configuration_format import encode_configuration
from kvstore.errors import InvariantViolation
from kvstore.storage.engine import Engine
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.meta_state import MetaState
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.position import load_position
from tests.storage.commands import apply_commands, command, put

TERM = Term(3)


def test_there_is_nothing_before_the_first_save(engine: Engine) -> None:
    assert MetaState(engine).load() == (0, None)


def test_what_was_saved_last_is_loaded(engine: Engine) -> None:
    meta = MetaState(engine)
    for index, blob in [(1, b"one"), (2, b""), (7, bytes(100_000))]:
        meta.save(Index(index), TERM, blob, None)
        assert meta.load() == (index, blob)
        assert MetaState(engine).load() == (index, blob)


@pytest.mark.parametrize("index", [0, 4, 5])
def test_an_index_that_is_not_above_the_applied_one_is_a_broken_invariant(
    engine: Engine, index: int
) -> None:
    meta = MetaState(engine)
    meta.save(Index(5), TERM, b"five", None)
    with pytest.raises(InvariantViolation):
        meta.save(Index(index), TERM, b"other", None)
    assert MetaState(engine).load() == (5, b"five")


def test_index_and_blob_are_of_one_batch() -> None:
    engine = MemoryEngine()
    meta = MetaState(engine)
    meta.save(Index(1), TERM, b"one", None)
    engine.flush()
    meta.save(Index(2), TERM, b"two", None)
    assert MetaState(engine.after_crash()).load() == (1, b"one")


def test_the_meta_group_is_apart_from_the_partitions(engine: Engine) -> None:
    meta = MetaState(engine)
    meta.save(Index(3), TERM, b"blob", None)
    assert META_GROUP == 0
    state = PartitionState(engine, GroupId(1))
    assert state.applied_index == 0
    apply_commands(engine, [(state, [(1, command([put(b"k")]))])])
    assert MetaState(engine).load() == (3, b"blob")


def test_term_and_members_are_kept_beside_the_blob(engine: Engine) -> None:
    members = Configuration(frozenset({ReplicaId(1), ReplicaId(2)}))
    meta = MetaState(engine)
    meta.save(Index(1), TERM, b"one", encode_configuration(members))
    meta.save(Index(2), TERM, b"two", None)
    position = load_position(engine, META_GROUP)
    assert (position.applied_index, position.term, position.configuration) == (2, TERM, members)
