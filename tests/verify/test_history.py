"""Histories as files."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from kvstore.errors import ConfigurationError
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from tests.verify.histories import Shape, good_history

LINE: dict[str, object] = {
    "client": 3,
    "op": "put",
    "key": "a",
    "input": "1",
    "expected": None,
    "output": None,
    "applied": None,
    "invoked_ns": 1200,
    "returned_ns": 2100,
    "outcome": "ok",
}


def parse(**changes: object) -> Operation:
    (operation,) = History.parse([json.dumps(LINE | changes)], "h").operations
    return operation


def test_a_line_is_an_operation() -> None:
    assert parse() == Operation(3, Kind.PUT, b"a", 1200, Ending.OK, 2100, input=b"1")


def test_what_is_known_of_the_server_may_be_told() -> None:
    told = parse(node="n1", partition=5, receipt={"revision": 17, "term": 2, "level": "session"})
    assert (told.node, told.partition) == ("n1", 5)
    assert told.receipt == Receipt(17, 2, "session")
    assert parse(receipt={"revision": 17}).receipt == Receipt(17)


def test_a_history_survives_its_file(tmp_path: Path) -> None:
    history = good_history(Random(1), Shape(operations=200, unknown=0.1))
    history.add(Operation(1, Kind.PUT, b"\xff", 1, Ending.OK, 2, input=b"\x00\xfe"))
    history.add(Operation(1, Kind.MEMBERS, b"s", 1, Ending.OK, 2, outputs=(b"a", b"\xff")))
    history.add(
        Operation(
            *(1, Kind.GET, b"k", 1, Ending.OK, 2),
            output=b"line\nend",
            node="n2",
            partition=0,
            receipt=Receipt(4, 1, "linearizable"),
        )
    )
    path = tmp_path / "history.jsonl"
    history.write(path)
    assert History.read(path) == history
    assert len(path.read_bytes().splitlines()) == len(history.operations)


def test_blank_lines_count_but_say_nothing() -> None:
    with pytest.raises(ConfigurationError, match=r"^h, line 3: "):
        History.parse([json.dumps(LINE), "\n", "{}"], "h")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"client": "3"}, 'client is "3", not a whole number'),
        ({"client": True}, "client is true, not a whole number"),
        ({"invoked_ns": -1}, "invoked_ns is -1, not a whole number"),
        ({"invoked_ns": 1.5}, "invoked_ns is 1.5, not a whole number"),
        ({"op": "take"}, 'op is "take", not one of get, put, delete'),
        ({"op": ["get"]}, r'op is \["get"\], not one of get, put, delete'),
        ({"outcome": None}, "outcome is null, not one of ok, fail, unknown"),
        ({"key": None}, "key is neither a string nor"),
        ({"key": {"base64": "?"}}, "key is not valid base64"),
        ({"input": 7}, "input is neither a string nor .*: 7"),
        ({"applied": 1}, "applied is 1, not true, false or null"),
        ({"node": 1}, "node is 1, not a string"),
        ({"partition": "1"}, 'partition is "1", not a whole number'),
        ({"receipt": 5}, "receipt is 5, not an object"),
        ({"receipt": {"revision": "x"}}, 'revision is "x", not a whole number'),
        ({"receipt": {"revision": 1, "x": 1}}, "receipt is .*, not an object"),
        ({"more": "x" * 100}, 'field more is not known; its value is "xxx.*…'),
        ({"op": "members", "input": None, "output": "a"}, 'output is "a", not a list'),
        # Each right by itself, and wrong together.
        ({"returned_ns": None}, "returned_ns is None, which does not fit op put with outcome ok"),
        ({"outcome": "unknown"}, "returned_ns is 2100, which does not fit .* outcome unknown"),
        ({"returned_ns": 1199}, "returned_ns is 1199, which does not fit .* invoked_ns 1200"),
        ({"input": None}, "input is None, which does not fit op put"),
        ({"op": "get"}, "input is b'1', which does not fit op get"),
        ({"expected": "0"}, "expected is b'0', which does not fit op put"),
        ({"output": "0"}, "output is b'0', which does not fit op put"),
        ({"applied": True}, "applied is True, which does not fit op put"),
        ({"op": "cas"}, "applied is None, which does not fit op cas"),
        ({"op": "members", "input": None}, "outputs is None, which does not fit op members"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^h, line 1: {sentence}"):
        parse(**changes)


@pytest.mark.parametrize("name", LINE)
def test_a_missing_field_is_named(name: str) -> None:
    line = {key: value for key, value in LINE.items() if key != name}
    with pytest.raises(ConfigurationError, match=f"^h, line 1: field {name} is missing"):
        History.parse([json.dumps(line)], "h")


@pytest.mark.parametrize("line", ["{", "[]", "7", "[" * 100_000, b"\xff"])
def test_what_is_no_object_is_refused(line: str | bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"^h, line 1: not "):
        History.parse([line], "h")


def test_the_lines_in_the_documentation_are_a_history() -> None:
    page = Path(__file__).parents[2] / "docs" / "format-history.md"
    lines = [line for line in page.read_text().splitlines() if line.startswith('{"client"')]
    assert len(History.parse(lines, str(page)).operations) == 3
