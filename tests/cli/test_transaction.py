"""kvstore txn: all or none, on the command line and in the shell."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from kvstore.cli.app import command_tree
from kvstore.cli.completion import candidates
from kvstore.cli.shell_session import BUILT_IN, OUTSIDE_ONLY
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


TAKE = (
    *("--if", "absent {7}/lock", "--then", "put {7}/lock 'it is me' --ttl 30s"),
    *("--else", "get {7}/lock", "--else", "get {7}/none"),
)


def test_one_branch_or_the_other_is_done(kvstore: Command, background: Background) -> None:
    first = kvstore("txn", *TAKE)
    assert (first.code, first.err) == (0, "")
    branch, revision = first.out.decode().splitlines()
    assert branch == "then"
    assert int(revision) > 0
    second = kvstore("txn", *TAKE)
    assert (second.code, second.out) == (1, b"else\nit is me\n\n")
    assert background.cluster.data == {b"{7}/lock": b"it is me"}


def test_every_operation_says_what_it_gives(kvstore: Command) -> None:
    operations = (
        *("put {a} 5", "increment {a} --by -7 --initial 1", "append {a} 0", "get {a}"),
        *("touch {a} --no-ttl", "touch {a}/none --ttl=5m", "delete {a}", "get {a}"),
        *("put -- {a} --x", "delete {a}/none"),
    )
    arguments = [word for each in operations for word in ("--then", each)]
    lines = kvstore("txn", *arguments).out.decode().splitlines()
    assert lines[0] == "then"
    assert lines[2:9] == ["-2", "3", "-20", "yes", "no", "yes", ""]
    assert lines[10:] == ["no"]
    assert kvstore("get", "{a}").out == b"--x"
    said = json.loads(kvstore("txn", *arguments, "--output", "json").out)
    assert said["succeeded"] is True
    results: list[dict[str, Any]] = said["results"]
    assert [each["operation"] for each in results] == [each.split()[0] for each in operations]
    assert {each["key"] for each in results} == {"{a}", "{a}/none"}
    assert results[1]["number"] == -2
    assert results[2]["length"] == 3
    assert results[3]["record"]["value"] == "-20"
    assert results[4]["touched"] is True
    assert results[6]["deleted"] is True
    assert results[7]["record"] is None
    assert results[8]["revision"] > results[0]["revision"]
    table = kvstore("txn", *arguments, "--output", "table").out.decode()
    assert "increment" in table
    assert "-20" in table


def test_conditions_have_to_hold_all(kvstore: Command) -> None:
    revision = kvstore("put", "{a}", "b").out.decode().strip()
    holding = (
        *("exists {a}", "absent {a}/none", "value {a} == b", "value {a} > a", "version {a} < 2"),
        *(f"mod-revision {{a}} == {revision}", f"create-revision {{a}} != {int(revision) + 1}"),
    )
    conditions = [word for each in holding for word in ("--if", each)]
    assert kvstore("txn", *conditions).out == b"then\n"
    for failing in ("absent {a}", "exists {a}/none", "value {a} != b", "version {a} > 1"):
        finished = kvstore("txn", *conditions, "--if", failing, "--then", "delete {a}")
        assert (finished.code, finished.out) == (1, b"else\n")
    assert kvstore("get", "{a}").out == b"b"


def test_a_refused_operation_undoes_the_others(kvstore: Command, background: Background) -> None:
    kvstore("put", "{a}", "text")
    finished = kvstore("txn", "--then", "put {a}/b 1", "--then", "increment {a}")
    assert finished.code == 5
    assert "operation 1 of the transaction: the value is no decimal number" in finished.err
    assert background.cluster.data == {b"{a}": b"text"}


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        ((), "a transaction needs --if, --then or --else", 2),
        (("--if", "perhaps a"), "--if 'perhaps a' is neither 'exists KEY'", 2),
        (("--if", ""), "--if '' is neither", 2),
        (("--if", "exists a b"), "is neither", 2),
        (("--if", "value a = b"), "'=' is none of ==, !=, < and >", 2),
        (("--if", "version a == b"), "version is 'b'; it must be a whole number", 2),
        (("--if", "value 'a == b"), "no closing quotation", 2),
        (("--then", "frobnicate a"), "does not begin with one of append, delete, get", 2),
        (("--else", ""), "--else '' does not begin with one of", 2),
        (("--then", "put a"), "put takes a key and a value", 2),
        (("--then", "get"), "get takes a key", 2),
        (("--then", "get a b"), "get takes a key", 2),
        (("--then", "get a --ttl 5"), "--ttl does not stand there", 2),
        (("--then", "put a 1 --if-absent"), "--if-absent does not stand there", 2),
        (("--then", "put a 1 --ttl"), "--ttl needs a value", 2),
        (("--then", "put a 1 --ttl 1w"), "ttl is '1w'", 2),
        (("--then", "increment a --by x"), "--by is 'x'; it must be a whole number", 2),
        (("--then", "touch a"), "a touch needs one of --ttl TIME and --no-ttl", 2),
        (("--then", "touch a --ttl 5 --no-ttl"), "a touch needs one of", 2),
        (("--then", "put '' 1"), "then[0]: key has 0 bytes", 5),
        (("--if", "version a == -1"), "compare[0]: version is -1; it must be 0 to", 5),
        (("--then", f"increment a --by {1 << 63}"), "by is 9223372036854775808", 5),
        (("--then", "put one 1", "--else", "put other 2"), "are in different partitions", 5),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_nothing_is_sent(
    kvstore: Command,
    background: Background,
    arguments: tuple[str, ...],
    words: str,
    code: int,
) -> None:
    finished = kvstore("txn", *arguments)
    assert words in one_sentence(finished)
    assert (finished.code, finished.out) == (code, b"")
    assert background.cluster.calls == 0


def test_the_shell_has_it_with_help_and_completion(
    kvstore: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"txn --then 'put {a} \"b c\"' --then 'get {a}'\nhelp txn\nhelp\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    finished = kvstore("shell")
    assert (finished.code, finished.err) == (0, "")
    out = finished.out.decode()
    assert out.startswith("then\n")
    assert "\nb c\n" in out
    assert "mod-revision KEY == N" in out
    assert "txn           Do several operations on keys of one partition" in out

    def offered(before: str, text: str) -> list[str]:
        return candidates(command_tree(), BUILT_IN, OUTSIDE_ONLY, before.split(), text)

    assert offered("", "tx") == ["txn"]
    assert offered("txn", "--") == sorted(
        ("--if", "--then", "--else", "--receipt", "--endpoints", "--timeout", "--output", "--help")
    )
    assert offered("txn --then", "") == [
        f"'{name}" for name in ("append", "delete", "get", "increment", "put", "touch")
    ]
    assert offered("txn --else", '"in') == ['"increment']
    assert offered("txn --if", "'v") == ["'value", "'version"]
