"""Both engines, for every test that takes `engine` or `engine_maker`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvstore.storage.engine import Engine
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.rocks_engine import RocksEngine

EngineMaker = Callable[[], Engine]


@pytest.fixture(params=["memory", "rocks"])
def engine_maker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EngineMaker]:
    """Makes empty engines of one kind, and closes them."""
    made: list[Engine] = []

    def make() -> Engine:
        engine: Engine
        if request.param == "memory":
            engine = MemoryEngine()
        else:
            engine = RocksEngine(str(tmp_path / f"engine-{len(made)}"))
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()


@pytest.fixture
def engine(engine_maker: EngineMaker) -> Engine:
    """One empty engine."""
    return engine_maker()
