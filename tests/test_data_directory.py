"""The data directory: one process, one node, one cluster."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from cluster.ids import NodeId, ReplicaId
from kvstore.ballast import BALLAST_NAME
from kvstore.data_directory import DataDirectory
from kvstore.errors import ConfigurationError
from kvstore.identity import Identity, decode_identity, encode_identity
from kvstore.sealed_file import checksum
from kvstore.simulation.disk import MemoryFileSystem
from kvstore.system import SystemFileSystem

N1 = NodeId("n1")
PATH = "/data/n1"
IDENTITY = f"{PATH}/IDENTITY"


def opened(files: MemoryFileSystem, node_id: NodeId = N1) -> DataDirectory:
    return DataDirectory.open(PATH, node_id, files, os.getpid(), Random(1))


NEW = Identity(N1, life=17)


def made(identity: Identity = NEW) -> MemoryFileSystem:
    """A data directory that no process uses."""
    files = MemoryFileSystem()
    files.make_folder(PATH)
    files.put(IDENTITY, encode_identity(identity))
    return files


def snapshot(files: MemoryFileSystem) -> dict[str, bytes]:
    if not files.exists(PATH):
        return {}
    return {
        name: files.contents(f"{PATH}/{name}")
        for name in files.list(PATH)
        if name not in ("log", "engine")
    }


def refused(files: MemoryFileSystem, error: str, node_id: NodeId = N1) -> None:
    """Opening fails with `error`, in one sentence, and changes nothing."""
    before = snapshot(files)
    with pytest.raises(ConfigurationError, match=error) as failure:
        opened(files, node_id)
    assert snapshot(files) == before
    assert "\n" not in str(failure.value)
    assert ": " in str(failure.value), "a reason, and what to do"


def test_a_new_directory_is_made_and_knows_only_its_node() -> None:
    files = MemoryFileSystem()
    directory = opened(files)
    assert (directory.node_id, directory.cluster_id, directory.replica_id) == (N1, None, None)
    assert (directory.log_folder, directory.engine_folder) == (f"{PATH}/log", f"{PATH}/engine")
    assert files.list(PATH) == ["IDENTITY", "LOCK"]
    assert files.contents(f"{PATH}/LOCK") == b"%d\n" % os.getpid()


def test_what_is_recorded_is_known_at_the_next_start_and_after_a_crash() -> None:
    files = MemoryFileSystem()
    directory = opened(files)
    directory.record_identity("c1", ReplicaId(7))
    assert (directory.cluster_id, directory.replica_id) == ("c1", 7)
    files.crash()
    directory = opened(files)
    assert (directory.node_id, directory.cluster_id, directory.replica_id) == (N1, "c1", 7)


def test_the_identity_is_recorded_once() -> None:
    files = MemoryFileSystem()
    directory = opened(files)
    directory.record_identity("c1", ReplicaId(7))
    before = files.operations
    directory.record_identity("c1", ReplicaId(7))
    assert files.operations == before
    for cluster_id, replica_id in (("c2", 7), ("c1", 8)):
        with pytest.raises(ConfigurationError, match="is of replica 7 in cluster c1, not of"):
            directory.record_identity(cluster_id, ReplicaId(replica_id))
    assert (directory.cluster_id, directory.replica_id) == ("c1", 7)


def test_the_documented_identity_is_what_is_written() -> None:
    identity = Identity(N1, "c1", ReplicaId(7), 12345, {ReplicaId(7): "10.0.0.1:7001"})
    assert encode_identity(identity).decode() == (
        "{\n"
        '  "format": 2,\n'
        '  "node_id": "n1",\n'
        '  "life": 12345,\n'
        '  "cluster_id": "c1",\n'
        '  "replica_id": 7,\n'
        '  "members": {\n'
        '    "7": "10.0.0.1:7001"\n'
        "  },\n"
        '  "crc32c": "ca84d9f5"\n'
        "}\n"
    )
    assert decode_identity(encode_identity(identity)) == identity


def test_rebuilds_in_a_row_are_counted_until_they_are_forgotten() -> None:
    files, directory = used()
    for number in range(1, 4):
        directory.mark_damaged("a checksum is wrong")
        directory.begin_life("c1", ReplicaId(7 + number), MEMBERS)
        directory.close()
        directory = opened(files)
        assert directory.rebuilds == number
    assert b'"rebuilds": 3' in files.contents(IDENTITY)
    directory.forget_rebuilds()
    files.crash()
    directory = opened(files)
    assert (directory.rebuilds, directory.replica_id) == (0, 10)
    assert b"rebuilds" not in files.contents(IDENTITY)


FORMAT_1 = b"""{
  "format": 1,
  "node_id": "n1",
  "cluster_id": "c1",
  "replica_id": 7,
  "crc32c": "1103a27d"
}
"""


def test_a_directory_of_format_1_is_given_a_life() -> None:
    files = MemoryFileSystem()
    files.make_folder(PATH)
    files.put(IDENTITY, FORMAT_1)
    directory = opened(files)
    assert (directory.cluster_id, directory.replica_id, directory.members) == ("c1", 7, None)
    assert directory.life
    files.crash()
    assert opened(files).life == directory.life


# Lives


def test_each_directory_has_a_life_of_its_own_for_as_long_as_it_is_there() -> None:
    first, second = MemoryFileSystem(), MemoryFileSystem()
    lives = {
        DataDirectory.open(PATH, N1, files, 1, random).life
        for files, random in ((first, Random(1)), (second, Random(2)))
    }
    assert len(lives) == 2
    first.crash()
    assert opened(first).life in lives


MEMBERS = {ReplicaId(1): "a:1", ReplicaId(9): "b:1"}


def test_one_that_joins_keeps_its_life_and_knows_the_others() -> None:
    files = MemoryFileSystem()
    directory = opened(files)
    life = directory.life
    directory.begin_life("c1", ReplicaId(9), MEMBERS)
    files.crash()
    directory = opened(files)
    assert (directory.cluster_id, directory.replica_id, directory.life) == ("c1", 9, life)
    assert directory.members == MEMBERS


def used() -> tuple[MemoryFileSystem, DataDirectory]:
    """A directory with data."""
    files = MemoryFileSystem()
    directory = opened(files)
    directory.record_identity("c1", ReplicaId(7))
    for folder in ("log", "engine"):
        files.make_folder(f"{PATH}/{folder}")
        files.put(f"{PATH}/{folder}/file", folder.encode())
    return files, directory


def test_damage_is_remembered_with_the_life_that_will_follow() -> None:
    files, directory = used()
    assert directory.damage is None
    damage = directory.mark_damaged("a checksum is wrong")
    assert damage.next_life not in (0, directory.life)
    assert directory.mark_damaged("another one, too") == damage
    files.crash()
    directory = opened(files)
    assert directory.damage == damage
    assert (directory.cluster_id, directory.replica_id) == ("c1", 7)
    assert files.contents(f"{PATH}/log/file") == b"log", "nothing is touched yet"


def test_damaged_data_are_set_aside_when_the_new_life_begins() -> None:
    files, directory = used()
    damage = directory.mark_damaged("a checksum is wrong")
    directory.begin_life("c1", ReplicaId(9), MEMBERS)
    files.crash()
    directory = opened(files)
    assert directory.damage is None
    assert (directory.replica_id, directory.life) == (9, damage.next_life)
    assert not files.exists(f"{PATH}/log")
    assert not files.exists(f"{PATH}/engine")
    for folder in ("log", "engine"):
        assert files.contents(f"{PATH}/set-aside/{folder}/file") == folder.encode()


def test_only_the_last_life_is_kept_aside() -> None:
    files, directory = used()
    directory.mark_damaged("the first")
    directory.begin_life("c1", ReplicaId(9), MEMBERS)
    files.make_folder(f"{PATH}/log")
    files.put(f"{PATH}/log/other", b"second")
    directory.mark_damaged("the second")
    directory.begin_life("c1", ReplicaId(10), MEMBERS)
    assert files.list(f"{PATH}/set-aside/log") == ["other"]


def test_the_power_may_go_at_every_operation_of_a_new_life() -> None:
    for seed in range(3):
        for point in range(100):
            files, directory = used()
            damage = directory.mark_damaged("a checksum is wrong")
            files.fail_all_after(point)
            try:
                directory.begin_life("c1", ReplicaId(9), MEMBERS)
                ended = True
            except ConfigurationError:
                ended = False
            files.crash(Random(seed * 1000 + point))
            directory = opened(files)
            if directory.damage is not None:
                assert not ended
                assert (directory.damage, directory.replica_id) == (damage, 7)
                directory.begin_life("c1", ReplicaId(9), MEMBERS)
            assert (directory.replica_id, directory.life) == (9, damage.next_life)
            assert not files.exists(f"{PATH}/log"), "what is damaged is never taken up again"
            assert files.contents(f"{PATH}/set-aside/log/file") == b"log"
            assert files.contents(f"{PATH}/set-aside/engine/file") == b"engine"
            if ended:
                break
        else:
            pytest.fail("it never ended")


def test_a_mark_that_is_damaged_itself_is_not_guessed_at() -> None:
    files, directory = used()
    directory.mark_damaged("a checksum is wrong")
    content = files.contents(f"{PATH}/DAMAGED")
    directory.close()
    files.replace(f"{PATH}/DAMAGED", content.replace(b"checksum", b"checkzum"))
    refused(files, "DAMAGED, which says that this node's data are damaged, is itself .*: remove")


def test_a_directory_in_use_names_the_process_that_uses_it() -> None:
    files = MemoryFileSystem()
    directory = opened(files)
    refused(files, f"in use by process {os.getpid()}: stop")
    directory.close()
    directory.close()
    opened(files).close()


def test_a_directory_in_use_says_so_even_before_its_process_wrote_its_id() -> None:
    files = made()
    files.lock(f"{PATH}/LOCK", b"")
    refused(files, r"in use by process \(unknown\)")


def test_a_directory_of_another_node_is_refused() -> None:
    refused(made(), "is of node 'n1', not of node 'n2': give each", NodeId("n2"))


def test_a_directory_of_a_newer_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("kvstore.identity.FORMAT", 3)
        files = made()
    refused(files, "has format 3, and this release knows only 2: start")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 60_000, bytes(200)],
)
def test_bytes_that_are_no_identity_are_refused(content: bytes) -> None:
    files = made()
    files.replace(IDENTITY, content)
    refused(files, "IDENTITY is damaged .*: restore it")


def test_an_identity_without_a_field_is_damaged() -> None:
    fields: dict[str, object] = {"format": 1, "node_id": "n1", "cluster_id": None}
    files = made()
    files.replace(IDENTITY, json.dumps({**fields, "crc32c": checksum(fields)}).encode())
    refused(files, "damaged \\(it has no 'replica_id'\\)")


def test_no_flipped_bit_changes_an_identity() -> None:
    """Each is noticed, or changes only what carries no meaning, such as a space."""
    files = made(Identity(N1, "c1", ReplicaId(7)))
    whole = files.contents(IDENTITY)
    noticed = 0
    for bit in range(8 * len(whole)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        files.replace(IDENTITY, bytes(content))
        try:
            directory = opened(files)
        except ConfigurationError:
            noticed += 1
            continue
        assert (directory.cluster_id, directory.replica_id) == ("c1", 7)
        directory.close()
    assert noticed > 8 * len(whole.replace(b" ", b"").replace(b"\n", b"")) * 0.95


def test_a_folder_with_other_things_in_it_is_refused() -> None:
    files = MemoryFileSystem()
    files.make_folder(PATH)
    files.put(f"{PATH}/thesis.tex", b"x")
    refused(files, r"not a kvstore data directory and not empty \(it has 'thesis.tex'\): name")


def lost(content: bytes | None) -> tuple[MemoryFileSystem, DataDirectory]:
    """A directory with data, whose identity is gone or has other bytes; and what a start makes of
    it."""
    files, directory = used()
    directory.close()
    if content is None:
        files.remove(IDENTITY)
        files.sync_folder(PATH)
    else:
        files.replace(IDENTITY, content)
    return files, opened(files)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "IDENTITY is gone"), (b"", "is damaged: it is not JSON"), (bytes(99), "not JSON")],
)
def test_data_that_lost_their_identity_are_damaged(content: bytes | None, reason: str) -> None:
    """Nobody can say which life's they are, so a new one has to take its place."""
    files, directory = lost(content)
    damage = directory.damage
    assert damage is not None
    assert reason in damage.reason
    assert (directory.node_id, directory.life) == (N1, 0)
    assert (directory.cluster_id, directory.replica_id) == (None, None)
    files.crash()
    again = opened(files)
    assert again.damage == damage, "the life to come is the one that was asked for"
    assert files.contents(f"{PATH}/log/file") == b"log", "nothing is touched yet"
    again.begin_life("c1", ReplicaId(9), MEMBERS)
    files.crash()
    again = opened(files)
    assert again.damage is None
    assert (again.replica_id, again.life) == (9, damage.next_life)
    assert files.contents(f"{PATH}/set-aside/log/file") == b"log"


