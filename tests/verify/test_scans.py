"""Scans: a read of each key that begins with the prefix."""

from __future__ import annotations

import pytest

from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from kvstore.verify.scans import gets_of_scans, judge_scans


def scan(*items: str, prefix: str = "s/", level: str | None = None) -> Operation:
    outputs = tuple([item.encode() for item in items])
    return Operation(
        *(7, Kind.SCAN, prefix.encode(), 3, Ending.OK, 9),
        outputs=outputs,
        node="n1",
        partition=4,
        receipt=Receipt(11, level=level),
    )


def test_a_scan_reads_what_it_found_and_what_it_did_not_find() -> None:
    keys = [b"s/a", b"s/b", b"s", b"t/a", b"r"]
    gets = gets_of_scans([scan("s/a=1=2", "s/c=")], keys)
    assert {get.key: get.output for get in gets} == {b"s/a": b"1=2", b"s/c": b"", b"s/b": None}
    assert {(get.op, get.client, get.invoked_ns, get.returned_ns) for get in gets} == {
        (Kind.GET, 7, 3, 9)
    }
    assert {(get.node, get.partition) for get in gets} == {("n1", 4)}


def test_scans_without_an_answer_or_that_asked_for_less_read_nothing() -> None:
    unanswered = Operation(1, Kind.SCAN, b"s/", 0, Ending.FAIL, 1)
    assert gets_of_scans([unanswered, scan("s/a=1", level="stale")], [b"s/a"]) == []


def test_what_belongs_there_is_right() -> None:
    assert judge_scans([scan(), scan("s/a=1", "s/b=1")]) == []


@pytest.mark.parametrize(
    ("items", "detail"),
    [
        (("s/a=1", "s/a=1"), '"s/a" is there twice'),
        (("t/a=1",), '"t/a" does not begin with "s/"'),
        (("s/a",), '"s/a" has no value'),
    ],
)
def test_what_does_not_is_found(items: tuple[str, ...], detail: str) -> None:
    (finding,) = judge_scans([scan(*items)])
    assert detail in finding.detail
