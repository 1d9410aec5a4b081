"""Crashes at any moment, with torn writes, again and again, against a model.

The promise: what a log finds is what was appended, in order, up to some batch; that batch is not
before the last one that was synced; and what was found once stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvstore.commitlog.commit_log import (
    CommitLog,
    CommitLogFailed,
    CommitLogOptions,
    Position,
    Record,
)
from kvstore.simulation.disk import MemoryFileSystem
from tests.commitlog.support import FOLDER, STICKY, Visited

OPTIONS = CommitLogOptions(
    segment_bytes=512,
    payload_bytes_max=1024,
    batch_bytes_max=8192,
    sticky_kinds=frozenset({STICKY}),
    open_files_max=2,
    salt=99,
)


@dataclass
class Model:
    """What was appended, and how much of it has to be there. Payloads do not repeat."""

    batches: list[list[Record]] = field(default_factory=list)
    synced: int = 0
    """So many batches have to be found."""
    serial: int = 0

    def batch(self, sizes: Sequence[int]) -> list[Record]:
        """A new batch: records of those sizes, every third one sticky."""
        records = []
        for size in sizes:
            self.serial += 1
            kind = STICKY if self.serial % 3 == 0 else 1
            payload = b"%08d" % self.serial + b"p" * size
            records.append(Record(self.serial % 4, kind, payload))
        return records

    def settle(self, visited: Visited) -> None:
        """Checks what a start found, and goes on from it."""
        seen: set[bytes] = set()
        found: list[Record] = []
        state: dict[tuple[int, int], bytes] = {}
        for record in visited.records:
            # A checkpoint repeats a sticky record that was there before, the latest of its kind.
            if record.payload in seen:
                assert record.kind == STICKY
                assert state[record.group, record.kind] == record.payload
                continue
            seen.add(record.payload)
            state[record.group, record.kind] = record.payload
            found.append(record)
        count = 0
        rest = found
        for batch in self.batches:
            if rest[: len(batch)] != batch:
                break
            rest = rest[len(batch) :]
            count += 1
        assert rest == [], "a part of a batch, something out of order, or never appended"
        assert count >= self.synced, "something that was synced is gone"
        del self.batches[count:]
        self.synced = count


def start(files: MemoryFileSystem, model: Model) -> CommitLog:
    """Opens the log, and checks that it keeps its promise and reads back what it found."""
    visited = Visited()
    log = CommitLog.open(files, FOLDER, OPTIONS, visited)
    model.settle(visited)
    check_reads(log, visited.positions[-5:], visited.records[-5:])
    return log


def check_reads(log: CommitLog, positions: list[Position], records: list[Record]) -> None:
    for position, record in zip(positions, records, strict=True):
        assert log.read(position) == record.payload


def append(log: CommitLog, model: Model, sizes: Sequence[int], sync: bool) -> None:
    batch = model.batch(sizes)
    # Before it is written: whatever becomes of the write, the batch may be found later.
    model.batches.append(batch)
    positions = log.append(batch, sync=sync)
    check_reads(log, positions, batch)
    if sync:
        model.synced = len(model.batches)


SIZES = st.lists(st.integers(0, 200), min_size=1, max_size=4) | st.just([600]) | st.just([0] * 20)
APPENDS = st.lists(st.tuples(SIZES, st.booleans()), max_size=8)
END = st.sampled_from(["power", "power", "process", "close", "failed sync", "failed write"])


@settings(max_examples=200, deadline=None)
@given(
    lives=st.lists(st.tuples(APPENDS, END, st.integers(0, 60)), min_size=1, max_size=6),
    seed=st.integers(0, 1 << 32),
)
@example(lives=[([([10], True), ([10], False), ([10], False)], "power", 60)] * 6, seed=1)
def test_whatever_happens_the_log_keeps_its_promise(
    lives: list[tuple[list[tuple[list[int], bool]], str, int]], seed: int
) -> None:
    random = Random(seed)
    files = MemoryFileSystem()
    model = Model()
    for appends, end, operations in lives:
        # The power goes in the middle of something: a start, an append, or not before the end.
        with contextlib.suppress(OSError, CommitLogFailed):
            if end == "power":
                files.fail_all_after(operations)
            log = start(files, model)
            if end.startswith("failed"):
                files.fail(end.removeprefix("failed "), after=operations % 9)
            for sizes, sync in appends:
                append(log, model, sizes, sync)
            if end == "close":
                log.close()
                model.synced = len(model.batches)
        if end in ("power", "close", "failed write"):
            files.crash(random)
        else:
            files.restart()
    start(files, model)


SCENARIO: list[tuple[list[int], bool]] = [
    ([5, 100, 0], True),
    ([20], False),
    ([150, 30], False),
    ([40], True),
    ([600], True),
    ([1, 2, 3], False),
    ([120, 120], True),
]


def run_scenario(files: MemoryFileSystem, model: Model) -> None:
    log = start(files, model)
    for sizes, sync in SCENARIO:
        append(log, model, sizes, sync)
    log.close()


def scenario_operations() -> int:
    files = MemoryFileSystem()
    run_scenario(files, Model())
    return files.operations


@pytest.mark.parametrize("torn", [None, 1, 2, 3, 4, 5], ids=lambda seed: f"torn {seed}")
def test_the_power_may_go_at_every_single_operation(torn: int | None) -> None:
    total = scenario_operations()
    assert total > 40
    for point in range(total):
        files = MemoryFileSystem()
        model = Model()
        files.fail_all_after(point)
        with pytest.raises((OSError, CommitLogFailed)):
            run_scenario(files, model)
        files.crash(None if torn is None else Random(1000 * torn + point))
        run_scenario(files, model)
        files.crash()
        start(files, model)
        assert model.synced >= len(SCENARIO)


def test_torn_tails_are_really_met() -> None:
    """Guards the tests above: crashes do leave torn tails, and of many different kinds."""
    cuts = set()
    for seed in range(60):
        files = MemoryFileSystem()
        model = Model()
        log = start(files, model)
        append(log, model, [50], True)
        for _ in range(3):
            append(log, model, [60], False)
        files.crash(Random(seed))
        log = start(files, model)
        if log.recovery.cut is not None:
            cuts.add((log.recovery.cut.offset, log.recovery.cut.bytes_cut))
    assert len(cuts) > 10