def test_the_power_may_go_at_every_operation_after_an_identity_was_lost() -> None:
    for point in range(100):
        files, directory = lost(b"{")
        damage = directory.damage
        assert damage is not None
        files.fail_all_after(point)
        try:
            directory.begin_life("c1", ReplicaId(9), MEMBERS)
            ended = True
        except ConfigurationError:
            ended = False
        files.crash(Random(point))
        directory = opened(files)
        if directory.damage is not None:
            assert not ended
            assert directory.damage == damage
            directory.begin_life("c1", ReplicaId(9), MEMBERS)
        assert (directory.replica_id, directory.life) == (9, damage.next_life)
        assert files.contents(f"{PATH}/set-aside/engine/file") == b"engine"
        if ended:
            return
    pytest.fail("it never ended")


def test_what_looks_like_a_data_directory_and_has_other_things_in_it_is_refused() -> None:
    """The database of somebody else may have an IDENTITY and a log, too."""
    files, directory = used()
    directory.close()
    files.replace(IDENTITY, b"5a0d2f0e-9d8e")
    files.put(f"{PATH}/CURRENT", b"x")
    refused(files, "IDENTITY is damaged .*: restore it")
    files.remove(IDENTITY)
    refused(files, "it has 'CURRENT'")


def test_an_empty_file_system_of_its_own_is_a_fine_place() -> None:
    files = MemoryFileSystem()
    files.make_folder(f"{PATH}/lost+found")
    opened(files).close()


