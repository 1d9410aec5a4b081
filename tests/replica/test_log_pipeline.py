"""The way to the disk: one write at a time, in order, in bounded pieces."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeVar

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.messages import Entry, EntryKind, TimeoutNow
from cluster.raft.ready import HardState, Ready, Role
from kvstore.commitlog.commit_log import Position, Record
from kvstore.errors import ResourceExhausted
from kvstore.replica.log_pipeline import (
    MESSAGES_MAX,
    RECORD_BYTES_AIM,
    RETRY_TICKS,
    WRITE_BYTES_AIM,
    LogPipeline,
    Pending,
)
from kvstore.replica.log_records import Bounds, RecordKind, decode_entries, decode_hard_state

T = TypeVar("T")
ONE, TWO = GroupId(1), GroupId(2)


class Log:
    """Keeps what each write held."""

    def __init__(self) -> None:
        self.writes: list[list[Record]] = []
        self.problem: Exception | None = None

    def append(self, records: Sequence[Record]) -> list[Position]:
        if self.problem is not None:
            raise self.problem
        self.writes.append(list(records))
        write = len(self.writes)
        return [Position(write, place, len(r.payload)) for place, r in enumerate(records)]


class Later:
    """A worker whose jobs run when the test says so."""

    def __init__(self) -> None:
        self.jobs: deque[Callable[[], None]] = deque()

    def submit(self, job: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        def run() -> None:
            outcome: T | BaseException
            try:
                outcome = job()
            except Exception as problem:
                outcome = problem
            done(outcome)

        self.jobs.append(run)

    def close(self) -> None:
        self.jobs.clear()


class Bench:
    """A pipeline with its surroundings."""

    def __init__(self) -> None:
        self.log = Log()
        self.worker = Later()
        self.persisted: list[Pending] = []
        self.problems: list[BaseException] = []
        self.pipeline = LogPipeline(
            self.log, self.worker, self.persisted.extend, self.problems.append
        )

    def disk(self) -> None:
        """One write ends; the next one starts."""
        self.worker.jobs.popleft()()
        self.pipeline.flush()


def ready(
    number: int, *, first: int = 1, sizes: Sequence[int] = (), term: int | None = None
) -> Ready:
    entries = tuple(
        Entry(Index(first + i), Term(1), EntryKind.NORMAL, bytes(size))
        for i, size in enumerate(sizes)
    )
    return Ready(
        number=number,
        snapshot=None,
        entries=entries,
        hard_state=None if term is None else HardState(Term(term), ReplicaId(1)),
        must_sync=bool(entries) or term is not None,
        messages=(),
        messages_after_persist=(),
        committed=(),
        read_states=(),
        role=Role.FOLLOWER,
        term=Term(1),
        leader=None,
    )


def test_what_gathers_while_the_disk_is_busy_goes_out_as_one_write() -> None:
    bench = Bench()
    bench.pipeline.add(ONE, ready(1, sizes=[1]))
    bench.pipeline.flush()
    assert bench.pipeline.is_busy
    bench.pipeline.add(TWO, ready(1, sizes=[1]))
    bench.pipeline.add(ONE, ready(2, first=2, sizes=[1]))
    bench.pipeline.flush()
    bench.disk()
    bench.disk()
    assert [len(records) for records in bench.log.writes] == [1, 2]
    assert [(p.group, p.number) for p in bench.persisted] == [(ONE, 1), (TWO, 1), (ONE, 2)]


def test_a_bundle_with_nothing_to_write_need_not_wait() -> None:
    bench = Bench()
    assert bench.pipeline.add(ONE, ready(1)) is not None


def test_a_bundle_with_nothing_to_write_does_not_overtake_one_of_its_group() -> None:
    bench = Bench()
    bench.pipeline.add(ONE, ready(1, sizes=[1]))
    bench.pipeline.flush()
    assert bench.pipeline.add(ONE, ready(2)) is None
    assert bench.pipeline.add(TWO, ready(1)) is not None
    assert bench.persisted == []
    bench.disk()
    assert [p.number for p in bench.persisted] == [2], "both, told of as one"
    assert not bench.pipeline.is_busy
    assert len(bench.log.writes) == 1  # the empty one cost no write


def test_term_and_vote_stand_before_the_entries_of_their_bundle_and_only_when_they_changed() -> (
    None
):
    bench = Bench()
    for number, term in enumerate((1, 1, 2), 1):
        bench.pipeline.add(ONE, ready(number, first=number, sizes=[1], term=term))
        bench.pipeline.flush()
        bench.disk()
    hard, entries = RecordKind.HARD_STATE, RecordKind.ENTRIES
    kinds = [[record.kind for record in write] for write in bench.log.writes]
    assert kinds == [[hard, entries], [entries], [hard, entries]]


def test_a_vote_given_in_a_known_term_is_written() -> None:
    bench = Bench()
    bench.pipeline.add(ONE, ready(1, term=4))
    vote = ready(2)
    vote.hard_state, vote.must_sync = HardState(Term(4), ReplicaId(2)), True
    bench.pipeline.add(ONE, vote)
    bench.pipeline.flush()
    bench.disk()
    (records,) = bench.log.writes
    assert [decode_hard_state(record.payload).vote for record in records] == [1, 2]


def test_many_entries_become_records_of_bounded_size_and_none_is_lost() -> None:
    bench = Bench()
    sizes = [RECORD_BYTES_AIM // 2, RECORD_BYTES_AIM // 2, 1, 3 * RECORD_BYTES_AIM, 1, 1]
    bundle = ready(1, sizes=sizes)
    bench.pipeline.add(ONE, bundle)
    bench.pipeline.flush()
    bench.disk()
    (records,) = bench.log.writes
    runs = [decode_entries(record.payload) for record in records]
    assert [[len(entry.data) for entry in run] for run in runs] == [
        sizes[:2],
        sizes[2:3],
        sizes[3:4],
        sizes[4:],
    ]
    (pending,) = bench.persisted
    assert [entry for run in pending.runs if run for entry in run] == list(bundle.entries)
    assert [position.offset for position in pending.positions] == [0, 1, 2, 3]


def test_a_write_is_bounded_and_bundles_are_not_torn_apart() -> None:
    bench = Bench()
    for number in range(1, 6):
        half = WRITE_BYTES_AIM // 2
        bench.pipeline.add(ONE, ready(number, first=number, sizes=[half]))
    bench.pipeline.flush()
    while bench.worker.jobs:
        bench.disk()
    assert [len(records) for records in bench.log.writes] == [2, 2, 1]
    assert [p.number for p in bench.persisted] == [1, 2, 3, 4, 5]


def test_bounds_go_out_in_their_turn_and_are_told_of_after_the_bundles() -> None:
    bench = Bench()
    told: list[int] = []
    bench.pipeline.add(ONE, ready(1, sizes=[1]))
    bench.pipeline.flush()
    bench.pipeline.add_bounds(
        [(ONE, Bounds(Index(1), Term(1))), (TWO, Bounds(Index(5), Term(2)))],
        lambda: told.append(len(bench.persisted)),
    )
    bench.pipeline.add(ONE, ready(2, first=2, sizes=[1]))
    bench.pipeline.flush()
    bench.disk()
    assert told == []
    bench.disk()
    assert told == [2]
    bounds, entries = RecordKind.BOUNDS, RecordKind.ENTRIES
    kinds = [[(record.group, record.kind) for record in write] for write in bench.log.writes]
    assert kinds == [[(ONE, entries)], [(ONE, bounds), (TWO, bounds), (ONE, entries)]]


def test_no_bounds_cost_no_write() -> None:
    bench = Bench()
    told: list[bool] = []
    bench.pipeline.add_bounds([], lambda: told.append(True))
    bench.pipeline.flush()
    assert (told, bench.log.writes) == ([True], [])


def test_a_failed_write_is_reported_and_nothing_of_it_is_called_persisted() -> None:
    bench = Bench()
    bench.log.problem = OSError("the disk failed")
    bench.pipeline.add(ONE, ready(1, sizes=[1]))
    bench.pipeline.flush()
    bench.worker.jobs.popleft()()
    assert bench.problems == [bench.log.problem]
    assert bench.persisted == []


def test_what_waits_for_a_disk_for_long_stays_bounded() -> None:
    bench = Bench()
    bench.pipeline.add(ONE, ready(1, sizes=[1]))
    bench.pipeline.flush()
    for number in range(2, 1000):
        bundle = ready(number)
        bundle.messages_after_persist = (TimeoutNow(ReplicaId(1), ReplicaId(2), Term(number)),)
        assert bench.pipeline.add(ONE, bundle) is None
        assert bench.pipeline.waiting == 1
    bench.disk()
    (pending,) = bench.persisted
    assert pending.number == 999
    assert [m.term for m in pending.messages] == list(range(1000 - MESSAGES_MAX, 1000))


class FullDisk(Bench):
    """A disk that has no room for two bundles, the second behind the first."""

    def __init__(self) -> None:
        super().__init__()
        self.log.problem = ResourceExhausted("no room")
        self.pipeline.add(ONE, ready(1, sizes=[10, 10]))
        self.pipeline.add(TWO, ready(1, sizes=[10]))
        self.pipeline.flush()
        self.disk()

    def retry(self) -> None:
        for _ in range(RETRY_TICKS):
            assert not self.worker.jobs
            self.pipeline.tick()
        self.disk()


def test_a_write_without_room_is_no_failure_and_nothing_of_it_is_called_persisted() -> None:
    bench = FullDisk()
    assert bench.pipeline.is_refused
    assert bench.pipeline.is_busy, "nothing is proposed"
    assert not bench.problems
    assert not bench.persisted
    assert not bench.log.writes


def test_nothing_is_written_past_what_had_no_room() -> None:
    bench = FullDisk()
    bench.pipeline.add(ONE, ready(2, first=3, sizes=[1]))
    bench.pipeline.flush()
    assert not bench.worker.jobs
    bench.retry()
    bench.log.problem = None
    bench.retry()
    while bench.worker.jobs:
        bench.disk()
    firsts = [
        (record.group, decode_entries(record.payload)[0].index)
        for write in bench.log.writes
        for record in write
    ]
    assert firsts == [(ONE, 1), (TWO, 1), (ONE, 3)]
    assert [(p.group, p.number) for p in bench.persisted] == [(ONE, 1), (TWO, 1), (ONE, 2)]
    assert not bench.pipeline.is_refused
    assert bench.pipeline.waiting == 0


def test_what_had_no_room_as_a_whole_is_tried_in_parts() -> None:
    bench = FullDisk()
    bench.log.problem = None
    bench.retry()
    assert [len(records) for records in bench.log.writes] == [1]
    bench.disk()
    assert [len(records) for records in bench.log.writes] == [1, 1]


def test_a_disk_that_fails_after_it_was_full_is_reported() -> None:
    bench = FullDisk()
    bench.log.problem = OSError("the disk failed")
    bench.retry()
    assert bench.problems == [bench.log.problem]
    assert bench.persisted == []
