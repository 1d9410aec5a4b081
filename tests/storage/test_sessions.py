"""A command that is sent again is applied once, whatever became of its client's session."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ids import GroupId, Index
from kvstore.codec.command import OperationKind, Stamp, encode_command
from kvstore.codec.results import CommandOutcome, Refusal, Results, decode_results
from kvstore.errors import ResourceExhausted
from kvstore.storage import sessions
from kvstore.storage.engine import Engine, WriteBatch
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.partition_state import PartitionState
from tests.storage.commands import apply_commands

GROUP = GroupId(1)
KEY = b"k"
FEW = 3
"""Sessions that a small partition keeps."""


def client(number: int) -> bytes:
    return number.to_bytes(16, "big")


def stamp(number: int, sequence: int, lowest: int = 1, opened_after: int = 0) -> Stamp:
    return Stamp(client(number), sequence, lowest, opened_after)


class Partition:
    """One that is given a command at a time."""

    def __init__(
        self, engine: Engine | None = None, sessions_max: int = sessions.SESSIONS_MAX
    ) -> None:
        self.engine = engine or MemoryEngine()
        self.sessions_max = sessions_max
        self.restart()

    def put(self, stamp: Stamp, value: bytes = b"v") -> int | CommandOutcome:
        """The revision of a put, or why it was not applied."""
        data = encode_command(bytes([OperationKind.PUT]), [KEY], [value], stamp)
        [[result]] = apply_commands(self.engine, [(self.state, [(self.index + 1, data)])])
        outcome = decode_results(result)
        if isinstance(outcome, Refusal):
            assert outcome.index == self.index - 1
            return outcome.outcome
        assert isinstance(outcome, Results)
        return outcome.revisions[0]

    def restart(self) -> None:
        self.state = PartitionState(self.engine, GROUP, self.sessions_max)

    @property
    def index(self) -> int:
        return self.state.applied_index

    @property
    def kept(self) -> int:
        """Records of sessions on disk."""
        prefix = self.state.sessions._prefix
        page = self.engine.scan(prefix, prefix + b"\xff" * 30, limit=10**6, bytes_max=1 << 30)
        return len(page.keys)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_command_that_comes_again_gets_the_result_of_the_first_time(restarts: bool) -> None:
    partition = Partition()
    assert [partition.put(stamp(1, 1)), partition.put(stamp(2, 1))] == [1, 2]
    if restarts:
        partition.restart()
    assert [partition.put(stamp(1, 1)), partition.put(stamp(2, 1))] == [1, 2]
    assert partition.state.revision == 2


def test_a_command_that_comes_twice_in_one_round_is_applied_once() -> None:
    partition = Partition()
    data = encode_command(bytes([OperationKind.PUT]), [KEY], [b"v"], stamp(1, 1))
    [results] = apply_commands(partition.engine, [(partition.state, [(1, data), (2, data)])])
    assert results[0] == results[1]
    assert partition.state.revision == 1


def test_commands_of_a_session_may_come_in_any_order() -> None:
    partition = Partition()
    assert [partition.put(stamp(1, n)) for n in (3, 1, 2)] == [1, 2, 3]
    assert [partition.put(stamp(1, n)) for n in (1, 2, 3)] == [2, 3, 1]


def test_results_below_the_lowest_go_and_are_never_applied_again() -> None:
    partition = Partition()
    for sequence in range(1, 11):
        assert partition.put(stamp(1, sequence, lowest=max(1, sequence - 1))) == sequence
    assert partition.kept == 2
    assert partition.put(stamp(1, 8, lowest=8)) is CommandOutcome.FORGOTTEN
    partition.restart()
    assert partition.put(stamp(1, 8, lowest=8)) is CommandOutcome.FORGOTTEN
    assert partition.put(stamp(1, 9, lowest=1)) == 9
    assert partition.state.revision == 10


@pytest.mark.parametrize("restarts", [False, True])
def test_a_late_command_with_an_older_lowest_does_not_take_it_back(restarts: bool) -> None:
    partition = Partition()
    partition.put(stamp(1, 5, lowest=5))
    assert partition.put(stamp(1, 7, lowest=1)) == 2
    if restarts:
        partition.restart()
    assert partition.put(stamp(1, 4, lowest=1)) is CommandOutcome.FORGOTTEN


def test_a_sequence_too_far_above_the_lowest_is_refused_and_can_be_sent_later() -> None:
    partition = Partition()
    far = 1 + sessions.WINDOW
    assert partition.put(stamp(1, far)) is CommandOutcome.WINDOW_FULL
    assert partition.put(stamp(1, far - 1)) == 1
    assert partition.put(stamp(1, far, lowest=2)) == 2


def test_the_session_that_has_not_written_for_longest_is_forgotten() -> None:
    partition = Partition(sessions_max=FEW)
    for number in (1, 2, 3):
        partition.put(stamp(number, 1))
    partition.put(stamp(1, 2))
    partition.put(stamp(4, 1))
    assert len(partition.state.sessions) == FEW
    assert partition.put(stamp(2, 1)) is CommandOutcome.SESSION_UNKNOWN
    assert partition.put(stamp(1, 1)) == 1
    assert partition.kept == 4


@pytest.mark.parametrize("restarts", [False, True])
def test_whoever_may_have_been_forgotten_is_refused(restarts: bool) -> None:
    """Its command may have been applied: nobody can tell any more."""
    partition = Partition(sessions_max=FEW)
    partition.put(stamp(1, 1))  # index 1
    for number in (2, 3, 4):
        partition.put(stamp(number, 1))
    if restarts:
        partition.restart()
    assert partition.put(stamp(1, 1)) is CommandOutcome.SESSION_UNKNOWN
    assert partition.put(stamp(9, 1, opened_after=0)) is CommandOutcome.SESSION_UNKNOWN
    assert partition.state.revision == 4


def test_a_session_opened_after_the_last_forgotten_one_wrote_is_a_new_one() -> None:
    partition = Partition(sessions_max=FEW)
    for number in (1, 2, 3, 4):
        partition.put(stamp(number, 1))
    assert partition.put(stamp(9, 1, opened_after=1)) == 5
    # That one made client 2, whose last entry was the second, be forgotten.
    assert partition.put(stamp(8, 1, opened_after=1)) is CommandOutcome.SESSION_UNKNOWN
    assert partition.put(stamp(8, 1, opened_after=2)) == 6


def test_a_known_session_needs_no_word_of_when_it_was_opened() -> None:
    partition = Partition(sessions_max=FEW)
    for number in (1, 2, 3, 4):
        partition.put(stamp(number, 1))
    assert partition.put(stamp(4, 2)) == 5


def test_what_is_refused_leaves_no_trace() -> None:
    partition = Partition(sessions_max=FEW)
    for number in (1, 2, 3, 4):
        partition.put(stamp(number, 1))
    before = partition.state.fingerprint()
    partition.put(stamp(1, 1))
    partition.put(stamp(4, 1))
    partition.put(stamp(4, 1 + sessions.WINDOW))
    assert partition.state.fingerprint() == before


class Refusing(MemoryEngine):
    """An engine that has no room for so many batches to come."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0

    def write(self, batch: WriteBatch) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ResourceExhausted("no room")
        super().write(batch)


