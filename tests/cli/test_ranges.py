"""Scans in reverse and by cursor, count and delete-range against three real nodes."""

from __future__ import annotations

import io
import json
import sys

import pytest

from tests.conftest import Command, one_sentence

pytestmark = pytest.mark.process


class Terminal(io.StringIO):
    """A user who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def filled(at_cluster: Command, request: pytest.FixtureRequest) -> str:
    """The prefix of nine keys, of this test only."""
    prefix = f"ranges/{request.node.name}/"
    for number in range(9):
        at_cluster("put", f"{prefix}{number}", str(number))
    return prefix


def keys(out: bytes) -> list[str]:
    return [line.rpartition("/")[2] for line in out.decode().splitlines()]


def test_a_scan_in_reverse_begins_with_the_last_key(at_cluster: Command, filled: str) -> None:
    finished = at_cluster("scan", "--prefix", filled, "--reverse", "--limit", "4")
    assert keys(finished.out) == ["8\t8", "7\t7", "6\t6", "5\t5"]


def test_a_consistent_scan_prints_what_another_prints(at_cluster: Command, filled: str) -> None:
    usual = at_cluster("scan", "--prefix", filled)
    assert at_cluster("scan", "--prefix", filled, "--consistent") == usual


@pytest.mark.parametrize("direction", [(), ("--reverse",)])
def test_a_scan_goes_on_at_the_cursor_that_another_printed(
    at_cluster: Command, filled: str, direction: tuple[str, ...]
) -> None:
    line = ("scan", "--keys-only", "--prefix", filled, "--limit", "3", "--print-cursor")
    finished = at_cluster(*line, *direction)
    found = keys(finished.out)
    while page := keys(finished.out):
        word, cursor = finished.err.removeprefix("kvstore: ").split()
        assert word == "cursor"
        finished = at_cluster(
            "scan", "--keys-only", "--limit", "4", "--cursor", cursor, "--print-cursor"
        )
        assert page != keys(finished.out)
        found += keys(finished.out)
    assert found == sorted("012345678", reverse=bool(direction))


def test_a_damaged_cursor_is_refused(at_cluster: Command) -> None:
    finished = at_cluster("scan", "--cursor", "AQEAA")
    assert finished.code == 5
    assert "the cursor cannot be used" in one_sentence(finished)


def test_keys_are_counted(at_cluster: Command, filled: str) -> None:
    assert at_cluster("count", "--prefix", filled).out == b"9\n"
    assert at_cluster("count", "--start", f"{filled}2", "--end", f"{filled}5").out == b"3\n"
    answer = at_cluster("--output", "json", "count", "--prefix", f"{filled}none")
    assert json.loads(answer.out) == {"count": 0}
    assert "9" in at_cluster("--output", "table", "count", "--prefix", filled).out.decode()


def test_a_prefix_is_deleted_without_a_question(at_cluster: Command, filled: str) -> None:
    finished = at_cluster("delete-range", "--prefix", filled, "--start", f"{filled}3")
    assert (finished.code, finished.out) == (0, b"deleted 6 keys\n")
    assert at_cluster("count", "--prefix", filled).out == b"3\n"
    again = at_cluster("--output", "json", "delete-range", "--prefix", filled)
    assert json.loads(again.out) == {"deleted": 3}
    assert at_cluster("count", "--prefix", filled).out == b"0\n"


def test_a_range_without_a_prefix_is_deleted_when_the_user_says_so(
    at_cluster: Command, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("delete-range", "--start", f"{filled}2", "--end", f"{filled}5")
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    finished = at_cluster(*line)
    assert (finished.code, finished.out) == (1, b"")
    assert f"delete all keys from '{filled}2' on, up to '{filled}5'?" in finished.err
    assert finished.err.endswith("kvstore: nothing was deleted\n")
    assert at_cluster("count", "--prefix", filled).out == b"9\n"
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert at_cluster(*line).out == b"deleted 3 keys\n"
    assert at_cluster(*line, "--yes").out == b"deleted 0 keys\n"
    assert at_cluster("count", "--prefix", filled).out == b"6\n"