@pytest.mark.parametrize("operation", ["make_folder", "create", "write", "sync", "rename"])
@pytest.mark.parametrize("error", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO])
def test_what_the_system_refuses_is_a_configuration_error(operation: str, error: int) -> None:
    files = MemoryFileSystem()
    # That there is no room for the process id in the lock file stops nobody: it is for people.
    is_of_lock = (operation, error) == ("write", errno.ENOSPC)
    files.fail(operation, error, after=1 if is_of_lock else 0)
    what = "make room on its disk" if error == errno.ENOSPC else "make it a directory that"
    with pytest.raises(ConfigurationError, match=rf"cannot be used .*: {what}"):
        opened(files)
    opened(files).close()


def test_a_mark_of_damage_takes_the_room_of_the_ballast_where_there_is_no_other() -> None:
    files = made()
    files.put(f"{PATH}/{BALLAST_NAME}", bytes(100))
    directory = opened(files)
    files.fail("write", errno.ENOSPC)
    directory.mark_damaged("a table is damaged")
    assert not files.exists(f"{PATH}/{BALLAST_NAME}")
    directory.close()
    again = opened(files)
    assert again.damage is not None
    assert again.damage.reason == "a table is damaged"


def test_a_mark_of_damage_that_finds_no_room_at_all_asks_for_some() -> None:
    files = made()
    directory = opened(files)
    files.fail("write", errno.ENOSPC)
    files.fail("write", errno.ENOSPC)
    with pytest.raises(ConfigurationError, match="make room on its disk and start again"):
        directory.mark_damaged("a table is damaged")
    assert directory.damage is None


