"""Histories whose last line is torn: read as far as they go, and judged by what is certain."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from kvstore.errors import ConfigurationError
from kvstore.verify.history import History
from kvstore.verify.judge import judge
from kvstore.verify.judgement import Ruling
from kvstore.verify.missing_end import before, horizon_ns
from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from tests.verify.histories import PLANTS, Shape, bad_history, good_history
from tests.verify.objects import OBJECTS, ObjectShape


def written(history: History) -> History:
    """`history` in the order in which a recorder writes it: by when operations end."""
    ends = [
        (each.returned_ns if each.returned_ns is not None else each.invoked_ns, number, each)
        for number, each in enumerate(history.operations)
    ]
    return History([each for _end, _number, each in sorted(ends, key=lambda end: end[:2])])


def file_of(path: Path, history: History, cut: int = 0) -> Path:
    """A file of which the last `cut` bytes are missing."""
    history.write(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut])
    return path


def get(client: int, begin: int, end: int, found: bytes | None, key: bytes = b"k") -> Operation:
    return Operation(client, Kind.GET, key, begin, Ending.OK, end, output=found)


def put(client: int, begin: int, end: int | None, value: bytes, key: bytes = b"k") -> Operation:
    ending = Ending.UNKNOWN if end is None else Ending.OK
    return Operation(client, Kind.PUT, key, begin, ending, end, input=value)


def missing_its_end(*operations: Operation) -> History:
    return History(list(operations), missing_end="it is")


# Reading


def test_a_last_line_that_is_torn_anywhere_is_left_out_and_said(tmp_path: Path) -> None:
    history = History([put(1, 0, 1, b"a"), get(2, 2, 3, "ä".encode())])
    path = tmp_path / "history.jsonl"
    for cut in range(2, len(list(history.lines())[1].encode()) + 1):
        found = History.read(file_of(path, history, cut))
        assert found.operations == history.operations[:1]
        assert found.missing_end == "its last line, 2, is torn, and was left out"


@pytest.mark.parametrize("cut", [0, 1])
def test_a_last_line_that_lacks_its_end_alone_is_whole(tmp_path: Path, cut: int) -> None:
    history = History([put(1, 0, 1, b"a"), get(2, 2, 3, b"a")])
    assert History.read(file_of(tmp_path / "history.jsonl", history, cut)) == history


def test_a_torn_line_elsewhere_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    lines = list(History([put(1, 0, 1, b"a"), get(2, 2, 3, b"a")]).lines())
    path = tmp_path / "history.jsonl"
    path.write_text(f"{lines[0][:40]}\n{lines[1]}\n")
    with pytest.raises(ConfigurationError, match="line 1: not JSON"):
        History.read(path)
    path.write_text(f"{lines[0]}\n{lines[1][:40]}\n")
    with pytest.raises(ConfigurationError, match="line 2: not JSON"):
        History.read(path)


def test_a_last_line_that_is_json_and_no_operation_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"client": 1}')
    with pytest.raises(ConfigurationError, match="line 1: field op is missing"):
        History.read(path)


# Judging


def test_what_is_whole_is_judged_and_the_rest_noted(tmp_path: Path) -> None:
    history = History([put(1, 0, 1, b"a"), get(2, 2, 3, b"a"), get(1, 4, 5, b"a")])
    judgement = judge(History.read(file_of(tmp_path / "h", history, 9)))
    assert (judgement.verdict, judgement.operations) == (Ruling.FINE, 2)
    assert judgement.notes == (
        "the end of the history is missing: its last line, 3, is torn, and was left out",
    )


def test_a_read_of_what_a_lost_line_may_have_written_is_undecided() -> None:
    judgement = judge(missing_its_end(put(1, 0, 1, b"a"), get(2, 2, 3, b"b")))
    assert judgement.verdict is Ruling.UNDECIDED
    (undecided,) = judgement.undecided
    assert undecided.key == b"k"
    assert "cannot all be right, unless by operations whose lines are missing" in undecided.why
    assert judge(History([put(1, 0, 1, b"a"), get(2, 2, 3, b"b")])).verdict is Ruling.VIOLATION


def test_what_was_wrong_before_anything_can_be_missing_is_a_violation() -> None:
    judgement = judge(
        missing_its_end(
            put(1, 0, 1, b"a"),
            get(2, 2, 3, b"b"),
            # Later than the read, each client is heard of once more.
            get(1, 10, 11, b"a"),
            get(2, 10, 11, b"a"),
        )
    )
    assert judgement.verdict is Ruling.VIOLATION
    assert len(judgement.notes) == 1


def test_a_client_of_which_nothing_is_known_may_have_done_anything() -> None:
    operations = [
        put(1, 0, 1, b"a"),
        get(2, 2, 3, b"b"),
        get(1, 10, 11, b"a"),
        get(2, 10, 11, b"a"),
    ]
    assert judge(missing_its_end(*operations), clients=2).verdict is Ruling.VIOLATION
    assert judge(missing_its_end(*operations), clients=3).verdict is Ruling.UNDECIDED


def test_what_a_session_saw_needs_nothing_that_is_missing() -> None:
    first, second = put(1, 0, 1, b"a"), get(1, 2, 3, None)
    first.partition = second.partition = 0
    first.receipt, second.receipt = Receipt(5), Receipt(4, level="session")
    assert judge(missing_its_end(first, second)).verdict is Ruling.VIOLATION


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Kind.INCREMENT, Operation(2, Kind.GET, b"k", 2, Ending.OK, 3, output=b"5")),
        (Kind.APPEND, Operation(2, Kind.GET, b"k", 2, Ending.OK, 3, output=b"1;2")),
        (Kind.ADD, Operation(2, Kind.MEMBERS, b"k", 2, Ending.OK, 3, outputs=(b"1", b"2"))),
    ],
)
def test_counters_lists_and_sets_are_judged_as_carefully(kind: Kind, wrong: Operation) -> None:
    write = Operation(1, kind, b"k", 0, Ending.OK, 1, input=b"1")
    assert judge(History([write, wrong])).verdict is Ruling.VIOLATION
    assert judge(missing_its_end(write, wrong)).verdict is Ruling.UNDECIDED
    later = [get(client, 10, 11, b"", key=b"other") for client in (1, 2)]
    assert judge(missing_its_end(write, wrong, *later)).verdict is Ruling.VIOLATION


def test_the_horizon_is_where_the_first_client_was_heard_of_last() -> None:
    operations = [put(1, 0, 5, b"a"), put(2, 3, 7, b"b"), get(1, 6, 9, b"b"), put(3, 8, None, b"c")]
    assert horizon_ns(operations, 0) == 7
    assert horizon_ns(operations, 3) == 7
    assert horizon_ns(operations, 4) == 0
    assert horizon_ns([], 0) == 0


@pytest.mark.parametrize(
    "operations",
    [
        [put(1, 0, 5, b"a"), put(1, 3, 7, b"b")],
        [put(1, 6, 7, b"a"), put(1, 0, 5, b"b")],
    ],
    ids=["two at once", "out of order"],
)
def test_where_a_client_is_not_one_after_another_nothing_is_certain(
    operations: list[Operation],
) -> None:
    assert horizon_ns(operations, 0) == 0


def test_before_the_horizon_answers_count_and_later_ones_are_open() -> None:
    kept = put(1, 0, 5, b"a")
    unknown = put(3, 4, None, b"c")
    refused = Operation(4, Kind.PUT, b"k", 1, Ending.FAIL, 12, input=b"d")
    operations = [kept, put(2, 3, 17, b"b"), unknown, get(5, 2, 11, b"a"), refused]
    assert before(10, operations) == [kept, put(2, 3, None, b"b"), unknown]
    assert before(3, operations) == [put(1, 0, None, b"a")]


def good_registers(random: Random) -> History:
    return good_history(random, Shape(operations=60, clients=6, unknown=0.1))


def good_objects(make: Callable[[Random, ObjectShape], History], random: Random) -> History:
    return make(random, ObjectShape(operations=60, keys=2, clients=6, unknown=0.1))


GOOD: dict[str, Callable[[Random], History]] = {
    "registers": good_registers,
    **{name: partial(good_objects, make) for name, (make, _plants) in OBJECTS.items()},
}


@pytest.mark.parametrize("kind", GOOD)
def test_no_cut_makes_a_good_history_a_violation_though_it_would_look_like_one(kind: str) -> None:
    careless = 0
    for seed in range(15):
        history = written(GOOD[kind](Random(seed)))
        clients = len({each.client for each in history.operations})
        for end in range(len(history.operations)):
            cut = history.operations[:end]
            careless += judge(History(cut)).verdict is Ruling.VIOLATION
            careful = judge(History(cut, missing_end="it is"), clients=clients)
            assert careful.verdict is not Ruling.VIOLATION
    assert careless > 0


@pytest.mark.parametrize("name", PLANTS)
def test_a_violation_is_found_again_once_every_client_was_heard_of_after_it(name: str) -> None:
    history = written(bad_history(Random(7), Shape(operations=80), PLANTS[name]))
    assert judge(history).verdict is Ruling.VIOLATION
    last_ns = max(each.returned_ns or each.invoked_ns for each in history.operations)
    for client in sorted({each.client for each in history.operations}):
        begin_ns = last_ns + 1 + client
        history.add(put(client, begin_ns, begin_ns + 1, b"later", key=b"another"))
    history.missing_end = "it is"
    assert judge(history).verdict is Ruling.VIOLATION
