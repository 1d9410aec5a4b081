"""Registers: what can be ordered and what cannot."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.verify.decide import Limits, decide, find_order
from kvstore.verify.history import History
from kvstore.verify.linearizability import Verdict, judge_registers
from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from kvstore.verify.register import make_steps
from kvstore.verify.search import Search
from kvstore.verify.zones import is_decided_by_zones, is_refuted_by_zones
from tests.verify.brute_force import is_linearizable, is_valid_order
from tests.verify.histories import PLANTS, Shape, bad_history, good_history

KEY = b"k"
NO_LIMIT = Limits(positions_max=1 << 40)


def operations(*rows: str) -> list[Operation]:
    """From rows such as `0-5 put a`, `3-9 get a`, `4-? cas a b`, `2-3 cas a b no`; `-`: absent."""
    found = []
    for client, row in enumerate(rows):
        times, op, *words = row.split()
        invoked, returned = times.split("-")
        kind = Kind(op)
        ok = returned != "?"
        values = [None if word == "-" else word.encode() for word in words]
        operation = Operation(
            client,
            kind,
            KEY,
            int(invoked),
            Ending.OK if ok else Ending.UNKNOWN,
            int(returned) if ok else None,
            input=values[-1] if kind is Kind.PUT else b"" if kind is Kind.CAS else None,
            applied=False if ok and kind is Kind.CAS else None,
        )
        if kind is Kind.GET and ok:
            operation.output = values[0]
        elif kind is Kind.CAS:
            operation.expected, operation.input = values[:2]
            operation.applied = words[2:] != ["no"] if ok else None
        elif kind is Kind.DELETE and words:
            operation.applied = words == ["found"]
        found.append(operation)
    return found


GOOD = {
    "nothing": [],
    "a read of what was never written": ["0-1 get -"],
    "a read after a write": ["0-1 put a", "2-3 get a"],
    "concurrent writes in either order": ["0-9 put a", "0-9 put b", "10-11 get a"],
    "a read during a write sees the old value": ["0-1 put a", "2-9 put b", "3-4 get a"],
    "a read during a write sees the new value": ["0-1 put a", "2-9 put b", "3-4 get b"],
    "equal moments order neither before the other": ["0-5 put a", "5-9 put b", "10-11 get a"],
    "an unknown write that took effect late": ["0-? put a", "5-6 get -", "8-9 get a"],
    "an unknown write that never did": ["0-? put a", "5-6 get -"],
    "a delete": ["0-1 put a", "2-3 delete found", "4-5 get -", "6-7 delete none"],
    "a cas": ["0-1 put a", "2-3 cas a b", "4-5 get b", "6-7 cas a c no"],
    "a cas from nothing, and to nothing": ["0-1 cas - a", "2-3 get a", "4-5 cas a -", "6-7 get -"],
    "an unknown cas that took effect": ["0-1 put a", "2-? cas a b", "3-4 get b"],
    "a value that comes back": ["0-1 put a", "2-3 put b", "4-5 get b", "6-7 put a", "8-9 get a"],
    "a refused cas thanks to an unknown write": ["0-1 put a", "2-? put b", "3-4 cas a c no"],
    "a cas to the same value": ["0-1 put a", "2-3 cas a a", "4-5 get a"],
}

BAD = {
    "a read of what nobody wrote": ["0-1 get a"],
    "a stale read": ["0-1 put a", "2-3 put b", "4-5 get a"],
    "a lost write": ["0-1 put a", "2-3 get -"],
    "a read before its write": ["0-1 get a", "2-3 put a"],
    "two reads that see concurrent writes in both orders": [
        *("0-9 put a", "0-9 put b", "10-11 get a", "12-13 get b"),
    ],
    "a new value and then the old one": ["0-1 put a", "2-9 put b", "3-4 get b", "5-6 get a"],
    "an unknown write that took effect twice": [
        *("0-? put a", "1-2 get a", "3-4 put b", "5-6 get b", "7-8 get a"),
    ],
    "a deleted value that comes back": ["0-1 put a", "2-3 delete", "4-5 get a"],
    "a delete that found a key that was not there": ["0-1 delete found"],
    "a delete that did not find the key": ["0-1 put a", "2-3 delete none"],
    "two cas from one value": ["0-1 put a", "2-9 cas a b", "2-9 cas a c"],
    "a cas refused for no reason": ["0-1 put a", "2-3 cas a b no"],
    "a cas that wrote although another value stood there": ["0-1 put a", "2-3 cas b c"],
    "a write between two reads of one value": ["0-1 put a", "2-3 get a", "4-5 put b", "6-7 get a"],
    "an unknown cas that took effect from a value that was gone": [
        *("0-1 put a", "2-3 put b", "4-? cas a c", "5-6 get c"),
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_ordered_is_linearizable(name: str) -> None:
    asked = operations(*GOOD[name])
    assert is_linearizable(asked)
    assert decide(asked, NO_LIMIT).verdict is Verdict.LINEARIZABLE
    assert Search(make_steps(asked)).run(1 << 40).verdict is Verdict.LINEARIZABLE


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_ordered_is_a_violation(name: str) -> None:
    asked = operations(*BAD[name])
    assert not is_linearizable(asked)
    assert decide(asked, NO_LIMIT).verdict is Verdict.VIOLATION
    assert Search(make_steps(asked)).run(1 << 40).verdict is Verdict.VIOLATION


@st.composite
def small_histories(
    draw: st.DrawFn, *, kinds: tuple[Kind, ...] = tuple(Kind)[:4]
) -> list[Operation]:
    """Up to six operations on one key, with few values and moments: good ones and bad ones."""
    values = st.sampled_from([None, b"a", b"b", b"c"])
    found = []
    for client in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(kinds))
        invoked_ns = draw(st.integers(0, 12))
        ending = draw(st.sampled_from([Ending.OK] * 5 + [Ending.UNKNOWN] * 2 + [Ending.FAIL]))
        returned_ns = None if ending is Ending.UNKNOWN else invoked_ns + draw(st.integers(0, 6))
        ok = ending is Ending.OK
        applied: bool | None = None
        if ok and kind is Kind.CAS:
            applied = draw(st.booleans())
        elif ok and kind is Kind.DELETE:
            applied = draw(st.sampled_from([None, True, False]))
        found.append(
            Operation(
                client,
                kind,
                KEY,
                invoked_ns,
                ending,
                returned_ns,
                input=draw(values.filter(lambda v: v is not None))
                if kind is Kind.PUT
                else draw(values)
                if kind is Kind.CAS
                else None,
                expected=draw(values) if kind is Kind.CAS else None,
                output=draw(values) if ok and kind is Kind.GET else None,
                applied=applied,
            )
        )
    return found


@settings(max_examples=200, deadline=None)
@given(small_histories())
def test_the_verdict_is_that_of_trying_all_orders(asked: list[Operation]) -> None:
    expected = Verdict.LINEARIZABLE if is_linearizable(asked) else Verdict.VIOLATION
    assert decide(asked, NO_LIMIT).verdict is expected


@settings(max_examples=100, deadline=None)
@given(small_histories(kinds=(Kind.GET, Kind.PUT)))
def test_of_reads_and_writes_too(asked: list[Operation]) -> None:
    expected = Verdict.LINEARIZABLE if is_linearizable(asked) else Verdict.VIOLATION
    assert decide(asked, NO_LIMIT).verdict is expected
    assert Search(make_steps(asked)).run(1 << 40).verdict is expected


@settings(max_examples=100, deadline=None)
@given(small_histories())
def test_the_search_alone_says_the_same(asked: list[Operation]) -> None:
    found = Search(make_steps(asked)).run(1 << 40).verdict
    assert (found is Verdict.LINEARIZABLE) == is_linearizable(asked)


@settings(max_examples=100, deadline=None)
@given(small_histories())
def test_the_order_that_was_found_is_valid_and_whole(asked: list[Operation]) -> None:
    if is_linearizable(asked):
        order = find_order(asked, NO_LIMIT)
        assert is_valid_order(order)
        certain = [each for each in asked if each.is_ok]
        assert [each for each in certain if not any(each is one for one in order)] == []


def known_at(operation: Operation, at_ns: int) -> Operation:
    """`operation` as far as its client knew it at that time."""
    if operation.returned_ns is None or operation.returned_ns <= at_ns:
        return operation
    return replace(operation, outcome=Ending.UNKNOWN, returned_ns=None, output=None, applied=None)


@settings(max_examples=100, deadline=None)
@given(small_histories())
def test_a_counterexample_is_bad_by_itself_and_what_was_answered_before_is_good(
    asked: list[Operation],
) -> None:
    for finding in judge_registers(History(asked)).findings:
        shown = finding.counterexample
        assert shown is not None
        assert not is_linearizable([known_at(each, shown.until_ns) for each in shown.operations])
        before_ns = shown.until_ns - 1
        prefix = [known_at(each, before_ns) for each in shown.prefix]
        assert is_valid_order(prefix)
        answered = [e for e in asked if e.is_ok and (e.returned_ns or 0) <= before_ns]
        assert all(any(each is placed for placed in shown.prefix) for each in answered)


def test_a_counterexample_holds_only_what_is_needed() -> None:
    history = bad_history(Random(1), Shape(keys=5), PLANTS["stale read"])
    (finding,) = judge_registers(history).findings
    shown = finding.counterexample
    assert shown is not None
    assert len(shown.operations) <= 4
    assert shown.prefix


def test_a_counterexample_reads_as_a_table() -> None:
    asked = operations(*BAD["a stale read"], "6-7 put c", "0-? put d", "8-9 get c")
    shown = [replace(e, invoked_ns=e.invoked_ns * 1000) for e in asked if e.returned_ns is None]
    shown += [
        replace(e, invoked_ns=e.invoked_ns * 1000, returned_ns=e.returned_ns * 1000)
        for e in asked
        if e.returned_ns is not None
    ]
    assert judge_registers(History(shown)).text().splitlines() == [
        "violation: 6 operations on 1 keys",
        "",
        'key "k": violation, 6 operations; these cannot be ordered:',
        "client  operation     answer  invoked   returned",
        '0       put "k": "a"  ok      0.000 ms  0.001 ms',
        '1       put "k": "b"  ok      0.002 ms  0.003 ms',
        '2       get "k"       "a"     0.004 ms  0.005 ms',
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("plant", PLANTS)
def test_planted_violations_are_found(plant: str, seed: int) -> None:
    random = Random(seed)
    shape = Shape(keys=random.choice([1, 5, 20]), clients=random.choice([5, 20]))
    history = bad_history(random, shape, PLANTS[plant])
    assert judge_registers(history, counterexamples_max=0).verdict is Verdict.VIOLATION


@pytest.mark.parametrize("unique_values", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_what_an_atomic_register_did_is_not_accused(seed: int, unique_values: bool) -> None:
    random = Random(seed)
    shape = Shape(
        keys=random.choice([1, 5, 20]),
        clients=random.choice([5, 10]),
        unique_values=unique_values,
        unknown=random.choice([0.0, 0.02, 0.1]),
    )
    assert judge_registers(good_history(random, shape)).verdict is Verdict.LINEARIZABLE


@pytest.mark.parametrize("seed", range(20))
def test_proof_and_search_agree_where_there_is_a_proof(seed: int) -> None:
    random = Random(seed)
    shape = Shape(operations=300, clients=8, kinds=(Kind.GET, Kind.PUT))
    plant = random.choice([plant for name, plant in PLANTS.items() if "delete" not in name])
    for history in (good_history(random, shape), bad_history(random, shape, plant)):
        steps = make_steps(history.operations)
        assert is_decided_by_zones(steps)
        found = Search(steps).run(1 << 40).verdict
        assert is_refuted_by_zones(steps) == (found is Verdict.VIOLATION)


def test_a_thousand_writes_without_an_answer_do_not_blow_up_the_search() -> None:
    shape = Shape(unknown=0.5, kinds=(Kind.GET, Kind.PUT, Kind.PUT, Kind.DELETE))
    judgement = judge_registers(good_history(Random(3), shape), Limits(positions_max=20_000))
    assert judgement.verdict is Verdict.LINEARIZABLE


def test_the_limit_says_undecided() -> None:
    asked = operations(
        "0-1 put a", *["0-99 cas a b", "0-99 cas b c", "0-99 cas c a"] * 6, "0-99 cas a c"
    )
    few = judge_registers(History(asked), Limits(positions_max=5))
    assert few.verdict is Verdict.UNDECIDED
    assert few.findings[0].verdict is Verdict.UNDECIDED
    assert "undecided" in few.text()
    assert judge_registers(History(asked)).verdict is not Verdict.UNDECIDED


def test_a_caller_with_a_clock_may_end_it() -> None:
    judgement = judge_registers(History(operations("0-1 put a")), Limits(should_stop=lambda: True))
    assert judgement.verdict is Verdict.UNDECIDED


def test_reads_that_asked_for_less_are_not_judged() -> None:
    asked = operations(*BAD["a stale read"])
    asked[-1].receipt = Receipt(1, level="stale")
    assert judge_registers(History(asked)).verdict is Verdict.LINEARIZABLE
    asked[-1].receipt = Receipt(1, level="linearizable")
    assert judge_registers(History(asked)).verdict is Verdict.VIOLATION


def test_keys_are_judged_alone_and_other_objects_not_at_all() -> None:
    asked = operations("0-1 put a", "2-3 get a")
    counter = [Operation(1, Kind.INCREMENT, b"c", 0, Ending.OK, 1, b"1")]
    counter.append(Operation(1, Kind.GET, b"c", 2, Ending.OK, 3, output=b"1"))
    judgement = judge_registers(History(asked + counter))
    assert (judgement.verdict, judgement.keys) == (Verdict.LINEARIZABLE, 1)
    other = [replace(each, key=b"other") for each in operations("0-1 get a")]
    judgement = judge_registers(History(asked + other))
    assert [finding.key for finding in judgement.findings] == [b"other"]
