"""Sets."""

from __future__ import annotations

from random import Random

import pytest

from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from kvstore.verify.sets import judge_sets


def operations(*rows: str) -> History:
    """From rows such as `0-1 add a`, `2-? remove a`, `2-3! add a` (failed), `4-5 members a b`."""
    history = History()
    for client, row in enumerate(rows):
        times, op, *elements = row.split()
        invoked, returned = times.split("-")
        failed = returned.endswith("!")
        ending = Ending.UNKNOWN if returned == "?" else Ending.FAIL if failed else Ending.OK
        end_ns = None if returned == "?" else int(returned.rstrip("!"))
        values = tuple([element.encode() for element in elements])
        is_read = op == "members"
        operation = Operation(
            *(client, Kind(op), b"s", int(invoked), ending, end_ns),
            input=None if is_read else values[0],
            outputs=values if is_read else None,
        )
        history.add(operation)
    return history


@pytest.mark.parametrize(
    "rows",
    [
        ("0-1 members",),
        ("0-1 add a", "2-3 members a"),
        ("0-9 add a", "2-3 members", "4-5 members a"),
        ("0-? add a", "2-3 members", "4-5 members a"),
        ("0-1 add a", "2-3 remove a", "4-5 members"),
        ("0-1 add a", "2-? remove a", "4-5 members", "6-7 members a"),
        ("0-1 add a", "2-9 remove a", "4-5 members"),
        ("0-1 add a", "2-3! remove a", "4-5 members a"),
        ("0-1 add a", "2-3 remove a", "2-? add a", "4-5 members a"),
        ("0-1 add a", "2-3 remove a", "4-5 add a", "6-7 members a"),
        ("0-1 add a", "1-2 members", "3-4 members a"),
    ],
)
def test_what_a_set_can_hold_is_right(rows: tuple[str, ...]) -> None:
    assert judge_sets(operations(*rows)) == []


@pytest.mark.parametrize(
    ("rows", "detail"),
    [
        (("0-1 add a", "2-3 members"), '"a" is lost'),
        (("0-1 add a", "2-3 remove b", "4-5 members"), '"a" is lost'),
        (("0-1 remove a", "2-3 add a", "4-5 members"), '"a" is lost'),
        (("0-1 add a", "2-3! remove a", "4-5 members"), '"a" is lost'),
        (("0-1 add a", "2-3 members", "4-5 remove a"), '"a" is lost'),
        (("0-1 add a", "2-3 remove a", "4-5 members a"), '"a" is resurrected'),
        (("0-? add a", "0-1 add a", "2-3 remove a", "4-5 members a"), ""),
        (("0-1 members a",), '"a" is made up'),
        (("0-1 members a", "2-3 add a"), '"a" is made up'),
        (("0-1! add a", "2-3 members a"), '"a" is made up'),
        (("0-1 add a", "2-3 members a a"), '"a" is duplicated'),
    ],
)
def test_what_a_set_cannot_hold_is_found(rows: tuple[str, ...], detail: str) -> None:
    findings = judge_sets(operations(*rows))
    if not detail:  # an add without an answer may take effect after the remove
        assert findings == []
        return
    (finding,) = findings
    assert detail in finding.text()


def test_sets_are_judged_alone_and_reads_that_asked_for_less_not_at_all() -> None:
    history = operations("0-1 add a", "2-3 members")
    history.operations[0].key = b"other"
    assert judge_sets(history) == []
    history = operations("0-1 add a", "2-3 members")
    history.operations[1].receipt = Receipt(0, level="session")
    assert judge_sets(history) == []


@pytest.mark.parametrize("seed", range(5))
def test_an_atomic_set_is_not_accused(seed: int) -> None:
    random = Random(seed)
    members: list[bytes] = []
    history = History()
    effects = sorted((random.randrange(10_000), random.randrange(200)) for _ in range(400))
    for effect_ns, spread_ns in effects:
        begin_ns = max(0, effect_ns - random.randrange(spread_ns + 1))
        end_ns = effect_ns + random.randrange(spread_ns + 1)
        kind = random.choice([Kind.ADD, Kind.REMOVE, Kind.MEMBERS])
        element = b"%d" % random.randrange(20)
        if kind is Kind.MEMBERS:
            history.add(
                Operation(1, kind, b"s", begin_ns, Ending.OK, end_ns, outputs=tuple(members))
            )
            continue
        is_unknown = random.random() < 0.2
        if not is_unknown or random.random() < 0.5:
            members = [each for each in members if each != element]
            members += [element] if kind is Kind.ADD else []
        ending, returned_ns = (Ending.UNKNOWN, None) if is_unknown else (Ending.OK, end_ns)
        history.add(Operation(1, kind, b"s", begin_ns, ending, returned_ns, input=element))
    assert judge_sets(history) == []
