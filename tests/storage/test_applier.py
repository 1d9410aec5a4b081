"""What applying the log does to a partition."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cluster.ids import GroupId, Index, ReplicaId, Term
from cluster.raft.configuration import Configuration
from cluster.raft.configuration_format import encode_configuration
from cluster.raft.messages import Entry, EntryKind
from kvstore.codec.command import encode_command
from kvstore.codec.record import Record, decode_record
from kvstore.codec.results import Results
from kvstore.codec.results import decode_results as decode_any
from kvstore.codec.scan import Scan
from kvstore.codec.scrub import encode_mark
from kvstore.errors import CorruptionError, InvariantViolation, ResourceExhausted
from kvstore.storage.applier import apply_round
from kvstore.storage.engine import Engine, WriteBatch
from kvstore.storage.heads import HeadCache
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.position import load_position
from kvstore.storage.rocks_engine import RocksEngine
from tests.storage.commands import (
    Log,
    Model,
    Operation,
    apply_commands,
    command,
    delete,
    entries,
    log_entries,
    put,
)
from tests.storage.test_engine import everything, put_all

GROUP = GroupId(1)
GROUPS = [GroupId(1), GroupId(2), GroupId(300)]
ALL = Scan(b"", None, 0, 2**32 - 1)


def decode_results(data: bytes) -> tuple[int, ...]:
    results = decode_any(data)
    assert isinstance(results, Results)
    assert results.extras is None
    return tuple(results.revisions)


def apply(state: PartitionState, engine: Engine, *rounds: list[Operation]) -> list[list[int]]:
    """Each list of operations as an entry and a round of its own; returns the revisions."""
    answers: list[list[int]] = []
    for operations in rounds:
        [[result]] = apply_commands(
            engine, [(state, [(state.applied_index + 1, command(operations))])]
        )
        answers.append(list(decode_results(result)) if operations else [])
    return answers


def records(state: PartitionState) -> dict[bytes, Record]:
    page = state.scan(ALL)
    assert not page.more
    return dict(zip(page.keys, map(decode_record, page.records), strict=True))


A = b"a"
CASES: list[tuple[str, list[Operation], list[int], Record | None]] = [
    ("a put creates", [put(A, b"1")], [1], Record(b"1", 1, 1, 1)),
    ("a put replaces", [put(A, b"1"), put(A, b"2")], [1, 2], Record(b"2", 2, 1, 2)),
    ("a put may be empty", [put(A, b"")], [1], Record(b"", 1, 1, 1)),
    ("the same value is a write", [put(A), put(A)], [1, 2], Record(b"v", 2, 1, 2)),
    ("a delete removes", [put(A), delete(A)], [1, 2], None),
    ("a delete of nothing is no write", [delete(A)], [0], None),
    ("the second delete is no write", [put(A), delete(A), delete(A)], [1, 2, 0], None),
    ("a delete of nothing takes no revision", [delete(A), put(A)], [0, 1], Record(b"v", 1, 1, 1)),
    (
        "after a delete, history begins anew",
        [put(A), put(A), delete(A), put(A, b"n")],
        [1, 2, 3, 4],
        Record(b"n", 1, 4, 4),
    ),
    (
        "revisions count the writes of all keys",
        [put(A), put(b"b"), put(b"c"), put(A, b"2")],
        [1, 2, 3, 4],
        Record(b"2", 2, 1, 4),
    ),
]


@pytest.mark.parametrize(
    ("operations", "revisions", "record"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
@pytest.mark.parametrize("grouping", ["one command", "one round", "rounds"])
def test_operations(
    engine: Engine,
    grouping: str,
    operations: list[Operation],
    revisions: list[int],
    record: Record | None,
) -> None:
    state = PartitionState(engine, GROUP)
    if grouping == "one command":
        given_revisions = apply(state, engine, operations)[0]
    elif grouping == "rounds":
        answers = apply(state, engine, *([each] for each in operations))
        given_revisions = [revision for [revision] in answers]
    else:
        work = [(index + 1, command([each])) for index, each in enumerate(operations)]
        [results] = apply_commands(engine, [(state, work)])
        given_revisions = [decode_results(result)[0] for result in results]
    assert given_revisions == revisions
    assert records(state).get(A) == record
    assert state.revision == max(revisions)


def test_an_empty_command_moves_only_the_applied_index(engine: Engine) -> None:
    state = PartitionState(engine, GROUP)
    apply(state, engine, [put(A)])
    before = state.fingerprint()
    assert apply_commands(engine, [(state, [(2, b""), (3, b"")])]) == [[b"", b""]]
    assert (state.applied_index, state.revision, state.fingerprint()) == (3, 1, before)


def test_a_command_without_operations_has_no_results(engine: Engine) -> None:
    state = PartitionState(engine, GROUP)
    empty = encode_command(b"", [], [])
    [[result]] = apply_commands(engine, [(state, [(1, empty)])])
    assert decode_results(result) == ()
    assert (state.applied_index, state.revision) == (1, 0)


def test_a_round_without_work_does_nothing(engine: Engine) -> None:
    state = PartitionState(engine, GROUP)
    assert apply_commands(engine, []) == []
    assert apply_commands(engine, [(state, [])]) == [[]]
    assert (state.applied_index, state.revision) == (0, 0)


def test_partitions_of_a_round_do_not_touch_each_other(engine: Engine) -> None:
    states = [PartitionState(engine, group) for group in GROUPS]
    apply(states[0], engine, [put(A), put(A)])
    results = apply_commands(
        engine,
        [
            (states[0], [(2, command([put(A, b"0")]))]),
            (states[1], [(1, command([delete(A)])), (2, command([put(A, b"1")]))]),
        ],
    )
    assert [[decode_results(r) for r in of_one] for of_one in results] == [[(3,)], [(0,), (1,)]]
    assert records(states[0]) == {A: Record(b"0", 3, 1, 3)}
    assert records(states[1]) == {A: Record(b"1", 1, 1, 1)}
    assert records(states[2]) == {}


def test_a_partition_opened_again_goes_on_where_it_stood(engine: Engine) -> None:
    apply(PartitionState(engine, GROUP), engine, [put(A)], [], [put(b"b")])
    state = PartitionState(engine, GROUP)
    assert (state.applied_index, state.revision) == (3, 2)
    assert apply(state, engine, [put(A, b"2")]) == [[3]]
    assert records(state)[A] == Record(b"2", 2, 1, 3)


def test_versions_go_on_beyond_32_bits(engine: Engine) -> None:
    state = PartitionState(engine, GROUP)
    stored = Record(b"v", 2**32 - 1, 1, 2**32 - 1)
    header = bytes.fromhex("01 ffffffff00000000 0100000000000000 ffffffff00000000") + bytes(8)
    put_all(engine, {state.data_prefix + A: header + stored.value})
    assert records(state) == {A: stored}
    apply(state, engine, [put(A)])
    assert records(state)[A].version == 2**32


@pytest.mark.parametrize(
    ("indexes", "wrong", "expected"),
    [
        pytest.param([2], 2, 3, id="applied already"),
        pytest.param([0], 0, 3, id="before the log"),
        pytest.param([4], 4, 3, id="a gap"),
        pytest.param([3, 5], 5, 4, id="a gap inside the round"),
        pytest.param([3, 3], 3, 4, id="twice in the round"),
    ],
)
def test_an_index_that_does_not_follow_is_a_broken_invariant(
    engine: Engine, indexes: list[int], wrong: int, expected: int
) -> None:
    state = PartitionState(engine, GROUP)
    apply(state, engine, [put(A)], [put(A)])
    with pytest.raises(InvariantViolation, match=rf"group 1: entry {wrong} .* {expected} is next"):
        apply_commands(engine, [(state, [(index, command([put(A)])) for index in indexes])])
    assert (state.applied_index, state.revision) == (2, 2)
    assert records(state)[A].version == 2


@pytest.mark.parametrize("data", [b"?", command([put(A)])[:-1], b"\2" + command([put(A)])[1:]])
def test_a_command_that_does_not_decode_is_a_broken_invariant(engine: Engine, data: bytes) -> None:
    states = [PartitionState(engine, group) for group in GROUPS[:2]]
    before = everything(engine)
    with pytest.raises(InvariantViolation, match="group 2: the command at 2 does not decode"):
        apply_commands(
            engine,
            [(states[0], [(1, command([put(A)]))]), (states[1], [(1, b""), (2, data)])],
        )
    assert [state.applied_index for state in states] == [0, 0]
    assert everything(engine) == before


def test_a_partition_has_one_place_in_a_round(engine: Engine) -> None:
    state = PartitionState(engine, GROUP)
    with pytest.raises(InvariantViolation, match="two places"):
        apply_commands(engine, [(state, [(1, b"")]), (state, [(1, b"")])])
    assert state.applied_index == 0


def test_a_stored_record_that_makes_no_sense_is_corruption(engine: Engine) -> None:
    state = PartitionState(engine, GROUP)
    for record in (b"", bytes(40), b"\1" * 10):
        put_all(engine, {state.data_prefix + A: record})
        with pytest.raises(CorruptionError, match="unreadable"):
            apply(state, engine, [put(A)])
    assert state.applied_index == 0


class CountingEngine(MemoryEngine):
    """Counts calls, and fails writes while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[bytes]] = []
        self.writes = 0
        self.full = False

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        self.reads.append(keys)
        return super().get_many(keys)

    def write(self, batch: WriteBatch) -> None:
        if self.full:
            raise ResourceExhausted("full")
        self.writes += 1
        super().write(batch)