def test_a_round_that_the_engine_refused_has_not_happened() -> None:
    engine = Refusing()
    partition, twin = Partition(engine, FEW), Partition(sessions_max=FEW)
    for number in (1, 2, 3):
        assert partition.put(stamp(number, 1)) == twin.put(stamp(number, 1))
    for number, opened_after in ((4, 0), (5, 1), (2, 9), (2, 0)):
        engine.refusals = 2
        for _ in range(2):
            with pytest.raises(ResourceExhausted):
                partition.put(stamp(number, 1, opened_after=opened_after))
        assert partition.put(stamp(number, 1, opened_after=opened_after)) == twin.put(
            stamp(number, 1, opened_after=opened_after)
        )
        assert partition.state.fingerprint() == twin.state.fingerprint()
        assert partition.state.forgotten_through == twin.state.forgotten_through


def test_many_clients_of_one_write_leave_a_bounded_table() -> None:
    partition = Partition()
    for number in range(1, 3 * sessions.SESSIONS_MAX):
        assert partition.put(stamp(number, 1, opened_after=Index(partition.index))) == number
    assert len(partition.state.sessions) == partition.kept == sessions.SESSIONS_MAX


def _fingerprint_of(log: list[bytes], cuts: list[int]) -> tuple[int, int, int]:
    partition = Partition(sessions_max=FEW)
    for first, end in pairwise([0, *cuts, len(log)]):
        entries = [(index + 1, log[index]) for index in range(first, end)]
        if entries:
            apply_commands(partition.engine, [(partition.state, entries)])
    kept = partition.kept
    partition.restart()
    return partition.state.fingerprint(), partition.state.sessions.forgotten_through, kept


@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 60), max_size=8))
def test_what_is_on_disk_is_the_same_wherever_rounds_end(random: Random, cuts: list[int]) -> None:
    log: list[bytes] = []
    for index in range(60):
        sequence = 1 + index // 4 + random.randrange(3)
        lowest = random.randint(max(1, sequence - 3), sequence)
        made = stamp(random.randint(1, FEW + 2), sequence, lowest, opened_after=index)
        value = b"%d" % index
        log.append(encode_command(bytes([OperationKind.PUT]), [KEY], [value], made))
    alone = _fingerprint_of(log, list(range(1, 60)))
    assert _fingerprint_of(log, sorted(cuts)) == alone
    assert _fingerprint_of(log, []) == alone
