"""What the engine in memory has beyond the shared suite: it forgets as a disk would."""

from __future__ import annotations

from kvstore.storage.memory_engine import MemoryEngine
from tests.storage.test_engine import everything, put_all


def test_after_a_crash_there_is_what_was_flushed_last() -> None:
    engine = MemoryEngine()
    put_all(engine, {b"a": b"1", b"b": b"1"})
    engine.flush()
    put_all(engine, {b"a": b"2", b"c": b"2"})
    found = engine.after_crash()
    assert everything(found) == {b"a": b"1", b"b": b"1"}
    assert everything(engine) == {b"a": b"2", b"b": b"1", b"c": b"2"}


def test_what_is_found_after_a_crash_survives_another_crash() -> None:
    engine = MemoryEngine()
    put_all(engine, {b"a": b"1"})
    engine.flush()
    found = engine.after_crash()
    put_all(found, {b"b": b"2"})
    assert everything(found.after_crash()) == {b"a": b"1"}
    assert everything(MemoryEngine().after_crash()) == {}
