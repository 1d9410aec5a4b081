"""The whole judge: what applies to which key, limits, and what it finds and does not accuse."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from kvstore.errors import ConfigurationError
from kvstore.verify.history import History
from kvstore.verify.judge import Limits, judge
from kvstore.verify.judgement import Judgement, Promise, Ruling
from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from tests.verify.histories import PLANTS, Shape, bad_history, good_history
from tests.verify.objects import OBJECTS, ObjectShape


def done(kind: Kind, key: bytes, begin: int, end: int, **more: object) -> Operation:
    operation = Operation(1, Kind.TRANSFER, key, begin, Ending.OK, end)
    return replace(operation, op=kind, **more)  # type: ignore[arg-type]


def verdicts(judgement: Judgement) -> dict[Promise, Ruling]:
    return {each.promise: each.ruling for each in judgement.promises}


ONE_OF_EACH = (
    done(Kind.PUT, b"r", 0, 1, input=b"1"),
    done(Kind.GET, b"r", 2, 3, output=b"1"),
    done(Kind.INCREMENT, b"c", 0, 1, input=b"2"),
    done(Kind.GET, b"c", 2, 3, output=b"2"),
    done(Kind.APPEND, b"l", 0, 1, input=b"x"),
    done(Kind.GET, b"l", 2, 3, output=b"x"),
    done(Kind.ADD, b"s", 0, 1, input=b"x"),
    done(Kind.MEMBERS, b"s", 2, 3, outputs=(b"x",)),
    done(Kind.TRANSFER, b"b", 0, 1),
    done(Kind.BALANCES, b"b", 2, 3, outputs=(b"4", b"6")),
)


def test_what_is_done_to_a_key_says_what_is_promised_of_it() -> None:
    judgement = judge(History(list(ONE_OF_EACH)))
    assert judgement.verdict is Ruling.FINE
    kept = (Promise.REGISTERS, Promise.COUNTERS, Promise.LISTS, Promise.SETS, Promise.BANKS)
    assert verdicts(judgement) == dict.fromkeys(kept, Ruling.FINE)
    assert {each.operations for each in judgement.promises} == {2}
    assert judgement.operations == 10


@pytest.mark.parametrize(
    ("place", "change", "promise"),
    [
        (1, {"output": b"0"}, Promise.REGISTERS),
        (3, {"output": b"1"}, Promise.COUNTERS),
        (5, {"output": b""}, Promise.LISTS),
        (7, {"outputs": ()}, Promise.SETS),
        (9, {"outputs": (b"4", b"5")}, Promise.BANKS),
    ],
)
def test_one_wrong_answer_breaks_the_promise_that_it_belongs_to(
    place: int, change: dict[str, object], promise: Promise
) -> None:
    operations = list(ONE_OF_EACH)
    operations[place] = replace(operations[place], **change)  # type: ignore[arg-type]
    judgement = judge(History(operations), bank_total=10)
    assert judgement.verdict is Ruling.VIOLATION
    assert [p for p, ruling in verdicts(judgement).items() if ruling is not Ruling.FINE] == [
        promise
    ]
    (finding,) = judgement.findings
    assert finding.key == operations[place].key
    assert any(each is operations[place] for each in finding.operations)
    assert judgement.counterexample == finding


def test_a_scan_is_held_against_the_keys_that_it_reads() -> None:
    def scan(*outputs: bytes) -> Judgement:
        read = done(Kind.SCAN, b"", 4, 5, outputs=outputs)
        return judge(History([*ONE_OF_EACH, read]))

    assert scan(b"c=2", b"l=x", b"r=1").verdict is Ruling.FINE
    stale = scan(b"c=2", b"l=x", b"r=0")
    assert verdicts(stale)[Promise.REGISTERS] is Ruling.VIOLATION
    assert verdicts(scan(b"c=2", b"r=1"))[Promise.LISTS] is Ruling.VIOLATION
    assert verdicts(scan(b"c=1", b"l=x", b"r=1"))[Promise.COUNTERS] is Ruling.VIOLATION
    assert verdicts(scan(b"c=2", b"l=x", b"r=1", b"u=1"))[Promise.REGISTERS] is Ruling.VIOLATION
    twice = scan(b"c=2", b"l=x", b"r=1", b"r=1")
    assert verdicts(twice)[Promise.SCANS] is Ruling.VIOLATION


def test_a_key_that_is_several_objects_is_undecided() -> None:
    mixed = done(Kind.PUT, b"c", 4, 5, input=b"0")
    judgement = judge(History([*ONE_OF_EACH, mixed]))
    assert judgement.verdict is Ruling.UNDECIDED
    (undecided,) = judgement.undecided
    assert "get, increment, put" in undecided.text()


def test_a_history_without_operations_is_undecided() -> None:
    judgement = judge(History())
    assert judgement.verdict is Ruling.UNDECIDED
    assert "no operation" in judgement.undecided[0].text()


def test_without_time_nothing_is_fine() -> None:
    judgement = judge(History(list(ONE_OF_EACH)), Limits(should_stop=lambda: True))
    assert judgement.verdict is Ruling.UNDECIDED
    assert set(verdicts(judgement).values()) == {Ruling.UNDECIDED}
    assert judgement.undecided_objects == 5


def test_a_violation_stays_one_when_time_runs_out() -> None:
    asked = [0]

    def is_over() -> bool:
        asked[0] += 1
        return asked[0] > 3

    bad = [
        done(Kind.PUT, b"a", 0, 1, input=b"1"),
        done(Kind.GET, b"a", 2, 3),
        *ONE_OF_EACH,
    ]
    judgement = judge(History(bad), Limits(should_stop=is_over))
    assert judgement.verdict is Ruling.VIOLATION
    assert judgement.undecided_objects
    assert judgement.findings[0].key == b"a"


def test_a_search_that_is_too_large_is_undecided() -> None:
    rows = [("a", "b"), ("b", "c"), ("c", "a")] * 6
    asked = [done(Kind.PUT, b"k", 0, 1, input=b"a")]
    for expected, value in rows:
        asked.append(
            done(
                *(Kind.CAS, b"k", 0, 99),
                expected=expected.encode(),
                input=value.encode(),
                applied=True,
            )
        )
    asked.append(done(Kind.CAS, b"k", 0, 99, expected=b"a", input=b"c", applied=True))
    judgement = judge(History(asked), Limits(positions_max=5))
    assert judgement.verdict is Ruling.UNDECIDED
    assert "positions" in judgement.undecided[0].why


def test_sessions_are_judged_where_there_are_receipts() -> None:
    operations = [
        replace(each, partition=0, receipt=Receipt(revision))
        for each, revision in zip(ONE_OF_EACH[:2], (5, 4), strict=True)
    ]
    judgement = judge(History(operations))
    assert verdicts(judgement) == {
        Promise.REGISTERS: Ruling.FINE,
        Promise.SESSIONS: Ruling.VIOLATION,
    }
    assert judgement.findings[0].promise == "read your writes"


def test_the_total_of_a_bank_is_given_or_what_most_reads_say() -> None:
    reads = [
        done(Kind.BALANCES, b"b", at, at + 1, outputs=(b"4", b"%d" % other))
        for at, other in ((0, 5), (2, 6), (4, 6))
    ]
    judgement = judge(History(reads))
    assert judgement.violations == 1
    assert judgement.findings[0].operations == (reads[0],)
    assert judgement.notes == ('the total of bank "b" is taken to be 10, as 2 of 3 reads say',)
    told = judge(History(reads), bank_total=9)
    assert (told.violations, told.notes) == (2, ())


def test_of_many_findings_one_of_each_key_comes_first() -> None:
    operations = [done(Kind.APPEND, b"l", 0, 1, input=b"x"), done(Kind.GET, b"l", 2, 3)]
    for at in range(10):
        operations.append(done(Kind.BALANCES, b"a", at, at, outputs=(b"1",)))
        operations.append(done(Kind.BALANCES, b"b", at, at, outputs=(b"1",)))
    judgement = judge(History(operations), bank_total=0)
    assert judgement.violations == 21
    assert [each.key for each in judgement.findings[:5]] == [b"l", b"a", b"b", b"a", b"b"]


def test_what_nobody_can_judge_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no decimal number"):
        judge(History([done(Kind.INCREMENT, b"c", 0, 1, input=b"x")]))


def test_of_many_bad_registers_the_smallest_are_explained() -> None:
    operations = []
    for size in range(8, 2, -1):
        key = b"k%d" % size
        operations += [
            done(Kind.PUT, key, 10 * at, 10 * at + 1, input=b"%d" % at) for at in range(size)
        ]
        operations.append(done(Kind.GET, key, 990, 999))
    judgement = judge(History(operations))
    assert judgement.violations == 6
    explained = [each.key for each in judgement.findings if each.operations]
    assert explained == [b"k3", b"k4", b"k5"]


@pytest.mark.parametrize("plant", PLANTS)
def test_planted_violations_of_registers_are_found_and_shown(plant: str) -> None:
    for seed in range(3):
        random = Random(seed)
        shape = Shape(keys=random.choice([1, 5, 20]), clients=random.choice([5, 20]))
        judgement = judge(bad_history(random, shape, PLANTS[plant]))
        assert judgement.verdict is Ruling.VIOLATION
        assert judgement.counterexample is not None
        assert len(judgement.counterexample.operations) <= 8


def test_deletes_and_cas_beside_it_do_not_make_a_counterexample_larger() -> None:
    shape = Shape(
        operations=400, clients=3, kinds=(Kind.GET, Kind.PUT, Kind.DELETE, Kind.CAS, Kind.CAS)
    )
    for seed in range(10):
        history = bad_history(Random(seed), shape, PLANTS["resurrected delete"])
        shown = judge(history).counterexample
        assert shown is not None
        assert len(shown.operations) <= 5
        assert all(any(each is one for one in history.operations) for each in shown.operations)


@pytest.mark.parametrize(
    ("kind", "plant"), [(kind, plant) for kind, (_, plants) in OBJECTS.items() for plant in plants]
)
def test_planted_violations_of_other_objects_are_found(kind: str, plant: str) -> None:
    make, plants = OBJECTS[kind]
    for seed in range(6):
        random = Random(seed)
        history = make(random, ObjectShape(operations=600, keys=random.choice([1, 5])))
        plants[plant](random, history)
        judgement = judge(history)
        assert verdicts(judgement) == {Promise(kind): Ruling.VIOLATION}


@pytest.mark.parametrize("kind", OBJECTS)
def test_what_other_objects_did_is_not_accused(kind: str) -> None:
    make, _plants = OBJECTS[kind]
    for seed in range(8):
        random = Random(seed)
        shape = ObjectShape(
            operations=600,
            keys=random.choice([1, 5]),
            clients=random.choice([3, 20]),
            unknown=random.choice([0.0, 0.15]),
        )
        judgement = judge(make(random, shape))
        assert judgement.verdict is Ruling.FINE, judgement.findings[0].text()


def test_a_large_history_is_judged_with_progress() -> None:
    told: list[tuple[int, int]] = []
    history = good_history(Random(1), Shape(operations=20_000, keys=200, clients=32))
    judgement = judge(history, progress=lambda operations, keys: told.append((operations, keys)))
    assert judgement.verdict is Ruling.FINE
    assert told[0] == (0, 0)
    assert told[-1][1] == 199
    assert told == sorted(told)
