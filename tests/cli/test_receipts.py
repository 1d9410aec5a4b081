"""--receipt: by whom a command was answered, and levels of several keys and of scans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client.background import Background, in_background
from tests.conftest import Command

WRITES = (
    ("put", "k", "5"),
    ("increment", "k"),
    ("append", "k", "0"),
    ("touch", "k", "--no-ttl"),
    ("txn", "--then", "put k 1"),
    ("delete", "k"),
)


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


def said(text: str) -> list[dict[str, str]]:
    """The receipts on standard error."""
    # Loops of one process share gRPC's wake-up socket, and one may complain of the other.
    said_so = "kvstore: receipt: "
    lines = [line for line in text.splitlines() if line.startswith(said_so)]
    bare = (line.removeprefix(said_so) for line in lines)
    return [dict(part.split(" ") for part in line.split(", ")) for line in bare]


def test_every_write_has_one(kvstore: Command, background: Background) -> None:
    cluster = background.cluster
    number = cluster.partition_of(b"k")
    for arguments in WRITES:
        finished = kvstore(*arguments, "--receipt")
        (receipt,) = said(finished.err)
        assert finished.code == 0
        assert receipt["node"] == cluster.leader_of(b"k").name
        assert int(receipt["partition"]) == number
        assert int(receipt["revision"]) == cluster.partitions[number].revision
        assert receipt["level"] == "linearizable"
        as_json: dict[str, Any] = json.loads(
            kvstore(*arguments, "--receipt", "--output", "json").out
        )
        assert as_json["receipt"]["revision"] == cluster.partitions[number].revision
        assert as_json["receipt"]["token"]
        assert "receipt" not in kvstore(*arguments).err


def test_a_condition_that_does_not_hold_has_one_too(kvstore: Command) -> None:
    finished = kvstore("put", "k", "1", "--if-revision", "9", "--receipt")
    assert finished.code == 6
    assert "the condition does not hold" in finished.err
    (receipt,) = said(finished.err)
    assert receipt["revision"] == "0"


def test_a_table_has_no_column_for_it(kvstore: Command) -> None:
    finished = kvstore("put", "k", "1", "--receipt", "--output", "table")
    assert "receipt" not in finished.out.decode()
    assert len(said(finished.err)) == 1


@pytest.mark.parametrize("command_line", [("get",), ("scan",), ("scan", "--keys-only")])
def test_several_keys_and_scans_are_of_a_level_and_have_one_of_each_partition(
    kvstore: Command, background: Background, command_line: tuple[str, ...]
) -> None:
    keys = [f"key-{number}" for number in range(20)]
    written = [kvstore("put", key, "v", "--receipt") for key in keys]
    token = said(written[0].err)[-1]["token"]
    asked = (*command_line, *(keys if command_line == ("get",) else ()))
    for level, name in (
        ((), "linearizable"),
        (("--consistency", "session"), "session"),
        (("--token", token), "session"),
        (("--max-staleness", "5"), "stale"),
    ):
        finished = kvstore(*asked, *level, "--receipt")
        assert finished.code == 0
        assert len(finished.out.splitlines()) == 20
        receipts = said(finished.err)
        assert [each["partition"] for each in receipts] == ["0", "1", "2", "3"]
        assert {each["level"] for each in receipts} == {name}
        assert [("token" in each) for each in receipts] == [False, False, False, True]
        as_json = kvstore(*asked, *level, "--receipt", "--output", "json")
        assert len(as_json.out.splitlines()) == 20
        assert len(said(as_json.err)) == 4
    kinds = {
        kind for node in background.cluster.nodes.values() for c in node.calls for kind in c.kinds
    }
    scans = {kv_pb2.SECTION_KIND_SCAN_SESSION, kv_pb2.SECTION_KIND_SCAN_STALE}
    reads = {kv_pb2.SECTION_KIND_READ_SESSION, kv_pb2.SECTION_KIND_READ_STALE}
    assert kinds >= (reads if command_line == ("get",) else scans)
