"""Banks and counters."""

from __future__ import annotations

import pytest

from kvstore.errors import ConfigurationError
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from kvstore.verify.sums import judge_banks, judge_counters, usual_total


def balances(*numbers: int) -> Operation:
    outputs = tuple([b"%d" % number for number in numbers])
    return Operation(1, Kind.BALANCES, b"bank", 0, Ending.OK, 1, outputs=outputs)


def test_money_may_move() -> None:
    transfer = Operation(1, Kind.TRANSFER, b"bank", 0, Ending.UNKNOWN)
    history = History([balances(50, 50), transfer, balances(0, 100), balances(120, -20)])
    assert judge_banks(history, 100) == []


@pytest.mark.parametrize("numbers", [(50, 40), (50, 60), (), (100, 100)])
def test_money_that_was_made_or_lost_is_found(numbers: tuple[int, ...]) -> None:
    (finding,) = judge_banks(History([balances(50, 50), balances(*numbers)]), 100)
    assert f"add up to {sum(numbers)}, not to 100" in finding.text()


def counter(*rows: str) -> History:
    """From rows such as `0-5 +2`, `3-? -1`, `4-5! +1` (failed) and `6-9 =1` (a read)."""
    history = History()
    for client, row in enumerate(rows):
        times, what = row.split()
        invoked, returned = times.split("-")
        failed = returned.endswith("!")
        ending = Ending.UNKNOWN if returned == "?" else Ending.FAIL if failed else Ending.OK
        end_ns = None if returned == "?" else int(returned.rstrip("!"))
        begin_ns = int(invoked)
        if what.startswith("="):
            output = None if what == "=" else what[1:].encode()
            read = Operation(client, Kind.GET, b"c", begin_ns, ending, end_ns, output=output)
            history.add(read)
        else:
            amount = what.encode()
            history.add(
                Operation(client, Kind.INCREMENT, b"c", begin_ns, ending, end_ns, input=amount)
            )
    return history


@pytest.mark.parametrize(
    "rows",
    [
        ("0-1 +1", "2-3 =1"),
        ("0-1 +1", "0-? +2", "2-3 =1"),
        ("0-1 +1", "0-? +2", "2-3 =3"),
        ("0-9 +1", "2-3 =0", "4-5 =1"),
        ("2-3 =", "4-5 +1"),
        ("0-1 +5", "2-9 -2", "3-4 =3"),
        ("0-1 +5", "2-9 -2", "3-4 =5"),
        ("0-1! +1", "2-3 =0"),
        ("0-5 +1", "5-6 =0"),
        ("0-1 =7",),  # nothing is incremented: no counter
    ],
)
def test_what_a_counter_can_hold_is_right(rows: tuple[str, ...]) -> None:
    assert judge_counters(counter(*rows)) == []


@pytest.mark.parametrize(
    ("rows", "bounds"),
    [
        (("0-1 +1", "2-3 ="), "1 to 1"),
        (("0-1 +1", "2-3 =2"), "1 to 1"),
        (("0-1 +1", "0-? +2", "2-3 =4"), "1 to 3"),
        (("0-1 +1", "4-5 +1", "2-3 =2"), "1 to 1"),
        (("0-1 +5", "2-3 -2", "4-5 =5"), "3 to 3"),
        (("0-1 +5", "2-? -2", "4-5 =2"), "3 to 5"),
        (("0-1! +1", "0-1 +1", "2-3 =2"), "1 to 1"),
    ],
)
def test_what_a_counter_cannot_hold_is_found(rows: tuple[str, ...], bounds: str) -> None:
    (finding,) = judge_counters(counter(*rows))
    assert f"it can have held {bounds} only" in finding.detail


def test_a_read_that_asked_for_less_is_not_judged() -> None:
    history = counter("0-1 +1", "2-3 =")
    history.operations[-1].receipt = Receipt(0, level="stale")
    assert judge_counters(history) == []


def test_what_is_no_number_is_found_where_it_was_read() -> None:
    (finding,) = judge_counters(counter("0-1 +1", "2-3 =many"))
    assert "it held many; it can have held 1 to 1 only" in finding.detail
    read = Operation(1, Kind.BALANCES, b"bank", 0, Ending.OK, 1, outputs=(b"50", b"many"))
    (finding,) = judge_banks(History([read]), 50)
    assert "no number" in finding.detail


def test_what_is_no_number_is_named_where_it_was_asked_for() -> None:
    with pytest.raises(ConfigurationError, match=r'input of increment is "\+some", which'):
        judge_counters(counter("0-1 +some"))


def test_a_counter_that_nothing_lowers_does_not_fall() -> None:
    (finding,) = judge_counters(counter("0-? +5", "0-? +2", "1-2 =5", "3-4 =2"))
    assert "it held 2 after it had held 5" in finding.detail
    assert len(finding.operations) == 2
    assert judge_counters(counter("0-? +5", "1-3 =5", "3-4 =0")) == []
    assert judge_counters(counter("0-? +5", "0-? -5", "1-2 =5", "3-4 =0")) == []


def test_the_total_that_most_reads_add_up_to_is_told() -> None:
    assert usual_total([balances(50, 50), balances(90), balances(100), balances(1)]) == (100, 2, 4)
    assert usual_total([balances(7), balances(8)]) == (7, 1, 2)
    assert usual_total([]) is None


@pytest.mark.parametrize(
    ("rows", "detail", "shown"),
    [
        (
            ("0-1 +1", "2-3 =1", "4-5 +1", "6-7 =3"),
            "held 3 after it had held 1; what can have come between adds up to 1 only",
            3,
        ),
        (
            ("0-1 +1", "0-1 +1", "2-3 =2", "4-5 +1", "4-9 +1", "6-7 =2"),
            "held 2 after it had held 2; what came between for certain adds up to 1",
            3,
        ),
        (("0-1 +1", "2-3 =2"), "it can have held 1 to 1 only", 1),
        (("0-1 +1", "2-3 =1", "4-5 -1", "6-7 =3"), "it can have held 0 to 0 only", 1),
    ],
)
def test_a_wrong_read_is_shown_by_the_one_before_where_that_tells(
    rows: tuple[str, ...], detail: str, shown: int
) -> None:
    (finding,) = judge_counters(counter(*rows))
    assert detail in finding.detail
    assert len(finding.operations) == shown