def test_an_identity_that_may_not_be_read_is_a_configuration_error() -> None:
    files = made()
    files.fail("read", errno.EACCES)
    refused(files, "cannot be used .*IDENTITY: Permission denied.*: make it")


def test_an_identity_that_cannot_be_written_stays_as_it_was() -> None:
    files = MemoryFileSystem()
    directory = opened(files)
    files.fail("sync")
    with pytest.raises(ConfigurationError, match=r"cannot be used"):
        directory.record_identity("c1", ReplicaId(7))
    assert directory.cluster_id is None
    directory.record_identity("c1", ReplicaId(7))
    files.crash()
    assert opened(files).cluster_id == "c1"


def test_the_power_may_go_at_every_operation_of_a_first_start() -> None:
    for seed in range(3):
        for point in range(100):
            files = MemoryFileSystem()
            files.fail_all_after(point)
            recorded = False
            try:
                opened(files).record_identity("c1", ReplicaId(7))
                recorded = True
            except ConfigurationError:
                pass
            files.crash(Random(seed * 1000 + point))
            directory = opened(files)
            assert (directory.cluster_id, directory.replica_id) in (("c1", 7), (None, None))
            if recorded:
                assert directory.cluster_id == "c1"
                break
            directory.record_identity("c1", ReplicaId(7))
        else:
            pytest.fail("the start never ended")
        assert point > 10


def test_an_identity_seen_after_the_process_died_stays_after_a_crash() -> None:
    """Renamed, and the process died before the folder was synced."""
    files = MemoryFileSystem()
    directory = opened(files)
    files.fail("sync_folder")
    with pytest.raises(ConfigurationError):
        directory.record_identity("c1", ReplicaId(7))
    files.restart()
    assert opened(files).cluster_id == "c1"
    files.crash()
    assert opened(files).cluster_id == "c1"


# On the real file system

HOLD = """
import os, sys
from random import Random
from kvstore.data_directory import DataDirectory
from kvstore.system import SystemFileSystem
directory = DataDirectory.open(sys.argv[1], "n1", SystemFileSystem(), os.getpid(), Random(1))
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_keeps_the_directory_until_it_dies(tmp_path: Path) -> None:
    path = str(tmp_path / "n1")
    command = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigurationError, match=f"in use by process {holder.pid}: stop"):
            DataDirectory.open(path, N1, SystemFileSystem(), os.getpid(), Random(1))
        holder.kill()
        holder.wait(10)
        DataDirectory.open(path, N1, SystemFileSystem(), os.getpid(), Random(1)).close()


def test_a_path_to_or_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigurationError, match=r"cannot be used .*Not a directory"):
            DataDirectory.open(str(path), N1, SystemFileSystem(), os.getpid(), Random(1))
    assert (tmp_path / "file").read_text() == "x"
