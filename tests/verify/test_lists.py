"""Lists: each element once, and every read a beginning of the next."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.errors import ConfigurationError
from kvstore.verify.history import History
from kvstore.verify.lists import elements_of, judge_list, judge_lists
from kvstore.verify.operation import Ending, Kind, Operation, Receipt


def operations(*rows: str) -> list[Operation]:
    """From rows such as `0-1 append a`, `2-? append b`, `2-3! append c` (failed), `4-5 get a;b`."""
    found = []
    for client, row in enumerate(rows):
        times, op, *words = row.split()
        invoked, returned = times.split("-")
        failed = returned.endswith("!")
        ending = Ending.UNKNOWN if returned == "?" else Ending.FAIL if failed else Ending.OK
        end_ns = None if returned == "?" else int(returned.rstrip("!"))
        value = words[0].encode() if words else None
        is_read = op == "get"
        found.append(
            Operation(
                *(client, Kind(op), b"l", int(invoked), ending, end_ns),
                input=None if is_read else value,
                output=value if is_read else None,
            )
        )
    return found


@pytest.mark.parametrize(
    "rows",
    [
        ("0-1 get",),
        ("0-1 append a", "2-3 get a"),
        ("0-1 append a", "2-3 get a;"),
        ("0-1 append a", "2-3 append b", "4-5 get a;b", "6-7 get a;b"),
        ("0-9 append a", "0-9 append b", "10-11 get b;a"),
        ("0-9 append a", "1-2 get", "3-4 get a"),
        ("0-? append a", "1-2 get", "3-4 get", "5-6 get a"),
        ("0-? append a", "1-2 get"),
        ("0-1! append a", "2-3 get"),
        ("0-5 append a", "5-9 append b", "10-11 get b;a"),
        ("0-1 append a", "2-3 append ab", "4-5 get a;ab"),
        ("0-1 append a", "2-3 append b"),
    ],
)
def test_what_a_list_can_hold_is_right(rows: tuple[str, ...]) -> None:
    assert judge_list(operations(*rows)) == []


@pytest.mark.parametrize(
    ("rows", "detail"),
    [
        (("0-1 append a", "2-3 get"), '"a" is lost'),
        (("0-1 append a", "2-3 append b", "4-5 get a"), '"b" is lost'),
        (("0-1 append a", "2-3 get", "4-5 get a"), '"a" is lost'),
        (("0-1 append a", "2-3 get a;a"), '"a" is duplicated'),
        (("0-9 append b", "0-1 get a"), '"a" is made up'),
        (("0-1! append a", "2-3 get a"), "although its append was refused"),
        (("0-1 get a", "2-3 append a"), '"a" is read too early'),
        (("0-1 append a", "2-3 append b", "4-5 get b;a"), '"a" is out of order'),
        (("0-9 append a", "0-9 append b", "10-11 get a", "10-11 get b"), "forked"),
        (("0-1 append a", "2-3 append ab", "4-9 get a;ab", "4-9 get a;a"), "forked"),
        (("0-9 append a", "1-2 get a", "3-4 get"), "the list has gone back"),
    ],
)
def test_what_it_cannot_hold_is_found(rows: tuple[str, ...], detail: str) -> None:
    (finding,) = judge_lists(History(operations(*rows)))
    assert detail in finding.text()
    assert len(finding.operations) <= 3


def test_an_element_that_two_operations_append_cannot_be_judged() -> None:
    with pytest.raises(ConfigurationError, match='"a" is appended to "l" twice'):
        judge_list(operations("0-1 append a", "0-1 append a"))


@pytest.mark.parametrize("element", [b"", b"a;b"])
def test_an_element_is_something_without_a_separator(element: bytes) -> None:
    with pytest.raises(ValueError, match=r"input is .* does not fit op append"):
        Operation(1, Kind.APPEND, b"l", 0, Ending.OK, 1, input=element)


def test_reads_that_asked_for_less_are_not_judged() -> None:
    asked = operations("0-1 append a", "2-3 get")
    asked[1].receipt = Receipt(1, level="stale")
    assert judge_list(asked) == []


@st.composite
def small_lists(draw: st.DrawFn) -> list[Operation]:
    """Up to six operations on one list, with few moments: good ones and bad ones."""
    rows = []
    elements = ["a", "b", "c"]
    for element in elements[: draw(st.integers(0, 3))]:
        invoked = draw(st.integers(0, 10))
        end = draw(st.sampled_from(["ok", "ok", "ok", "?", "!"]))
        returned = invoked + draw(st.integers(0, 6))
        times = f"{invoked}-?" if end == "?" else f"{invoked}-{returned}{end.strip('ok')}"
        rows.append(f"{times} append {element}")
    orders = [order for size in range(4) for order in permutations(elements, size)]
    for _ in range(draw(st.integers(0, 3))):
        invoked = draw(st.integers(0, 14))
        read = ";".join(draw(st.sampled_from(orders)))
        rows.append(f"{invoked}-{invoked + draw(st.integers(0, 6))} get {read}")
    return operations(*rows)


def can_be_ordered(left: list[Operation], content: tuple[bytes, ...] = ()) -> bool:
    """The definition: by trying all orders."""
    if all(each.outcome is Ending.UNKNOWN for each in left):
        return True
    for operation in left:
        others = [each for each in left if each is not operation]
        if any(e.returned_ns is not None and e.returned_ns < operation.invoked_ns for e in others):
            continue
        if operation.op is Kind.APPEND and operation.input is not None:
            if can_be_ordered(others, (*content, operation.input)):
                return True
        elif elements_of(operation.output) == list(content) and can_be_ordered(others, content):
            return True
    return False


@settings(max_examples=500, deadline=None)
@given(small_lists())
def test_the_verdict_is_that_of_trying_all_orders(asked: list[Operation]) -> None:
    left = [each for each in asked if each.outcome is not Ending.FAIL]
    assert (judge_list(asked) == []) == can_be_ordered(left)