def test_a_round_is_one_read_of_each_key_once_and_one_write() -> None:
    engine = CountingEngine()
    states = [PartitionState(engine, group) for group in GROUPS]
    engine.reads.clear()
    operations = [put(A), put(b"b"), put(A), delete(A), delete(b"c")]
    work = [(state, [(1, command(operations)), (2, command(operations))]) for state in states]
    apply_commands(engine, work)
    expected = [state.data_prefix + key for state in states for key in (A, b"b", b"c")]
    assert engine.reads == [expected]
    assert engine.writes == 1


def test_heads_save_the_read_of_keys_that_were_written_before() -> None:
    engine, heads = CountingEngine(), HeadCache()
    state = PartitionState(engine, GROUP)
    engine.reads.clear()
    for index in range(1, 6):
        apply_commands(engine, [(state, [(index, command([put(A), put(b"%d" % index)]))])], heads)
    prefix = state.data_prefix
    assert engine.reads == [
        [prefix + A, prefix + b"1"],
        [prefix + b"2"],
        [prefix + b"3"],
        [prefix + b"4"],
        [prefix + b"5"],
    ]
    assert records(state)[A] == Record(b"v", 5, 1, 9)


def test_a_failed_write_leaves_everything_as_it_was_and_can_be_repeated() -> None:
    engine, heads = CountingEngine(), HeadCache()
    state = PartitionState(engine, GROUP)
    for index in (1, 2):
        apply_commands(engine, [(state, [(index, command([put(A)]))])], heads)
    before = state.fingerprint()
    assert len(heads) == 1
    engine.full = True
    work = [(state, [(3, command([put(A, b"3"), delete(A), put(A, b"4")]))])]
    with pytest.raises(ResourceExhausted):
        apply_commands(engine, work, heads)
    assert (state.applied_index, state.revision, state.fingerprint()) == (2, 2, before)
    assert len(heads) == 0
    engine.full = False
    [[result]] = apply_commands(engine, work, heads)
    assert decode_results(result) == (3, 4, 5)
    assert records(state) == {A: Record(b"4", 1, 5, 5)}


