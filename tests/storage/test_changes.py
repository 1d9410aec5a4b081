"""What changes, transactions and expiry do to a partition."""

from __future__ import annotations

from struct import pack
from typing import Any

import pytest

from cluster.ids import GroupId
from kvstore.codec.change import (
    INTEGER_MAX,
    INTEGER_MIN,
    Action,
    Change,
    ChangeAnswer,
    ChangeStatus,
    Fence,
    append_operand,
    decode_answer,
    encode_change,
    increment_operand,
)
from kvstore.codec.command import OperationKind, encode_command, with_clock
from kvstore.codec.record import Record, decode_record
from kvstore.codec.results import Results, decode_results
from kvstore.codec.transaction import (
    Branch,
    Comparison,
    Operations,
    Relation,
    Subject,
    Transaction,
    TransactionAnswer,
    decode_transaction_answer,
    encode_transaction,
    number_operand,
)
from kvstore.storage import changes
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.partition_state import PartitionState
from tests.storage.commands import apply_commands

GROUP = GroupId(1)
K = b"key"
STATUS = ChangeStatus
Step = tuple[OperationKind, bytes, bytes]


def put(key: bytes, value: bytes) -> Step:
    return OperationKind.PUT, key, value


def delete(key: bytes) -> Step:
    return OperationKind.DELETE, key, b""


def get(key: bytes) -> Step:
    return OperationKind.GET, key, b""


def change(key: bytes, action: Action, operand: bytes = b"", **conditions: Any) -> Step:
    return OperationKind.CHANGE, key, encode_change(Change(action, operand, **conditions))


def increment(key: bytes, by: int, initial: int = 0, **conditions: Any) -> Step:
    return change(key, Action.INCREMENT, increment_operand(by, initial), **conditions)


def append(key: bytes, suffix: bytes, limit: int = 100, **conditions: Any) -> Step:
    return change(key, Action.APPEND, append_operand(limit, suffix), **conditions)


def expire(key: bytes, expiry_ms: int) -> Step:
    return OperationKind.EXPIRE, key, pack("<Q", expiry_ms)


def operations(*steps: Step) -> Operations:
    return Operations(
        bytes(kind for kind, _, _ in steps),
        [key for _, key, _ in steps],
        [argument for _, _, argument in steps],
    )


def transaction(
    comparisons: list[Comparison], then: list[Step], otherwise: list[Step] | None = None
) -> Step:
    encoded = encode_transaction(
        Transaction(comparisons, operations(*then), operations(*(otherwise or [])))
    )
    return OperationKind.TRANSACTION, K, encoded


