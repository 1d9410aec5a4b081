"""Reads of weaker levels: left out of what is judged as linearizable, held to their session."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from kvstore.verify.history import History
from kvstore.verify.judge import judge
from kvstore.verify.judgement import Judgement, Promise, Ruling
from kvstore.verify.operation import Ending, Kind, Operation, Receipt


def done(kind: Kind, begin: int, end: int, **more: object) -> Operation:
    operation = Operation(1, Kind.TRANSFER, b"k", begin, Ending.OK, end)
    return replace(operation, op=kind, **more)  # type: ignore[arg-type]


def at(revision: int, level: str | None = None) -> dict[str, object]:
    return {"partition": 0, "receipt": Receipt(revision, level=level)}


OUTDATED = {
    Promise.REGISTERS: (
        done(Kind.PUT, 0, 1, input=b"1"),
        done(Kind.GET, 2, 3, output=None),
    ),
    Promise.COUNTERS: (
        done(Kind.INCREMENT, 0, 1, input=b"2"),
        done(Kind.GET, 2, 3, output=None),
    ),
    Promise.LISTS: (
        done(Kind.APPEND, 0, 1, input=b"x"),
        done(Kind.GET, 2, 3, output=None),
        done(Kind.GET, 4, 5, output=b"x"),
    ),
    Promise.SETS: (
        done(Kind.ADD, 0, 1, input=b"x"),
        done(Kind.MEMBERS, 2, 3, outputs=()),
    ),
    Promise.BANKS: (
        done(Kind.BALANCES, 0, 1, outputs=(b"5", b"5")),
        done(Kind.BALANCES, 2, 3, outputs=(b"5", b"4")),
    ),
}
"""Histories whose second operation reads what no linearizable read could."""


def kept(judgement: Judgement) -> dict[Promise, tuple[Ruling, int]]:
    return {each.promise: (each.ruling, each.operations) for each in judgement.promises}


@pytest.mark.parametrize("level", ["session", "stale"])
@pytest.mark.parametrize("promise", OUTDATED)
def test_a_read_of_a_weaker_level_is_not_judged_as_linearizable(
    promise: Promise, level: str
) -> None:
    write, read, *rest = OUTDATED[promise]
    assert judge(History([write, read, *rest]), bank_total=10).verdict is Ruling.VIOLATION
    weak = replace(read, **at(7, level))  # type: ignore[arg-type]
    judgement = judge(History([write, weak, *rest]), bank_total=10)
    judged = 1 + len(rest)
    assert kept(judgement)[promise] == (Ruling.FINE, judged)


def test_a_read_that_says_linearizable_is_judged_as_such() -> None:
    write, read = OUTDATED[Promise.REGISTERS]
    told = replace(read, **at(7, "linearizable"))  # type: ignore[arg-type]
    assert kept(judge(History([write, told])))[Promise.REGISTERS] == (Ruling.VIOLATION, 2)


def test_a_key_that_is_only_read_weakly_breaks_nothing() -> None:
    read = done(Kind.GET, 0, 1, output=b"1", **at(7, "session"))
    assert kept(judge(History([read]))) == {
        Promise.REGISTERS: (Ruling.FINE, 0),
        Promise.SESSIONS: (Ruling.FINE, 1),
    }


RECORDED = """\
{"client":3,"op":"put","key":"register/0/3","input":"3.22","expected":null,"output":null,"applied":null,"invoked_ns":1000,"returned_ns":2601,"outcome":"ok","node":"n1","partition":2,"receipt":{"revision":49,"term":3}}
{"client":3,"op":"get","key":"register/0/3","input":null,"expected":null,"output":"7.12","applied":null,"invoked_ns":2623,"returned_ns":2917,"outcome":"ok","node":"n2","partition":2,"receipt":{"revision":REVISION,"term":3,"level":"session"}}
{"client":7,"op":"put","key":"register/0/3","input":"7.12","expected":null,"output":null,"applied":null,"invoked_ns":100,"returned_ns":900,"outcome":"ok","node":"n1","partition":2,"receipt":{"revision":48,"term":3}}
"""
"""Of a run of `kvstore chaos` on nodes with the planted bug `session-index-ignored`, cut down."""


def test_a_replica_that_answers_without_waiting_for_the_session_turns_the_verdict() -> None:
    judgement = judge(History.parse(RECORDED.replace("REVISION", "48").splitlines(), "h"))
    assert kept(judgement)[Promise.REGISTERS][0] is Ruling.FINE
    assert judgement.verdict is Ruling.VIOLATION
    (finding,) = judgement.findings
    assert finding.promise == "read your writes"
    assert (
        "client 3 had seen revision 49 of partition 2, and was then served at 48" in finding.text()
    )
    assert 'session get "register/0/3"' in finding.text()


def test_one_that_waits_is_fine() -> None:
    lines = RECORDED.replace("REVISION", "49").splitlines()
    read = json.loads(lines[1]) | {"output": "3.22"}
    judgement = judge(History.parse([lines[0], json.dumps(read), lines[2]], "h"))
    assert judgement.verdict is Ruling.FINE
