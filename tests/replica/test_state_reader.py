"""What is read of a state to be sent: all of one replica, and nothing else, as it was then."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.ids import GroupId
from kvstore.codec.state_transfer import take_records
from kvstore.errors import InvariantViolation
from kvstore.replica.state_sender import StateReader
from kvstore.storage.engine import Engine
from kvstore.storage.keys import replica_end, replica_prefix
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.rocks_engine import RocksEngine
from tests.storage.test_engine import put_all

GROUP = GroupId(7)
CHUNK_BYTES = 64 << 10
PREFIX, END = replica_prefix(GROUP, 3), replica_end(GROUP, 3)


@pytest.fixture(params=["memory", "rocks"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    engine = MemoryEngine() if request.param == "memory" else RocksEngine(str(tmp_path / "engine"))
    yield engine
    engine.close()


def read_all(reader: StateReader) -> tuple[dict[bytes, bytes], list[int]]:
    buffer = bytearray()
    found: dict[bytes, bytes] = {}
    sizes: list[int] = []
    while True:
        data, state_hash = reader.next()
        buffer += data
        sizes.append(len(data))
        found |= dict(take_records(buffer))
        if state_hash is not None:
            assert not buffer
            return found, sizes


def test_a_state_larger_than_a_window_is_read_whole_while_it_changes(engine: Engine) -> None:
    values = {b"%05d" % number: bytes([number % 256]) * 1000 for number in range(3000)}
    values[b"large"] = bytes(3 * CHUNK_BYTES)
    put_all(engine, {PREFIX + key: value for key, value in values.items()})
    for group, generation in ((GROUP, 2), (GROUP, 4), (GroupId(6), 9), (GroupId(8), 0)):
        put_all(engine, {replica_prefix(group, generation) + b"k": b"of another"})
    reader = StateReader(engine.view(PREFIX, END), PREFIX, CHUNK_BYTES)
    gc.collect()
    put_all(engine, {PREFIX + key: b"changed" for key in values})
    batch = engine.new_batch()
    batch.delete_range(PREFIX + b"01000", PREFIX + b"02000")
    engine.write(batch)
    engine.flush()
    found, sizes = read_all(reader)
    reader.close()
    assert found == values
    assert max(sizes) <= CHUNK_BYTES
    assert set(sizes[:-1]) == {CHUNK_BYTES}


def test_an_empty_state_is_one_empty_chunk(engine: Engine) -> None:
    assert read_all(StateReader(engine.view(PREFIX, END), PREFIX, CHUNK_BYTES)) == ({}, [0])


def test_keys_of_another_replica_are_never_sent(engine: Engine) -> None:
    put_all(engine, {PREFIX + b"k": b"v", END + b"k": b"of another"})
    reader = StateReader(engine.view(PREFIX, END + b"\xff"), PREFIX, CHUNK_BYTES)
    with pytest.raises(InvariantViolation, match="another's"):
        reader.next()


def test_a_stream_that_is_cut_into_pages_and_chunks_has_one_hash() -> None:
    hashes = set()
    for cut in (1, 2):
        engine = MemoryEngine()
        items = {PREFIX + b"%d" % number: bytes(number) for number in range(2000)}
        for _ in range(cut):
            put_all(engine, items)
        reader = StateReader(engine.view(PREFIX, END), PREFIX, CHUNK_BYTES)
        while (last := reader.next()[1]) is None:
            pass
        hashes.add(last)
    assert len(hashes) == 1