class Partition:
    """One that is given a command at a time."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.state = PartitionState(self.engine, GROUP)

    def do(self, *steps: Step, clock_ms: int | None = None) -> Results:
        parts = operations(*steps)
        data = encode_command(parts.kinds, parts.keys, parts.arguments, timed=clock_ms is not None)
        if clock_ms is not None:
            data = with_clock(data, clock_ms)
        work = [(self.state.applied_index + 1, data)]
        [[result]] = apply_commands(self.engine, [(self.state, work)])
        results = decode_results(result)
        assert isinstance(results, Results)
        return results

    def answer(self, step: Step, clock_ms: int | None = None) -> ChangeAnswer:
        results = self.do(step, clock_ms=clock_ms)
        assert results.extras is not None
        assert results.extras[0] is not None
        answer = decode_answer(results.extras[0])
        assert (results.revisions[0] > 0) == (answer.status is STATUS.DONE)
        return answer

    def decide(self, step: Step) -> TransactionAnswer:
        results = self.do(step)
        assert results.extras is not None
        assert results.extras[0] is not None
        return decode_transaction_answer(results.extras[0])

    def record(self, key: bytes = K) -> Record | None:
        (stored,) = self.state.get_many([key])
        return None if stored is None else decode_record(stored)

    def value(self, key: bytes = K) -> bytes | None:
        record = self.record(key)
        return None if record is None else record.value


def with_value(value: bytes | None) -> Partition:
    """K holds `value`, at revision 2; another key has revision 1."""
    partition = Partition()
    partition.do(put(b"other", b"x"))
    if value is not None:
        partition.do(put(K, value))
    return partition


@pytest.mark.parametrize(
    ("there", "conditions", "holds"),
    [
        (None, {"if_absent": True}, True),
        (b"v", {"if_absent": True}, False),
        (b"v", {"if_revision": 2}, True),
        (b"v", {"if_revision": 1}, False),
        (b"v", {"if_revision": 0}, False),
        (None, {"if_revision": 0}, True),
        (None, {"if_revision": 2}, False),
        (b"v", {"if_value": b"v"}, True),
        (b"v", {"if_value": b""}, False),
        (b"", {"if_value": b""}, True),
        (None, {"if_value": b""}, False),
        (b"v", {"if_value": b"v", "if_revision": 2}, True),
        (b"v", {"if_value": b"v", "if_revision": 1}, False),
        (b"v", {"if_value": b"w", "if_revision": 2}, False),
    ],
)
def test_a_put_is_done_only_where_its_conditions_hold(
    there: bytes | None, conditions: dict[str, Any], holds: bool
) -> None:
    partition = with_value(there)
    answer = partition.answer(change(K, Action.PUT, b"new", **conditions))
    if holds:
        assert (answer.status, partition.value()) == (STATUS.DONE, b"new")
    else:
        present = 0 if there is None else 2
        assert answer == ChangeAnswer(STATUS.CONDITION_FAILED, present)
        assert partition.value() == there
        assert partition.state.revision == (1 if there is None else 2)


def test_what_was_there_comes_back_where_it_is_asked_for() -> None:
    partition = with_value(b"old")
    for action, operand in ((Action.PUT, b"new"), (Action.DELETE, b"")):
        before = partition.state.get_many([K])[0]
        assert before is not None
        answer = partition.answer(change(K, action, operand, returns_previous=True))
        assert answer.record == before
    assert partition.answer(change(K, Action.PUT, b"", returns_previous=True)).record is None


@pytest.mark.parametrize(
    ("there", "step", "status", "number", "after"),
    [
        (None, increment(K, 5), STATUS.DONE, 5, b"5"),
        (None, increment(K, 5, 100), STATUS.DONE, 105, b"105"),
        (b"7", increment(K, -10), STATUS.DONE, -3, b"-3"),
        (b"-3", increment(K, 3), STATUS.DONE, 0, b"0"),
        (b"007", increment(K, 1), STATUS.DONE, 8, b"8"),
        (b"%d" % INTEGER_MAX, increment(K, 1), STATUS.OVERFLOW, INTEGER_MAX, b"%d" % INTEGER_MAX),
        (b"%d" % INTEGER_MIN, increment(K, -1), STATUS.OVERFLOW, INTEGER_MIN, b"%d" % INTEGER_MIN),
        (b"%d" % INTEGER_MIN, increment(K, INTEGER_MAX), STATUS.DONE, -1, b"-1"),
        (None, increment(K, 1, INTEGER_MAX), STATUS.OVERFLOW, INTEGER_MAX, None),
        (b"", increment(K, 1), STATUS.NOT_A_NUMBER, 0, b""),
        (b"-", increment(K, 1), STATUS.NOT_A_NUMBER, 0, b"-"),
        (b"1.5", increment(K, 1), STATUS.NOT_A_NUMBER, 0, b"1.5"),
        (b" 1", increment(K, 1), STATUS.NOT_A_NUMBER, 0, b" 1"),
        (b"\xb2", increment(K, 1), STATUS.NOT_A_NUMBER, 0, b"\xb2"),
        (b"9" * 19, increment(K, 1), STATUS.NOT_A_NUMBER, 0, b"9" * 19),
        (b"9" * 9999, increment(K, 1), STATUS.NOT_A_NUMBER, 0, b"9" * 9999),
        (None, append(K, b"xy"), STATUS.DONE, 2, b"xy"),
        (b"ab", append(K, b"xy"), STATUS.DONE, 4, b"abxy"),
        (b"ab", append(K, b"xy", 4), STATUS.DONE, 4, b"abxy"),
        (b"ab", append(K, b"xy", 3), STATUS.TOO_LARGE, 4, b"ab"),
        (b"ab", change(K, Action.TOUCH), STATUS.DONE, 0, b"ab"),
        (None, change(K, Action.TOUCH), STATUS.ABSENT, 0, None),
        (b"ab", change(K, Action.DELETE), STATUS.DONE, 0, None),
        (None, change(K, Action.DELETE), STATUS.ABSENT, 0, None),
    ],
)
def test_a_change_does_what_it_says_or_nothing(
    there: bytes | None, step: Step, status: ChangeStatus, number: int, after: bytes | None
) -> None:
    partition = with_value(there)
    answer = partition.answer(step)
    assert (answer.status, answer.number, partition.value()) == (status, number, after)


def test_changes_of_one_command_see_each_other() -> None:
    partition = Partition()
    results = partition.do(
        increment(K, 1), increment(K, 1), delete(K), increment(K, 1), put(K, b"9"), increment(K, 1)
    )
    assert list(results.revisions) == [1, 2, 3, 4, 5, 6]
    assert partition.record() == Record(b"10", 3, 4, 6)


def test_a_record_counts_its_writes_as_plain_puts_do() -> None:
    partition = with_value(b"1")
    partition.do(increment(K, 1))
    partition.do(put(K, b"x"))
    assert partition.record() == Record(b"x", 3, 2, 4)


# --- fences


def test_a_write_with_a_token_below_one_that_was_seen_is_refused() -> None:
    partition = Partition()

    def write(lock: bytes, token: int) -> ChangeAnswer:
        return partition.answer(change(K, Action.PUT, b"v", fence=Fence(lock, token)))

    assert write(b"lock", 5).status is STATUS.DONE
    assert write(b"lock", 5).status is STATUS.DONE
    assert write(b"lock", 4) == ChangeAnswer(STATUS.FENCED, 5)
    assert write(b"other lock", 1).status is STATUS.DONE
    assert write(b"lock", 9).status is STATUS.DONE
    assert write(b"lock", 8) == ChangeAnswer(STATUS.FENCED, 9)
    partition.state = PartitionState(partition.engine, GROUP)
    assert write(b"lock", 8) == ChangeAnswer(STATUS.FENCED, 9)


def test_a_token_counts_for_all_keys_of_the_partition() -> None:
    partition = Partition()
    partition.do(change(b"a", Action.PUT, b"v", fence=Fence(b"lock", 5)))
    stale = change(b"b", Action.DELETE, fence=Fence(b"lock", 4))
    assert partition.answer(stale) == ChangeAnswer(STATUS.FENCED, 5)


# --- transactions


@pytest.mark.parametrize("there", [None, b"m"])
@pytest.mark.parametrize("relation", Relation)
@pytest.mark.parametrize("operand", [b"", b"a", b"m", b"z"])
def test_a_comparison_of_values_holds_as_bytes_do(
    there: bytes | None, relation: Relation, operand: bytes
) -> None:
    partition = with_value(there)
    mine = there or b""
    expected = {
        Relation.EQUAL: mine == operand,
        Relation.NOT_EQUAL: mine != operand,
        Relation.LESS: mine < operand,
        Relation.GREATER: mine > operand,
    }[relation]
    answer = partition.decide(transaction([Comparison(K, Subject.VALUE, relation, operand)], []))
    assert answer.branch is (Branch.THEN if expected else Branch.ELSE)


@pytest.mark.parametrize(
    ("subject", "number"),
    [(Subject.VERSION, 2), (Subject.CREATE_REVISION, 2), (Subject.MOD_REVISION, 257)],
)
def test_a_comparison_of_numbers_holds_as_numbers_do(subject: Subject, number: int) -> None:
    partition = with_value(b"v")
    for _ in range(254):
        partition.do(put(b"other", b""))
    partition.do(put(K, b"v"))
    for operand in (0, 1, 2, 3, 256, 257, 258, 1 << 40):
        for relation, holds in (
            (Relation.EQUAL, number == operand),
            (Relation.NOT_EQUAL, number != operand),
            (Relation.LESS, number < operand),
            (Relation.GREATER, number > operand),
        ):
            comparison = Comparison(K, subject, relation, number_operand(operand))
            answer = partition.decide(transaction([comparison], []))
            assert answer.branch is (Branch.THEN if holds else Branch.ELSE), comparison


ABSENT = Comparison(K, Subject.VERSION, Relation.EQUAL, number_operand(0))


def test_one_branch_is_done_and_its_results_are_answered() -> None:
    partition = Partition()
    step = transaction(
        [ABSENT],
        [put(K, b"1"), get(K), increment(K, 41), delete(b"none"), get(b"none")],
        [put(b"else", b"")],
    )
    answer = partition.decide(step)
    results = decode_results(answer.body)
    assert isinstance(results, Results)
    assert (answer.branch, list(results.revisions)) == (Branch.THEN, [1, 0, 2, 0, 0])
    assert results.extras is not None
    assert decode_record(results.extras[1] or b"").value == b"1"
    assert decode_answer(results.extras[2] or b"") == ChangeAnswer(STATUS.DONE, 42)
    assert (results.extras[4], partition.value(), partition.value(b"else")) == (None, b"42", None)
    assert partition.decide(step).branch is Branch.ELSE
    assert partition.value(b"else") == b""


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (increment(b"text", 1), STATUS.NOT_A_NUMBER),
        (append(K, b"x", 0), STATUS.TOO_LARGE),
        (change(K, Action.PUT, b"", if_absent=True), STATUS.CONDITION_FAILED),
        (change(K, Action.PUT, b"", fence=Fence(b"lock", 1)), STATUS.FENCED),
    ],
)
@pytest.mark.parametrize("bad_comes_first", [True, False])
def test_a_transaction_with_a_change_that_is_refused_changes_nothing(
    bad: Step, status: ChangeStatus, bad_comes_first: bool
) -> None:
    partition = with_value(b"v")
    partition.do(put(b"text", b"abc"), change(b"f", Action.PUT, b"", fence=Fence(b"lock", 2)))
    before = (partition.state.fingerprint(), partition.state.revision)
    fenced = change(K, Action.PUT, b"x", fence=Fence(b"lock", 7), lifetime_ms=5)
    if status is STATUS.FENCED:
        fenced = put(K, b"x")
    steps = [bad, fenced, delete(b"text")] if bad_comes_first else [fenced, delete(b"f"), bad]
    answer = partition.decide(transaction([], steps))
    assert (answer.branch, decode_answer(answer.body).status) == (Branch.FAILED, status)
    assert (partition.state.fingerprint(), partition.state.revision) == before
    assert partition.answer(change(K, Action.PUT, b"", fence=Fence(b"lock", 2))).status is (
        STATUS.DONE
    )


# --- lifetimes


def test_a_key_with_a_lifetime_ends_with_the_entry_that_says_so() -> None:
    partition = Partition()
    partition.do(change(K, Action.PUT, b"v", lifetime_ms=50), clock_ms=1000)
    record = partition.record()
    assert record is not None
    assert record.expiry_ms == 1050
    expiries = partition.state.expiries
    assert (expiries.due(1049, 10), expiries.due(1050, 10)) == ([], [(K, 1050)])
    partition.do(expire(K, 1050), clock_ms=1049)
    assert partition.value() == b"v"
    partition.do(expire(K, 1050), clock_ms=1050)
    assert (partition.value(), expiries.due(1 << 40, 10)) == (None, [])


@pytest.mark.parametrize(
    ("step", "expiry_ms"),
    [
        pytest.param(put(K, b"w"), 0, id="a plain put ends the lifetime"),
        pytest.param(change(K, Action.PUT, b"w"), 0, id="so does one with conditions"),
        pytest.param(change(K, Action.PUT, b"w", lifetime_ms=9), 2009, id="or begins another"),
        pytest.param(increment(K, 1), 1050, id="an increment keeps it"),
        pytest.param(increment(K, 1, lifetime_ms=9), 2009, id="or begins another"),
        pytest.param(append(K, b"1"), 1050, id="an append keeps it"),
        pytest.param(change(K, Action.TOUCH), 0, id="a touch without one ends it"),
        pytest.param(change(K, Action.TOUCH, lifetime_ms=9), 2009, id="and with one begins it"),
    ],
)
def test_what_becomes_of_a_lifetime(step: Step, expiry_ms: int) -> None:
    partition = Partition()
    partition.do(change(K, Action.PUT, b"1", lifetime_ms=50), clock_ms=1000)
    partition.do(step, clock_ms=2000)
    record = partition.record()
    assert record is not None
    assert record.expiry_ms == expiry_ms
    due = [(K, expiry_ms)] if expiry_ms else []
    assert partition.state.expiries.due(1 << 40, 10) == due
    partition.do(expire(K, 1050), clock_ms=9000)
    assert (partition.record() is None) == (expiry_ms == 1050)


def test_the_clock_of_a_partition_never_goes_back() -> None:
    partition = Partition()
    partition.do(put(K, b""), change(K, Action.TOUCH, lifetime_ms=1), clock_ms=1000)
    partition.do(change(K, Action.TOUCH, lifetime_ms=1), clock_ms=10)
    record = partition.record()
    assert record is not None
    assert (record.expiry_ms, partition.state.clock_ms) == (1001, 1000)
    assert PartitionState(partition.engine, GROUP).clock_ms == 1000


def test_keys_are_due_in_the_order_in_which_they_end() -> None:
    partition = Partition()
    for number in (3, 1, 2):
        step = change(b"%d" % number, Action.PUT, b"", lifetime_ms=number * 1000)
        partition.do(step, clock_ms=7)
    expiries = partition.state.expiries
    assert expiries.due(2500, 10) == [(b"1", 1007), (b"2", 2007)]
    assert expiries.due(10_000, 2) == [(b"1", 1007), (b"2", 2007)]
    partition.do(put(b"1", b""), delete(b"2"))
    assert expiries.due(10_000, 2) == [(b"3", 3007)]


# --- bounds


def test_a_command_rewrites_and_gives_back_a_bounded_number_of_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes, "WORK_BYTES_MAX", 250)
    partition = with_value(b"x" * 60)
    results = partition.do(*[append(K, b"", 100)] * 4)
    assert results.extras is not None
    statuses = [decode_answer(extra or b"").status for extra in results.extras]
    assert statuses == [STATUS.DONE] * 2 + [STATUS.BUSY] * 2
    assert [revision > 0 for revision in results.revisions] == [True, True, False, False]
    assert partition.answer(append(K, b"y")).status is STATUS.DONE
    reads = transaction([], [get(K)] * 4)
    answer = partition.decide(reads)
    assert (answer.branch, answer.position) == (Branch.FAILED, 2)
