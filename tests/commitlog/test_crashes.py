"""Crashes at any moment, with torn writes, again and again, against a model.

The promise: what a log finds is what was appended, in order, from some segment that was not
released, up to some batch; that batch is not before the last one that was synced; and what was
found once stays, unless it was released. The latest sticky records are there whatever was released.
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
from kvstore.commitlog.log_format import decode_segment_header
from kvstore.simulation.disk import MemoryFileSystem
from tests.commitlog.support import FOLDER, STICKY, Visited, bytes_of, path_of

OPTIONS = CommitLogOptions(
    segment_bytes=768,
    payload_bytes_max=1024,
    batch_bytes_max=8192,
    sticky_kinds=frozenset({STICKY}),
    open_files_max=2,
    salt=99,
)


Sticky = dict[tuple[int, int], bytes]


@dataclass
class Batch:
    records: list[Record]
    segment: int | None = None
    """Where it stands; None until that is known."""


@dataclass
class Model:
    """What was appended, and how much of it has to be there. Payloads do not repeat."""

    batches: list[Batch] = field(default_factory=list)
    synced: int = 0
    """So many batches have to be found."""
    serial: int = 0
    released: int = 0
    """Segments below it may be gone."""
    gone: list[Record] = field(default_factory=list)
    """What stood in segments that are gone."""

    def batch(self, sizes: Sequence[int]) -> Batch:
        """A new batch: records of those sizes, every third one sticky."""
        records = []
        for size in sizes:
            self.serial += 1
            kind = STICKY if self.serial % 3 == 0 else 1
            # Small ones, as a rule: each segment repeats them.
            length = size % 70 if kind == STICKY else size
            payload = b"%08d" % self.serial + b"p" * length
            records.append(Record(self.serial % 4, kind, payload))
        return Batch(records)

    def settle(self, visited: Visited, oldest: int) -> None:
        """Checks what a start found from segment `oldest` on, and goes on from it."""
        assert oldest == 1 or oldest <= self.released
        self._drop_before(oldest)
        found = self._without_checkpoints(visited)
        count = 0
        rest = found
        for batch in self.batches:
            if [record for record, _ in rest[: len(batch.records)]] != batch.records:
                break
            batch.segment = rest[0][1].segment
            rest = rest[len(batch.records) :]
            count += 1
        assert rest == [], "a part of a batch, something out of order, or never appended"
        assert count >= self.synced, "something that was synced is gone"
        del self.batches[count:]
        self.synced = count
        everything = [*self.gone, *(record for batch in self.batches for record in batch.records)]
        assert sticky_of(visited.records) == sticky_of(everything)

    def _drop_before(self, segment: int) -> None:
        while self.batches and (self.batches[0].segment or segment) < segment:
            self.gone += self.batches.pop(0).records
            self.synced = max(self.synced - 1, 0)

    def _without_checkpoints(self, visited: Visited) -> list[tuple[Record, Position]]:
        """A checkpoint repeats a sticky record that was there before, the latest of its kind."""
        seen = {record.payload for record in self.gone}
        state = sticky_of(self.gone)
        found: list[tuple[Record, Position]] = []
        for record, position in zip(visited.records, visited.positions, strict=True):
            if record.payload in seen:
                assert state.get((record.group, record.kind)) == record.payload
                continue
            seen.add(record.payload)
            state |= sticky_of([record])
            found.append((record, position))
        return found


def sticky_of(records: Sequence[Record]) -> Sticky:
    return {(each.group, each.kind): each.payload for each in records if each.kind == STICKY}


def start(files: MemoryFileSystem, model: Model) -> CommitLog:
    """Opens the log, and checks that it keeps its promise and reads back what it found."""
    visited = Visited()
    log = CommitLog.open(files, FOLDER, OPTIONS, visited)
    model.settle(visited, log.oldest_segment)
    check_reads(log, visited.positions[-5:], visited.records[-5:])
    check_space(log, files)
    return log


def check_reads(log: CommitLog, positions: list[Position], records: list[Record]) -> None:
    for position, record in zip(positions, records, strict=True):
        assert log.read(position) == record.payload


def check_space(log: CommitLog, files: MemoryFileSystem) -> None:
    assert log.bytes_on_disk == bytes_of(files)
    assert log.spares <= OPTIONS.spares_max


def append(
    files: MemoryFileSystem, log: CommitLog, model: Model, sizes: Sequence[int], sync: bool
) -> None:
    batch = model.batch(sizes)
    # Before it is written: whatever becomes of the write, the batch may be found later.
    model.batches.append(batch)
    positions = log.append(batch.records, sync=sync)
    batch.segment = positions[0].segment
    check_reads(log, positions, batch.records)
    check_space(log, files)
    if sync:
        model.synced = len(model.batches)


def release(log: CommitLog, model: Model, kept: int) -> None:
    """Lets all segments go but the last `kept` and the one that is written to."""
    before = max(log.active_segment - kept, 1)
    model.released = max(model.released, before)
    log.release(before)


SIZES = st.lists(st.integers(0, 200), min_size=1, max_size=4) | st.just([600]) | st.just([0] * 20)
STEPS = st.lists(
    st.tuples(SIZES, st.booleans()) | st.just("prepare") | st.integers(0, 2), max_size=10
)
"""What a life does: appends, with or without sync; prepares; releases all but the last so many."""
Step = tuple[list[int], bool] | str | int
END = st.sampled_from(["power", "power", "process", "close", "failed sync", "failed write"])


def take(files: MemoryFileSystem, log: CommitLog, model: Model, step: Step) -> None:
    match step:
        case str():
            log.prepare()
            check_space(log, files)
        case int():
            release(log, model, step)
        case (sizes, sync):
            append(files, log, model, sizes, sync)


@settings(max_examples=200, deadline=None)
@given(
    lives=st.lists(st.tuples(STEPS, END, st.integers(0, 60)), min_size=1, max_size=6),
    seed=st.integers(0, 1 << 32),
)
@example(lives=[([([10], True), ([10], False), ([10], False)], "power", 60)] * 6, seed=1)
@example(lives=[([([300], True), 0, ([300], False), "prepare"] * 3, "power", 40)] * 6, seed=2)
def test_whatever_happens_the_log_keeps_its_promise(
    lives: list[tuple[list[Step], str, int]], seed: int
) -> None:
    random = Random(seed)
    files = MemoryFileSystem()
    model = Model()
    for steps, end, operations in lives:
        # The power goes in the middle of something: a start, an append, or not before the end.
        with contextlib.suppress(OSError, CommitLogFailed):
            if end == "power":
                files.fail_all_after(operations)
            log = start(files, model)
            if end.startswith("failed"):
                files.fail(end.removeprefix("failed "), after=operations % 9)
            for step in steps:
                take(files, log, model, step)
            if end == "close":
                log.close()
                model.synced = len(model.batches)
        if end in ("power", "close", "failed write"):
            files.crash(random)
        else:
            files.restart()
    start(files, model)


SCENARIO: list[Step] = [
    ([5, 100, 0], True),
    ([20], False),
    ([150, 30], False),
    ([40], True),
    ([600], True),
    "prepare",
    ([1, 2, 3], False),
    0,
    ([120, 120], True),
    ([220, 120], False),
    "prepare",
    ([300], True),
    1,
    ([320], True),
    ([330], False),
    0,
    ([340], True),
    ([310, 5], True),
    1,
    ([350], True),
    ([300], False),
]
"""Segments made from nothing, from spares made ahead, and from segments that were released."""


def run_scenario(files: MemoryFileSystem, model: Model) -> CommitLog:
    log = start(files, model)
    for step in SCENARIO:
        take(files, log, model, step)
    log.close()
    return log


def test_the_scenario_has_all_that_the_next_test_is_about() -> None:
    files = MemoryFileSystem()
    log = run_scenario(files, Model())
    assert log.active_segment > log.segments, "segments were released"
    recycled = [
        decode_segment_header(files.contents(path_of(number)), "", number).is_recycled
        for number in range(log.oldest_segment, log.active_segment + 1)
    ]
    assert any(recycled)
    assert not all(recycled)


@pytest.mark.parametrize("torn", [None, 1, 2, 3, 4, 5], ids=lambda seed: f"torn {seed}")
def test_the_power_may_go_at_every_single_operation(torn: int | None) -> None:
    files = MemoryFileSystem()
    run_scenario(files, Model())
    total = files.operations
    assert total > 80
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
        appends = sum(isinstance(step, tuple) for step in SCENARIO)
        assert len(model.gone) > 0
        assert model.serial >= appends


@pytest.mark.parametrize("operation", ["rename", "remove", "create", "allocate", "sync_folder"])
def test_any_failing_operation_on_a_file_stops_the_log_and_loses_nothing(operation: str) -> None:
    met = 0
    for after in range(20):
        files = MemoryFileSystem()
        model = Model()
        log = start(files, model)
        files.fail(operation, after=after)
        try:
            for step in SCENARIO:
                take(files, log, model, step)
        except CommitLogFailed:
            met += 1
        files.crash(Random(after))
        run_scenario(files, model)
    assert met > 0


def test_torn_tails_are_really_met() -> None:
    """Guards the tests above: crashes do leave torn tails, and of many different kinds."""
    cuts = set()
    for seed in range(60):
        files = MemoryFileSystem()
        model = Model()
        log = start(files, model)
        append(files, log, model, [50], True)
        for _ in range(3):
            append(files, log, model, [60], False)
        files.crash(Random(seed))
        log = start(files, model)
        if log.recovery.cut is not None:
            cuts.add((log.recovery.cut.offset, log.recovery.cut.bytes_cut))
    assert len(cuts) > 10