logs = st.fixed_dictionaries(dict.fromkeys(GROUPS, entries))


def as_commands(entries_of_group: list[list[Operation]]) -> list[tuple[int, bytes]]:
    return [(index + 1, command(ops)) for index, ops in enumerate(entries_of_group)]


def apply_log(
    engine: Engine, log: Log, per_round: list[int], heads: HeadCache | None = None
) -> list[PartitionState]:
    """Applies what each group has left of `log`, in rounds of `per_round` entries a group."""
    states = [PartitionState(engine, group) for group in log]
    left = [as_commands(log[state.group])[state.applied_index :] for state in states]
    turn = 0
    while any(left):
        taken = per_round[turn % len(per_round)]
        turn += 1
        apply_commands(
            engine, [(s, e[:taken]) for s, e in zip(states, left, strict=True) if e], heads
        )
        left = [e[taken:] for e in left]
    return states


def summary(states: list[PartitionState]) -> list[tuple[int, int, int]]:
    return [(s.applied_index, s.revision, s.fingerprint()) for s in states]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(log=logs, per_round=st.integers(1, 8))
def test_apply_does_what_the_model_does(log: Log, per_round: int) -> None:
    engine = MemoryEngine()
    for group, of_group in log.items():
        state, model = PartitionState(engine, group), Model()
        commands = as_commands(of_group)
        for low in range(0, len(commands), per_round):
            [results] = apply_commands(engine, [(state, commands[low : low + per_round])])
            for operations, result in zip(of_group[low : low + per_round], results, strict=True):
                if operations:
                    assert decode_results(result) == model.apply(operations)
                else:
                    assert result == b""
        assert records(state) == dict(sorted(model.records.items()))
        assert (state.applied_index, state.revision) == (len(of_group), model.revision)


