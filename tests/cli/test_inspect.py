"""inspect: the data directory of a stopped node, whole and damaged, and not a byte changed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cluster.ids import META_GROUP, GroupId, Index, NodeId, ReplicaId, Term
from cluster.raft import Configuration, encode_configuration
from cluster.raft.messages import Entry, EntryKind
from cluster.raft.ready import HardState
from kvstore.codec.command import OperationKind, encode_command
from kvstore.commitlog.commit_log import CommitLog, CommitLogOptions, Position, Record
from kvstore.commitlog.sync_mark import MARK_NAME
from kvstore.data_directory import LOG_FOLDER, DataDirectory
from kvstore.replica.log_records import (
    STICKY_KINDS,
    Bounds,
    RecordKind,
    encode_bounds,
    encode_entries,
    encode_hard_state,
)
from kvstore.storage.keys import Section, section_prefix
from kvstore.storage.position import encode_position
from kvstore.storage.rocks_engine import RocksEngine
from kvstore.system import ReadOnlyFileSystem, SystemFileSystem
from tests.conftest import Command, one_sentence

PARTITION = GroupId(4)
"""The group of partition 3."""
OPTIONS = CommitLogOptions(
    segment_bytes=1024, payload_bytes_max=4096, batch_bytes_max=16384, sticky_kinds=STICKY_KINDS
)


def put(index: int, term: int, *keys: str) -> Entry:
    names = [key.encode() for key in keys]
    data = encode_command(bytes([OperationKind.PUT] * len(keys)), names, [b"v" * 20 for _ in names])
    return Entry(Index(index), Term(term), EntryKind.NORMAL, data)


def entries(group: GroupId, *some: Entry) -> Record:
    return Record(group, RecordKind.ENTRIES, encode_entries(some))


def hard_state(group: GroupId, term: int, commit: int) -> Record:
    state = HardState(Term(term), ReplicaId(2), Index(commit))
    return Record(group, RecordKind.HARD_STATE, encode_hard_state(state))


def bounds(group: GroupId, index: int, term: int) -> Record:
    payload = encode_bounds(Bounds(Index(index), Term(term)))
    return Record(group, RecordKind.BOUNDS, payload)


def first(group: GroupId) -> Record:
    return entries(group, Entry(Index(1), Term(1), EntryKind.NORMAL, b""))


NONSENSE = b"\x09nonsense"
MEMBERS = encode_configuration(Configuration(frozenset(map(ReplicaId, (1, 2, 3)))))
BATCHES = [
    [hard_state(META_GROUP, 1, 0), hard_state(PARTITION, 1, 0)],
    [first(META_GROUP), first(PARTITION)],
    [entries(META_GROUP, Entry(Index(2), Term(1), EntryKind.NORMAL, b'{"map": 1}'))],
    [entries(PARTITION, put(2, 1, "lost", "too"), put(3, 1, "lost"), put(4, 1, "lost"))],
    # Another leader's entries replace those from 3 on.
    [hard_state(PARTITION, 3, 2), entries(PARTITION, put(3, 3, *"abcdef"))],
    [entries(PARTITION, Entry(Index(4), Term(3), EntryKind.MEMBERSHIP, MEMBERS))],
    [entries(PARTITION, put(5, 3, "k" * 100))],
    [entries(PARTITION, Entry(Index(6), Term(3), EntryKind.NORMAL, NONSENSE))],
]


def make(path: Path) -> list[list[Position]]:
    """A data directory as a node leaves it; returns where each batch stands."""
    files = SystemFileSystem()
    directory = DataDirectory.open(str(path), NodeId("n1"), files, os.getpid(), Random(1))
    directory.record_identity("c1", ReplicaId(2))
    log = CommitLog.open(files, directory.log_folder, OPTIONS, lambda record, position: None)
    positions = [log.append(batch) for batch in BATCHES]
    log.close()
    engine = RocksEngine(directory.engine_folder)
    batch = engine.new_batch()
    for group, applied in ((META_GROUP, 2), (PARTITION, 4)):
        batch.put(section_prefix(group, 0, Section.STATE), encode_position(applied, 0, 1))
    engine.write(batch)
    engine.flush()
    engine.close()
    directory.close()
    assert positions[-1][0].segment >= 2
    return positions


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[Position]]]:
    path = tmp_path_factory.mktemp("node") / "data"
    return path, make(path)


@pytest.fixture
def data(template: tuple[Path, list[list[Position]]], tmp_path: Path) -> Path:
    """A copy of the directory, of which nothing may be changed but by the test."""
    path = tmp_path / "data"
    shutil.copytree(template[0], path)
    return path


class Inspect:
    """Runs the command, and checks that it changes nothing."""

    def __init__(self, command: Command, path: Path) -> None:
        self._command = command
        self.path = path

    def __call__(self, *arguments: str, code: int = 0) -> str:
        before = state_of(self.path)
        finished = self._command("inspect", str(self.path), *arguments)
        assert state_of(self.path) == before
        assert finished.code == code, finished.err
        self.err = finished.err
        return finished.out.decode()

    def json(self, code: int = 0) -> dict[str, Any]:
        result = json.loads(self("--output", "json", code=code))
        assert isinstance(result, dict)
        return result


@pytest.fixture
def inspect(command: Command, data: Path) -> Inspect:
    return Inspect(command, data)


def state_of(path: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(each.relative_to(path)): (
            each.stat().st_mtime_ns,
            each.read_bytes() if each.is_file() else b"",
        )
        for each in sorted(path.rglob("*"))
    }


def segment(data: Path, number: int) -> Path:
    return data / "log" / f"{number:016x}.segment"


def damage(path: Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 0x10
    path.write_bytes(bytes(content))


def append(data: Path, *records: Record) -> None:
    """Goes on with the log as a node would."""
    log = CommitLog.open(
        SystemFileSystem(), str(data / "log"), OPTIONS, lambda record, position: None
    )
    log.append(records)
    log.close()


# Whole


def test_identity_formats_segments_and_groups_are_told(inspect: Inspect) -> None:
    lines = inspect().splitlines()
    assert lines[0] == f"{inspect.path}: node n1, replica 2 of cluster c1, format 2"
    assert lines[1] == "commit log format 1: 2 segments, 0 spare, 0.0 MiB"
    assert lines[2].startswith("segment 0000000000000001.segment whole size=1024 used=")
    assert "batches=1-" in lines[2]
    assert lines[4:] == [
        "group meta term=1 vote=2 commit=0 first=1 last=2 applied=2 records=4",
        "group 3 term=3 vote=2 commit=2 first=1 last=6 applied=4 records=9",
    ]


def test_json_has_all_of_it(inspect: Inspect) -> None:
    found = inspect.json()
    assert found["node"] == "n1"
    assert (found["cluster_id"], found["replica_id"]) == ("c1", 2)
    assert (found["format"], found["log"]["format"]) == (2, 1)
    assert found["damaged"] is False
    assert (found["findings"], found["notes"]) == ([], [])
    assert [each["state"] for each in found["log"]["segments"]] == ["whole", "whole"]
    assert found["log"]["bytes"] == 2048
    assert found["groups"][1] == {
        "group": "3",
        "term": 3,
        "vote": 2,
        "commit_index": 2,
        "first_index": 1,
        "last_index": 6,
        "applied_index": 4,
        "records": 9,
        "other_records": {},
    }


def test_a_compacted_log_begins_after_its_bounds(inspect: Inspect) -> None:
    append(
        inspect.path, Record(PARTITION, RecordKind.BOUNDS, encode_bounds(Bounds(Index(4), Term(3))))
    )
    assert inspect().splitlines()[-1].startswith("group 3 term=3 vote=2 commit=2 first=5 last=6")
    rows = [line.split("\t") for line in inspect("--entries", "3").splitlines()]
    assert [int(row[0]) for row in rows] == [5, 6]


def test_a_log_that_was_compacted_whole_has_no_entries(inspect: Inspect) -> None:
    append(
        inspect.path,
        bounds(PARTITION, 6, 3),
        bounds(META_GROUP, 2, 1),
    )
    found = inspect.json()
    assert [each["first_index"] for each in found["groups"]] == [None, None]
    assert found["damaged"] is False


def test_a_log_that_begins_above_its_bounds_is_damaged(inspect: Inspect) -> None:
    append(inspect.path, entries(GroupId(9), put(5, 3, "k")))
    found = inspect.json(code=1)
    assert "entries 1 to 4 of group 9 are missing" in str(found["findings"])


def test_a_table_has_the_same_cells(inspect: Inspect) -> None:
    text = inspect("--output", "table")
    assert "0000000000000002.segment" in text
    assert "applied" in text


def test_entries_are_those_that_a_start_would_find(inspect: Inspect) -> None:
    rows = [line.split("\t") for line in inspect("--entries", "3").splitlines()]
    assert [(int(row[0]), int(row[1]), row[2]) for row in rows] == [
        (1, 1, "normal"),
        (2, 1, "normal"),
        (3, 3, "normal"),
        (4, 3, "membership"),
        (5, 3, "normal"),
        (6, 3, "normal"),
    ]
    assert [row[4] for row in rows] == [
        "a new leader's first entry",
        "put lost (20 bytes), put too (20 bytes)",
        "put a (20 bytes), put b (20 bytes), put c (20 bytes), put d (20 bytes) and 2 more",
        "voters 1 2 3",
        f"put {'k' * 60}… (20 bytes)",
        f"no command that is known here: {NONSENSE.hex()}",
    ]
    assert int(rows[2][3]) == len(put(3, 3, *"abcdef").data)


def test_entries_of_the_meta_group_are_shown_as_they_are(inspect: Inspect) -> None:
    assert inspect("--entries", "meta").splitlines()[1].endswith('\t10\t{"map": 1}')


def test_entries_as_json_are_one_object_a_line(inspect: Inspect) -> None:
    found = [
        json.loads(line) for line in inspect("--entries", "3", "--output", "json").splitlines()
    ]
    assert found[2]["operation_count"] == 6
    assert found[2]["operations"][0] == {
        "operation": "put",
        "key": "a",
        "key_bytes": 1,
        "argument_bytes": 20,
    }
    assert found[4]["operations"][0]["key_bytes"] == 100
    assert found[3]["what"] == "voters 1 2 3"


def test_entries_as_a_table(inspect: Inspect) -> None:
    assert "membership" in inspect("--entries", "3", "--output", "table")


def test_a_group_without_entries_is_exit_code_1(inspect: Inspect) -> None:
    assert inspect("--entries", "9", code=1) == ""
    assert "no entries of group 9" in inspect.err


# Refused


def test_a_directory_in_use_is_refused_in_one_sentence(command: Command, data: Path) -> None:
    directory = DataDirectory.open(str(data), NodeId("n1"), SystemFileSystem(), 4711, Random(1))
    finished = command("inspect", str(data))
    assert one_sentence(finished) == f"a node runs on {data} (process 4711): stop it first"
    assert finished.code == 2
    directory.close()
    assert command("inspect", str(data)).code == 0


def test_a_node_can_start_after_a_look_at_its_directory(inspect: Inspect) -> None:
    inspect()
    DataDirectory.open(str(inspect.path), NodeId("n1"), SystemFileSystem(), 1, Random(1)).close()


@pytest.mark.parametrize("name", ["", "absent", "file"])
def test_what_is_no_data_directory_is_refused(command: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("text")
    finished = command("inspect", str(tmp_path / name))
    assert "is no data directory" in one_sentence(finished)
    assert finished.code == 2
    assert sorted(os.listdir(tmp_path)) == ["file"]


@pytest.mark.parametrize("group", ["", "x", "-1", "1.5", "²"])
def test_what_is_no_group_is_refused(command: Command, data: Path, group: str) -> None:
    finished = command("inspect", str(data), f"--entries={group}")
    assert "neither a partition's number nor meta" in one_sentence(finished)
    assert finished.code == 2


def test_a_newer_format_is_refused(command: Command, data: Path) -> None:
    identity = json.loads((data / "IDENTITY").read_text()) | {"format": 3}
    del identity["crc32c"]
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    import google_crc32c

    identity["crc32c"] = f"{google_crc32c.value(canonical.encode()):08x}"
    (data / "IDENTITY").write_text(json.dumps(identity))
    finished = command("inspect", str(data))
    assert "has format 3, and this release knows only 2" in one_sentence(finished)
    assert finished.code == 2


# Damage


def test_a_torn_end_is_told_and_left(
    inspect: Inspect, template: tuple[Path, list[list[Position]]]
) -> None:
    last = template[1][-1][-1]
    damage(segment(inspect.path, last.segment), last.offset + 33)
    (inspect.path / LOG_FOLDER / MARK_NAME).unlink()
    finding = inspect.json()["findings"][0]
    assert (finding["damage"], finding["byte"]) == (False, last.offset)
    assert "never acknowledged" in finding["problem"]
    text = inspect()
    assert f"torn {segment(inspect.path, last.segment)}, byte {last.offset}: " in text
    assert "Harmless" in text


def test_an_end_that_had_been_on_stable_storage_is_damage(
    inspect: Inspect, template: tuple[Path, list[list[Position]]]
) -> None:
    last = template[1][-1][-1]
    damage(segment(inspect.path, last.segment), last.offset + 33)
    finding = inspect.json(code=1)["findings"][0]
    assert (finding["damage"], finding["byte"]) == (True, last.offset)
    assert "as the file synced shows" in finding["problem"]


def test_damage_is_told_with_file_and_byte_and_exit_code_1(
    inspect: Inspect, template: tuple[Path, list[list[Position]]]
) -> None:
    place = template[1][1][1]
    damage(segment(inspect.path, place.segment), place.offset + 34)
    (finding, *_) = inspect.json(code=1)["findings"]
    assert finding["damage"] is True
    assert finding["file"] == str(segment(inspect.path, place.segment))
    assert finding["byte"] == place.offset
    text = inspect(code=1)
    assert f"damaged {finding['file']}, byte {place.offset}: " in text
    assert "rebuilt from their peers" in text
    inspect("--entries", "3", code=1)
    assert "damage was found" in inspect.err


def test_a_missing_segment_is_damage(inspect: Inspect) -> None:
    segment(inspect.path, 2).unlink()
    findings = inspect.json(code=1)["findings"]
    assert findings[0]["file"] == str(segment(inspect.path, 2))
    assert "missing" in findings[0]["problem"]


def test_a_lost_log_is_damage(inspect: Inspect) -> None:
    shutil.rmtree(inspect.path / "log")
    assert "the commit log is gone" in inspect.json(code=1)["findings"][0]["problem"]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff"])
def test_a_damaged_or_missing_identity_is_damage_and_the_rest_is_shown(
    inspect: Inspect, content: bytes | None
) -> None:
    path = inspect.path / "IDENTITY"
    path.unlink() if content is None else path.write_bytes(content)
    found = inspect.json(code=1)
    assert found["findings"][0]["file"] == str(path)
    assert found["node"] is None
    assert len(found["groups"]) == 2
    assert "whose data this is cannot be told" in inspect(code=1)


def test_state_ahead_of_its_log_is_damage(inspect: Inspect) -> None:
    engine = RocksEngine(str(inspect.path / "engine"))
    batch = engine.new_batch()
    batch.put(section_prefix(PARTITION, 0, Section.STATE), encode_position(7, 0, 1))
    engine.write(batch)
    engine.flush()
    engine.close()
    assert "applied 7 entries" in inspect.json(code=1)["findings"][0]["problem"]


def test_a_damaged_engine_is_damage_and_the_log_is_shown(inspect: Inspect) -> None:
    for table in (inspect.path / "engine").glob("*.sst"):
        table.write_bytes(b"\0" * table.stat().st_size)
    found = inspect.json(code=1)
    assert str(inspect.path / "engine") in found["findings"][0]["problem"]
    assert found["groups"][0]["last_index"] == 2


def test_data_that_are_given_up_are_shown_with_the_reason(inspect: Inspect) -> None:
    path = str(inspect.path)
    directory = DataDirectory.open(path, NodeId("n1"), SystemFileSystem(), 1, Random(1))
    directory.mark_damaged("a checksum is wrong")
    directory.close()
    notes = inspect.json(code=0)["notes"]
    assert "marked as damaged, and not used any more: a checksum is wrong" in notes


def test_a_node_that_has_not_come_far_is_no_damage(command: Command, tmp_path: Path) -> None:
    DataDirectory.open(str(tmp_path / "d"), NodeId("n1"), SystemFileSystem(), 1, Random(1)).close()
    finished = command("inspect", str(tmp_path / "d"))
    assert finished.code == 0
    assert b"not yet a member of a cluster" in finished.out
    assert b"note: there is no commit log yet" in finished.out
    assert b"note: there is no engine yet" in finished.out


# The file system it uses


def test_a_read_only_file_system_changes_nothing_whatever_is_asked(data: Path) -> None:
    files = ReadOnlyFileSystem()
    path = str(data / "IDENTITY")
    before = state_of(data)
    for attempt in (
        lambda: files.open(str(data / "new"), create=True),
        lambda: files.open(path).pwritev((b"x",), 0),
        lambda: files.open(path).truncate(0),
        lambda: files.make_folder(str(data / "new")),
        lambda: files.rename(path, str(data / "new")),
        lambda: files.remove(path),
        lambda: files.remove_folder(str(data / "log")),
        lambda: files.sync_folder(str(data)),
        lambda: files.lock(str(data / "LOCK"), b"1"),
    ):
        with pytest.raises(OSError, match=r"Read-only|Bad file descriptor|Invalid argument"):
            attempt()
    assert state_of(data) == before
    assert not files.is_locked(str(data / "absent"))
