"""Writes with conditions, sums, appends and lifetimes on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from kvstore.codec.record import decode_record
from tests.client.background import Background, in_background
from tests.conftest import Command, one_sentence


@pytest.fixture
def background() -> Iterator[Background]:
    with in_background() as background:
        yield background


@pytest.fixture
def kvstore(command: Command, background: Background, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line, pointed to a fake cluster."""
    monkeypatch.setenv("KVSTORE_ENDPOINTS", ",".join(background.cluster.endpoints))
    monkeypatch.setenv("KVSTORE_TIMEOUT", "20")
    return command


def stdout(kvstore: Command, *arguments: str) -> bytes:
    finished = kvstore(*arguments)
    assert (finished.code, finished.err) == (0, "")
    return finished.out


def as_json(kvstore: Command, *arguments: str) -> Any:
    return json.loads(stdout(kvstore, "--output", "json", *arguments))


def expiry_ms(background: Background, key: bytes) -> int:
    cluster = background.cluster
    return decode_record(cluster.partitions[cluster.partition_of(key)].data[key]).expiry_ms


def test_a_condition_that_does_not_hold_is_exit_code_6(kvstore: Command) -> None:
    revision = stdout(kvstore, "put", "k", "1", "--if-absent").decode().strip()
    for arguments in (
        ("put", "k", "2", "--if-absent"),
        ("put", "k", "2", "--if-revision", "99"),
        ("put", "k", "2", "--if-value", "other"),
        ("delete", "k", "--if-revision", "99"),
        ("delete", "k", "--if-value", "other"),
    ):
        finished = kvstore(*arguments)
        assert finished.code == 6
        assert f"has revision {revision}" in one_sentence(finished)
    assert stdout(kvstore, "get", "k") == b"1"
    second = stdout(kvstore, "put", "k", "2", "--if-revision", revision, "--if-value", "1")
    assert int(second) > int(revision)
    assert stdout(kvstore, "delete", "k", "--if-value", "2") == b""
    gone = kvstore("delete", "k", "--if-value", "2")
    assert (gone.code, "does not exist" in one_sentence(gone)) == (6, True)


def test_the_value_before_is_printed_where_that_is_asked_for(kvstore: Command) -> None:
    assert stdout(kvstore, "put", "k", "one", "--previous") == b""
    assert stdout(kvstore, "put", "k", "two", "--previous") == b"one"
    said = as_json(kvstore, "put", "k", "three", "--previous")
    assert said["previous"]["value"] == "two"
    assert said["revision"] == said["previous"]["mod_revision"] + 1
    table = kvstore("--output", "table", "put", "k", "four", "--previous").out.decode()
    assert "three" in table
    assert stdout(kvstore, "delete", "k", "--previous") == b"four"
    gone = kvstore("delete", "k", "--previous", "--output", "json")
    assert (gone.code, json.loads(gone.out)) == (
        1,
        {"key": "k", "deleted": False, "previous": None},
    )
    assert as_json(kvstore, "put", "k", "1", "--if-absent").keys() == {"key", "revision"}


def test_lifetimes_have_units(kvstore: Command, background: Background) -> None:
    stdout(kvstore, "put", "k", "1", "--ttl", "2h")
    assert expiry_ms(background, b"k") == 1_000_000 + 7_200_000
    stdout(kvstore, "touch", "k", "--ttl", "1.5")
    assert as_json(kvstore, "get", "k")["expiry_ms"] == 1_001_500
    assert as_json(kvstore, "touch", "k", "--no-ttl") == {"key": "k", "touched": True}
    assert expiry_ms(background, b"k") == 0
    stdout(kvstore, "increment", "k", "--ttl", "250ms")
    assert expiry_ms(background, b"k") == 1_000_250
    stdout(kvstore, "append", "k", "0", "--ttl", "1d")
    assert expiry_ms(background, b"k") == 1_000_000 + 86_400_000


def test_a_touch_of_no_key_is_exit_code_1(kvstore: Command) -> None:
    finished = kvstore("touch", "absent", "--ttl", "5")
    assert (finished.code, one_sentence(finished)) == (1, "there is no key absent")
    assert "no" in kvstore("--output", "table", "touch", "absent", "--no-ttl").out.decode()


def test_increments_print_the_sum(kvstore: Command) -> None:
    assert stdout(kvstore, "increment", "k") == b"1\n"
    assert stdout(kvstore, "increment", "k", "--by", "-5") == b"-4\n"
    assert as_json(kvstore, "increment", "n", "--initial", "10") == {"key": "n", "number": 11}
    assert "-3" in kvstore("--output", "table", "increment", "k").out.decode()
    stdout(kvstore, "put", "k", "text")
    for arguments, words in (
        (("increment", "k"), "no decimal number"),
        (("increment", "n", "--by", str(2**63 - 1)), "the number is 11"),
        (("increment", "n", "--by", str(2**63)), "by is 9223372036854775808"),
    ):
        finished = kvstore(*arguments)
        assert finished.code == 5
        assert words in one_sentence(finished)


def test_appends_print_the_length(kvstore: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stdout(kvstore, "append", "k", "ab") == b"2\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xffcd")))
    assert as_json(kvstore, "append", "k", "-") == {"key": "k", "length": 5}
    assert stdout(kvstore, "get", "k") == b"ab\xffcd"


def test_several_keys_are_printed_in_the_order_that_was_asked_for(kvstore: Command) -> None:
    for key in "abc":
        stdout(kvstore, "put", key, key.upper())
    assert stdout(kvstore, "get", "c", "a", "c") == b"c\tC\na\tA\n"
    some = kvstore("get", "b", "x", "--output", "json")
    assert (some.code, some.err) == (1, "kvstore: there is no key x\n")
    assert [json.loads(line)["value"] for line in some.out.splitlines()] == ["B"]
    table = kvstore("--output", "table", "get", "a", "b").out.decode()
    assert table.index("A") < table.index("B")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("put", "", "v", "--ttl", "5"), "key has 0 bytes"),
        (("put", "k" * 4097, "v", "--if-absent"), "key has 4097 bytes"),
        (("put", "k", "v" * ((1 << 20) + 1), "--previous"), "value has 1048577 bytes"),
        (("put", "k", "v", "--if-revision", str(1 << 64)), "if_revision is 18446744073709551616"),
        (("delete", "", "--previous"), "key has 0 bytes"),
        (("increment", ""), "key has 0 bytes"),
        (("increment", "k", "--initial", str(-(1 << 63) - 1)), "initial is -9223372036854775809"),
        (("append", "", "v"), "key has 0 bytes"),
        (("append", "k", "v" * ((1 << 20) + 1)), "suffix has 1048577 bytes"),
        (("touch", "", "--no-ttl"), "key has 0 bytes"),
        (("get", "a", ""), "key has 0 bytes"),
    ],
)
def test_what_breaks_a_limit_is_exit_code_5_and_changes_nothing(
    kvstore: Command, background: Background, arguments: tuple[str, ...], words: str
) -> None:
    finished = kvstore(*arguments)
    assert finished.code == 5
    assert words in one_sentence(finished)
    assert background.cluster.calls == 0