@pytest.fixture(scope="module")
def rocks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RocksEngine]:
    """One for all examples: each example has groups of its own."""
    engine = RocksEngine(str(tmp_path_factory.mktemp("applier") / "engine"))
    yield engine
    engine.close()


unused_groups = map(GroupId, count(1000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(log=logs, one=st.lists(st.integers(1, 3), min_size=1, max_size=3))
def test_engines_heads_and_the_cut_into_rounds_make_no_difference(
    rocks: RocksEngine, log: Log, one: list[int]
) -> None:
    expected = summary(apply_log(MemoryEngine(), log, [1]))
    assert summary(apply_log(MemoryEngine(), log, [100])) == expected
    assert summary(apply_log(MemoryEngine(), log, one, HeadCache())) == expected
    assert summary(apply_log(MemoryEngine(), log, one, HeadCache(bytes_max=1000))) == expected
    renamed = dict(zip(unused_groups, log.values(), strict=False))
    assert summary(apply_log(rocks, renamed, one, HeadCache(bytes_max=1000))) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(log=logs, rounds=st.lists(st.integers(1, 3), min_size=1, max_size=3), data=st.data())
def test_a_replay_from_any_flush_comes_to_the_same_state(
    log: Log, rounds: list[int], data: st.DataObject
) -> None:
    expected = summary(apply_log(MemoryEngine(), log, rounds))
    engine = MemoryEngine()
    for _ in range(2):
        until = {
            group: of_group[: data.draw(st.integers(0, len(of_group)))]
            for group, of_group in log.items()
        }
        apply_log(engine, until, rounds, HeadCache())
        engine.flush()
        apply_log(engine, log, rounds)  # lost
        engine = engine.after_crash()
    assert summary(apply_log(engine, log, rounds, HeadCache())) == expected


def test_a_thousand_operations_in_one_command(engine: Engine) -> None:
    state = PartitionState(engine, GROUP)
    many = [put(b"%04d" % (number % 700), b"%d" % number) for number in range(1000)]
    assert apply(state, engine, many) == [list(range(1, 1001))]
    found = records(state)
    assert found[b"0000"] == Record(b"700", 2, 1, 701)
    assert found[b"0699"] == Record(b"699", 1, 700, 700)


def test_the_term_and_the_members_of_the_group_are_kept_with_the_applied_index(
    engine: Engine,
) -> None:
    state = PartitionState(engine, GROUP)
    members = [Configuration(frozenset(map(ReplicaId, each))) for each in ((1, 2), (1, 2, 3))]
    changes = [
        Entry(Index(2 + n), Term(4), EntryKind.MEMBERSHIP, encode_configuration(each))
        for n, each in enumerate(members)
    ]
    first, last = log_entries([(1, command([put(A)])), (4, command([put(A)]))], term=5)
    [results] = apply_round(engine, [(state, [first, *changes, last])])
    assert [bool(result) for result in results] == [True, False, False, True]
    found = load_position(engine, GROUP)
    assert (found.applied_index, found.term, found.configuration) == (4, 5, members[1])
    assert state.term == 5
    apply_commands(engine, [(state, [(5, b"")])])
    assert load_position(engine, GROUP).configuration == members[1]


def test_members_and_applied_index_are_of_one_batch() -> None:
    engine = MemoryEngine()
    state = PartitionState(engine, GROUP)
    members = Configuration(frozenset({ReplicaId(1)}))
    change = Entry(Index(1), Term(1), EntryKind.MEMBERSHIP, encode_configuration(members))
    apply_round(engine, [(state, [change])])
    found = load_position(engine.after_crash(), GROUP)
    assert (found.applied_index, found.configuration) == (0, None)


def test_a_mark_changes_nothing_but_the_position() -> None:
    engine = MemoryEngine()
    state = PartitionState(engine, GROUP)
    apply(state, engine, [put(b"a", b"1")])
    before, revision = records(state), state.revision
    mark = Entry(Index(2), Term(3), EntryKind.NORMAL, encode_mark(at_full_pace=True))
    assert apply_round(engine, [(state, [mark])]) == [[b""]]
    assert records(state) == before
    assert (state.applied_index, state.revision, state.term) == (2, revision, 3)
