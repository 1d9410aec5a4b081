"""At which levels the workloads read, and which revisions they record."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from kvstore.chaos.recorder import HISTORY_FILE, Recorder
from kvstore.chaos.session import Session
from kvstore.chaos.workloads import WORKLOADS
from kvstore.client import Answer, AsyncClient, Consistency, Receipt, Stale
from kvstore.codec.record import Record
from kvstore.errors import ConditionFailed
from kvstore.verify.history import History
from kvstore.verify.operation import Kind, Operation


class Told(AsyncClient):
    """A client of no cluster, which holds one value under every key and notes what is asked."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1:1")
        self.levels: Counter[object] = Counter()
        self.value: bytes | None = None
        self.revision = 0
        self.last_at_answer = 0
        """How far the state that answers a write is ahead of the write itself."""

    async def get(self, key: Any, **_more: Any) -> bytes | None:
        self.levels["plain"] += 1
        return self.value

    async def read(self, key: Any, *, consistency: Any = None, **_more: Any) -> Answer:
        self.levels[consistency] += 1
        level = Consistency.STALE if isinstance(consistency, Stale) else consistency
        record = None if self.value is None else Record(self.value, 1, 1, 1)
        return Answer(record, Receipt("n1", 0, 1, self.revision, 9, level))

    async def put(self, key: Any, value: Any, **more: Any) -> Any:
        if more.get("if_absent") and self.value is not None:
            more["receipts"].append(self._receipt())
            raise ConditionFailed("it exists")
        self.value = value
        self.revision += 1
        more["receipts"].append(self._receipt())
        return self.revision

    async def delete(self, key: Any, **_more: Any) -> Any:
        self.value, was = None, self.value
        return was is not None

    async def increment(self, key: Any, by: int = 1, **_more: Any) -> int:
        return by

    async def append(self, key: Any, suffix: Any, **_more: Any) -> int:
        return len(suffix)

    def _receipt(self) -> Receipt:
        ahead = self.revision + self.last_at_answer
        return Receipt("n1", 0, 1, ahead, 9, Consistency.LINEARIZABLE)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path)
    yield recorder
    recorder.close()


def asked(
    recorder: Recorder, folder: Path, client: Told, workload: str, steps: int
) -> list[Operation]:
    """What `steps` of a workload leave in the history."""

    async def work() -> None:
        load, random = WORKLOADS[workload](b""), Random(1)
        session = Session(1, client, recorder)
        for _ in range(steps):
            await load.step(session, random)

    asyncio.run(work())
    recorder.flush()
    return History.read(folder / HISTORY_FILE).operations


@pytest.mark.parametrize("workload", ["register", "counter", "append"])
def test_a_share_of_the_reads_of_single_keys_asks_for_less(
    recorder: Recorder, tmp_path: Path, workload: str
) -> None:
    client = Told()
    reads = [
        each
        for each in asked(recorder, tmp_path, client, workload, 1000)
        if each.op is Kind.GET and each.is_ok
    ]
    levels = Counter(each.level for each in reads)
    assert levels["linearizable"] > len(reads) / 2
    assert levels["session"] > len(reads) / 6
    assert levels["stale"] > len(reads) / 25
    assert recorder.reads == levels
    bounds = {each.max_staleness_s for each in client.levels if isinstance(each, Stale)}
    assert len(bounds) > 1
    # The way of those who want no receipt is another one, and is used as well.
    assert client.levels["plain"] > len(reads) / 3
    with_receipt = [each for each in reads if each.receipt is not None]
    assert len(with_receipt) == len(reads) - client.levels["plain"]


def test_of_a_write_the_revision_is_recorded_that_it_was_given(
    recorder: Recorder, tmp_path: Path
) -> None:
    """Not that of the state that answered, which may have more in it than the session has seen."""
    client = Told()
    client.last_at_answer = 5
    operations = asked(recorder, tmp_path, client, "register", 300)
    puts = [each.receipt for each in operations if each.op is Kind.PUT]
    written = [each.receipt for each in operations if each.op is Kind.CAS and each.applied]
    revisions = sorted(each.revision for each in (*puts, *written) if each is not None)
    assert revisions == list(range(1, client.revision + 1))


def test_a_write_that_was_refused_has_seen_nothing(recorder: Recorder, tmp_path: Path) -> None:
    operations = asked(recorder, tmp_path, Told(), "register", 300)
    refused = [each for each in operations if each.op is Kind.CAS and each.applied is False]
    assert refused
    assert all(each.receipt is None for each in refused)
