"""backup and restore with real nodes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kvstore import AsyncClient, Client, LocalCluster
from kvstore.backup.writer import BackupWriter
from kvstore.cli.backup_jobs import header_of, take
from kvstore.cli.importer import Importer
from kvstore.errors import Unavailable
from tests.conftest import Command, Finished, one_sentence

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

VALUE_BYTES_MAX = 64 << 10


def only_object(finished: Finished) -> dict[str, Any]:
    assert finished.code == 0, finished.err
    (line,) = finished.out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.fixture(scope="module")
def other_cluster() -> Iterator[LocalCluster]:
    """One node, five partitions, small values."""
    settings = {"value_bytes_max": VALUE_BYTES_MAX}
    with LocalCluster(nodes=1, partitions=5, settings=settings) as running:
        yield running


@pytest.fixture
def empty(other_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """It holds no keys, before and after."""
    yield other_cluster
    with Client(other_cluster.endpoints) as kv:
        for key in list(kv.scan_keys()):
            kv.delete(key)


def data_of(cluster: LocalCluster) -> dict[bytes, bytes]:
    with Client(cluster.endpoints, timeout_s=20) as kv:
        return dict(kv.scan())


def at(cluster: LocalCluster) -> tuple[str, ...]:
    return ("--endpoints", cluster.endpoints, "--timeout", "20")


@pytest.fixture
def some_backup(command: Command, empty: LocalCluster, tmp_path: Path) -> Path:
    """Of 300 records that the other cluster held; it is empty again."""
    path = tmp_path / "some.backup"
    with Client(empty.endpoints, timeout_s=20) as kv:
        for number in range(300):
            kv.put(b"some/%03d\xff" % number, b"v" * number)
        assert command("backup", str(path), *at(empty)).code == 0
        for key in list(kv.scan_keys()):
            kv.delete(key)
    return path


async def back_up_and_kill(cluster: LocalCluster, path: Path, data: dict[bytes, bytes]) -> None:
    """Puts `data`, and backs up; kills the leader of the first partition as soon as some of that is
    there."""
    async with AsyncClient(cluster.endpoints, timeout_s=20) as kv:
        pairs = list(data.items())
        for first in range(0, len(pairs), 50):
            await asyncio.gather(*(kv.put(*pair) for pair in pairs[first : first + 50]))
        leader = (await kv.status()).partitions[0].leader
        assert leader is not None
        killed: list[str] = []
        broken: list[int] = []

        def kill_once(_partition: int, _records: int) -> None:
            if not killed:
                killed.append(leader)
                cluster.kill(leader)

        header = header_of(await kv.cluster_map(), written_by="0.1.0", taken_ms=0)
        with BackupWriter(path) as writer:
            footer = await take(
                kv, writer, header, kill_once, lambda partition, _: broken.append(partition)
            )
        assert broken == [0]
        assert footer.records == len(data)


def test_a_backup_goes_on_when_the_leader_is_killed_and_all_comes_back(
    command: Command, empty: LocalCluster, tmp_path: Path
) -> None:
    path = tmp_path / "a.backup"
    data = {b"k%04d" % number: os.urandom(60_000) for number in range(800)}
    with LocalCluster(nodes=3, partitions=2) as cluster:
        asyncio.run(back_up_and_kill(cluster, path, data))
    assert command("restore", "--check", str(path)).code == 0
    restored = only_object(
        command("restore", str(path), "--verify", "--output", "json", *at(empty))
    )
    assert (restored["records"], restored["put"], restored["verified"]) == (800, 800, True)
    assert data_of(empty) == data


def test_a_backup_says_what_is_in_it(
    at_cluster: Command, cluster: LocalCluster, tmp_path: Path
) -> None:
    with Client(cluster.endpoints, timeout_s=20) as kv:
        revision = kv.put("backup/key", "value")
        partition = kv.locate("backup/key").partition
    path = tmp_path / "a.backup"
    taken = only_object(at_cluster("backup", str(path), "--output", "json"))
    assert taken["file"] == str(path)
    assert [each["partition"] for each in taken["partitions"]] == list(range(16))
    assert taken["partitions"][partition]["revision"] >= revision
    assert taken["records"] == sum(each["records"] for each in taken["partitions"]) >= 1
    assert taken["bytes"] == path.stat().st_size
    checked = only_object(at_cluster("restore", "--check", str(path), "--output", "json"))
    assert {name: checked[name] for name in taken if name != "seconds"} == {
        name: value for name, value in taken.items() if name != "seconds"
    }
    small = tmp_path / "small.backup"
    line = at_cluster("backup", str(small), "--compress").out.decode()
    assert line.startswith(f"backed up {taken['records']} records, ")
    again = only_object(at_cluster("restore", "--check", str(small), "--output", "json"))
    assert again["contents_hash"] == checked["contents_hash"]


def test_an_existing_file_is_replaced_only_by_force(
    command: Command, empty: LocalCluster, tmp_path: Path
) -> None:
    path = tmp_path / "precious"
    path.write_bytes(b"precious")
    finished = command("backup", str(path), *at(empty))
    assert finished.code == 2
    assert f"{path} exists: choose another name, or give --force" in finished.err
    assert path.read_bytes() == b"precious"
    assert command("backup", str(path), "--force", *at(empty)).code == 0
    assert command("restore", "--check", str(path)).code == 0
    assert os.listdir(tmp_path) == ["precious"]


def has_connected(pid: int) -> bool:
    """Whether the process has all that it loads behind it, and talks to a node."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    connections = {f"socket:[{row[9]}]" for row in rows if row[3] == "01"}
    with suppress(FileNotFoundError):  # closed just now
        return any(os.readlink(each) in connections for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def test_ctrl_c_leaves_no_file_and_says_so(
    command: Command, empty: LocalCluster, tmp_path: Path
) -> None:
    path = tmp_path / "a.backup"
    node = next(iter(empty.addresses))
    empty.pause(node)
    try:
        line = (sys.executable, "-m", "kvstore", "backup", str(path), *at(empty))
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as running:
            partial = tmp_path / "a.backup.partial"
            while not (partial.exists() and has_connected(running.pid)):
                time.sleep(0.01)
                assert running.poll() is None
            running.send_signal(signal.SIGINT)
            _out, err = running.communicate(timeout=30)
    finally:
        empty.resume(node)
    assert running.returncode == 130
    assert err == f"kvstore: nothing was written to {path}\n"
    assert os.listdir(tmp_path) == []


def test_a_restore_brings_back_what_was_there(
    command: Command, empty: LocalCluster, some_backup: Path
) -> None:
    finished = command("restore", str(some_backup), *at(empty), "--verify")
    assert finished.code == 0, finished.err
    assert finished.out.startswith(b"restored 300 records in ")
    assert b"; read back, contents " in finished.out
    expected = {b"some/%03d\xff" % number: b"v" * number for number in range(300)}
    assert data_of(empty) == expected


def test_a_cluster_that_is_not_empty_is_left_as_it_is(
    command: Command, empty: LocalCluster, some_backup: Path
) -> None:
    with Client(empty.endpoints) as kv:
        kv.put("mine", "1")
    finished = command("restore", str(some_backup), *at(empty))
    assert finished.code == 5
    assert one_sentence(finished).startswith("the cluster is not empty: it has key mine;")
    finished = command("restore", str(some_backup), "--resume", *at(empty))
    assert finished.code == 5
    assert "the cluster has 1 keys, and 0 of them are in" in one_sentence(finished)
    assert data_of(empty) == {b"mine": b"1"}


def test_an_interrupted_restore_is_resumed(
    command: Command, empty: LocalCluster, some_backup: Path
) -> None:
    with Client(empty.endpoints) as kv:
        for number in range(100):
            kv.put(b"some/%03d\xff" % number, b"v" * number)
    assert command("restore", str(some_backup), *at(empty)).code == 5
    resumed = only_object(
        command("restore", str(some_backup), "--resume", "--verify", "--output", "json", *at(empty))
    )
    assert resumed["records"] == 300
    assert 200 <= resumed["put"] <= 300
    finished = command("restore", str(some_backup), "--resume", *at(empty))
    assert b"restored 0 records" in finished.out
    assert b"300 were there already" in finished.out


def test_a_bad_file_changes_nothing(
    command: Command, empty: LocalCluster, some_backup: Path
) -> None:
    bad = bytearray(some_backup.read_bytes())
    bad[-1000] ^= 1
    some_backup.write_bytes(bad)
    finished = command("restore", str(some_backup), *at(empty))
    assert finished.code == 2
    assert "it is damaged: use another copy or another backup" in one_sentence(finished)
    assert data_of(empty) == {}
    checked = command("restore", "--check", str(some_backup))
    assert checked.code == 1
    assert "it is damaged" in one_sentence(checked)


def test_a_value_that_the_cluster_does_not_take_is_named_before_anything_is_written(
    command: Command, at_cluster: Command, empty: LocalCluster, tmp_path: Path
) -> None:
    path = tmp_path / "large.backup"
    at_cluster("put", "backup/large", "x" * (VALUE_BYTES_MAX + 1))
    try:
        assert at_cluster("backup", str(path)).code == 0
    finally:
        at_cluster("delete", "backup/large")
    finished = command("restore", str(path), *at(empty))
    assert finished.code == 5
    limits = f"has {VALUE_BYTES_MAX + 1} bytes; the cluster's limit is {VALUE_BYTES_MAX}"
    assert f"the value of key backup/large {limits}" in one_sentence(finished)
    assert data_of(empty) == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("restore", "absent.backup"), "absent.backup: No such file or directory"),
        (("restore", "--check", "absent.backup"), "absent.backup: No such file or directory"),
        (("restore", "README.md"), "README.md is no backup that kvstore wrote"),
        (("restore", "--check", "README.md"), "README.md is no backup that kvstore wrote"),
        (("restore", "--check", "--resume", "a"), "--check writes nothing"),
        (("backup", "absent/a.backup"), "absent/a.backup.partial: No such file or directory"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    finished = command(*arguments)
    assert finished.code == 2
    assert sentence in one_sentence(finished)


def test_nobody_there_leaves_no_file(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "a.backup"
    finished = command("--endpoints", "127.0.0.1:1", "--timeout", "0.2", "backup", str(path))
    assert finished.code == 3
    assert f"nothing was written to {path}" in finished.err
    assert os.listdir(tmp_path) == []


def test_a_restore_that_ends_early_says_how_to_go_on(
    command: Command, empty: LocalCluster, some_backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def put_some(importer: Importer, client: AsyncClient) -> None:
        await client.put(b"some/000\xff", b"")
        importer.done += 1
        raise Unavailable("no majority")

    with monkeypatch.context() as patched:
        patched.setattr(Importer, "run", put_some)
        finished = command("restore", str(some_backup), *at(empty))
    assert finished.code == 3
    assert finished.err.splitlines() == [
        "kvstore: 1 records had been put when the restore ended: to go on, kvstore restore"
        f" --resume {some_backup}",
        "kvstore: no majority",
    ]
    assert command("restore", str(some_backup), "--resume", "--verify", *at(empty)).code == 0
