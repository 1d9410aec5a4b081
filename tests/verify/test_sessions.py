"""Session guarantees."""

from __future__ import annotations

import pytest

from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from kvstore.verify.sessions import judge_sessions


def operations(*rows: str) -> History:
    """From rows such as `0-1 put 5`, `2-3 get 4 p2 c2 stale`: times, op, revision; then, where they
    are not 1, partition and client; and the level."""
    history = History()
    for row in rows:
        times, op, revision, *more = row.split()
        invoked, returned = times.split("-")
        kind = Kind(op)
        partition, client, level = 1, 1, None
        for word in more:
            if word[0] == "p" and word[1:].isdigit():
                partition = int(word[1:])
            elif word[0] == "c" and word[1:].isdigit():
                client = int(word[1:])
            else:
                level = word
        operation = Operation(
            *(client, kind, b"k", int(invoked), Ending.OK, int(returned)),
            input=b"" if kind is Kind.PUT else None,
            partition=partition,
            receipt=Receipt(int(revision), level=level),
        )
        history.add(operation)
    return history


@pytest.mark.parametrize(
    "rows",
    [
        ("0-1 put 5", "2-3 get 5"),
        ("0-1 put 5", "2-3 get 9", "4-5 get 9"),
        ("0-9 put 5", "2-3 get 4"),
        ("0-1 put 5", "2-3 get 4 c2"),
        ("0-1 put 5", "2-3 get 4 p2"),
        ("0-1 put 5", "2-3 get 4 stale"),
        ("0-1 get 9 stale", "2-3 get 4"),
        ("0-1 get 9", "0-1 get 4", "2-3 get 9"),
        ("0-1 get 9", "2-3 put 10"),
    ],
)
def test_what_goes_on_is_right(rows: tuple[str, ...]) -> None:
    assert judge_sessions(operations(*rows)) == []


@pytest.mark.parametrize(
    ("rows", "promise"),
    [
        (("0-1 put 5", "2-3 get 4"), "read your writes"),
        (("0-1 put 5", "2-3 get 4 session"), "read your writes"),
        (("0-1 delete 5", "2-3 get 4"), "read your writes"),
        (("0-1 put 5", "2-3 put 6", "4-5 get 5"), "read your writes"),
        (("0-1 get 5", "2-3 get 4"), "monotonic reads"),
        (("2-3 get 4", "0-1 get 5"), "monotonic reads"),
        (("0-1 get 5", "0-9 get 2", "2-3 get 4"), "monotonic reads"),
    ],
)
def test_what_goes_back_is_found(rows: tuple[str, ...], promise: str) -> None:
    (finding,) = judge_sessions(operations(*rows))
    assert finding.promise == promise
    assert "client 1 had seen revision" in finding.text()


def test_operations_without_a_receipt_say_nothing() -> None:
    history = operations("0-1 put 5", "2-3 get 4")
    history.operations[1].receipt = None
    assert judge_sessions(history) == []
