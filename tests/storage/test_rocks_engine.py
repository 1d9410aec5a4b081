"""What RocksDB has beyond the shared suite: files, damage, locks, and crashes of the process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from cluster.ids import GroupId
from kvstore.codec.command import OperationKind, encode_command
from kvstore.errors import ConfigurationError, CorruptionError, ResourceExhausted
from kvstore.storage import rocks_engine
from kvstore.storage.heads import HeadCache
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.rocks_engine import BLOCK_CACHE_BYTES, MEMTABLE_BYTES, RocksEngine
from tests.storage.commands import apply_commands
from tests.storage.test_engine import HUGE, everything, put_all

PAIRS = {b"key-%06d" % number: os.urandom(100) for number in range(2000)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine that was filled, flushed and closed."""
    path = tmp_path / "engine"
    engine = RocksEngine(str(path))
    put_all(engine, PAIRS)
    engine.flush()
    engine.close()
    return path


def the_file(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def flip_byte(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def test_what_was_flushed_is_there_after_reopening(folder: Path) -> None:
    engine = RocksEngine(str(folder))
    assert everything(engine) == PAIRS
    engine.close()


def test_missing_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet"
    RocksEngine(str(path)).close()
    assert path.is_dir()


@pytest.mark.parametrize(
    "option",
    [
        f"Options.write_buffer_size: {MEMTABLE_BYTES}",
        f"capacity : {BLOCK_CACHE_BYTES}",
        "filter_policy: bloomfilter",
        "cache_index_and_filter_blocks: 1",
        "Options.paranoid_checks: 1",
        "Options.keep_log_file_num: 4",
        "Options.max_open_files: 1000",
    ],
)
def test_options_hold_when_the_engine_is_opened_again(folder: Path, option: str) -> None:
    RocksEngine(str(folder)).close()
    log = (folder / "LOG").read_text()
    assert option in log


def test_rocksdb_writes_no_log_of_its_own(folder: Path) -> None:
    assert the_file(folder, "*.log").stat().st_size == 0


def test_a_folder_in_use_is_refused(folder: Path) -> None:
    engine = RocksEngine(str(folder))
    with pytest.raises(ConfigurationError, match="in use"):
        RocksEngine(str(folder))
    engine.close()
    RocksEngine(str(folder)).close()


def test_a_folder_in_use_by_another_process_is_refused(folder: Path) -> None:
    code = (
        "import sys\n"
        "from kvstore.storage.rocks_engine import RocksEngine\n"
        "engine = RocksEngine(sys.argv[1])\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(ConfigurationError, match="in use"):
            RocksEngine(str(folder))
        holder.communicate()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    path.write_text("not a folder")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        RocksEngine(str(path))


def test_an_engine_with_parts_that_this_version_does_not_know_is_refused(folder: Path) -> None:
    options = Options(raw_mode=True)
    newer = Rdict(str(folder), options, {"default": options})
    newer.create_column_family("newer", options)
    newer.close()
    with pytest.raises(ConfigurationError, match="another version"):
        RocksEngine(str(folder))


def lose_current(folder: Path) -> None:
    (folder / "CURRENT").unlink()


def spoil_current(folder: Path) -> None:
    (folder / "CURRENT").write_text("?")


def spoil_manifest(folder: Path) -> None:
    flip_byte(the_file(folder, "MANIFEST-*"), 30)


def cut_table(folder: Path) -> None:
    os.truncate(the_file(folder, "*.sst"), 100)


def lose_table(folder: Path) -> None:
    the_file(folder, "*.sst").unlink()


def spoil_footer(folder: Path) -> None:
    path = the_file(folder, "*.sst")
    flip_byte(path, path.stat().st_size - 30)


@pytest.mark.parametrize(
    "damage",
    [lose_current, spoil_current, spoil_manifest, cut_table, lose_table, spoil_footer],
)
def test_damaged_files_are_corruption_when_opened(folder: Path, damage: object) -> None:
    assert callable(damage)
    damage(folder)
    with pytest.raises(CorruptionError, match="rebuilt from its peers"):
        RocksEngine(str(folder))


@pytest.fixture
def damaged(folder: Path) -> Iterator[RocksEngine]:
    """An engine with one damaged block among many, far from the first."""
    path = the_file(folder, "*.sst")
    flip_byte(path, path.stat().st_size // 2)
    engine = RocksEngine(str(folder))
    yield engine
    engine.close()


def test_a_damaged_block_is_corruption_when_its_keys_are_read(damaged: RocksEngine) -> None:
    with pytest.raises(CorruptionError, match="damaged"):
        damaged.get_many(list(PAIRS))


@pytest.mark.parametrize("keys_only", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_damaged_block_is_corruption_and_not_the_end_of_a_scan(
    damaged: RocksEngine, keys_only: bool, reverse: bool
) -> None:
    with pytest.raises(CorruptionError, match="damaged"):
        damaged.scan(b"", None, limit=HUGE, bytes_max=HUGE, keys_only=keys_only, reverse=reverse)


def test_other_blocks_than_the_damaged_one_are_still_read(damaged: RocksEngine) -> None:
    first, last = min(PAIRS), max(PAIRS)
    assert damaged.get_many([first, last]) == [PAIRS[first], PAIRS[last]]


def test_an_engine_whose_compaction_met_damage_is_closed_and_another_takes_its_place(
    damaged: RocksEngine, folder: Path
) -> None:
    """RocksDB takes nothing more then, and says so at its close, too: a node that is being rebuilt
    closes it without another word, and opens the next in the same process."""

    def fill() -> None:
        for _ in range(1000):  # a compaction comes at the fourth file
            put_all(damaged, PAIRS)
            damaged.flush()

    with pytest.raises(CorruptionError, match="damaged"):
        fill()
    damaged.close()
    folder.rename(folder.with_name("set-aside"))
    again = RocksEngine(str(folder))
    assert everything(again) == {}
    again.close()


@pytest.mark.parametrize("way", ["scan", "view", "get"])
def test_what_was_raised_does_not_keep_a_closed_engine_open(
    damaged: RocksEngine, folder: Path, way: str
) -> None:
    """The error is still at hand when a node in the same process begins anew in that place."""
    view = damaged.view(b"", b"z")
    ways: dict[str, Callable[[], object]] = {
        "scan": lambda: damaged.scan(b"", None, limit=HUGE, bytes_max=HUGE),
        "view": lambda: view.scan(b"", limit=HUGE, bytes_max=HUGE),
        "get": lambda: damaged.get_many(list(PAIRS)),
    }
    with pytest.raises(CorruptionError) as raised:
        ways[way]()
    damaged.close()
    folder.rename(folder.with_name("set-aside"))
    RocksEngine(str(folder)).close()
    assert "damaged" in str(raised.value)


GROUPS = (GroupId(1), GroupId(2))
CRASH_ENTRIES = 600
CRASH_FLUSHED = 100


def crash_command(group: GroupId, index: int) -> bytes:
    """Entries of 64 KiB: 75 MiB in all, several memtables, with deletes and rewrites."""
    kinds = bytes([OperationKind.PUT, OperationKind.PUT, OperationKind.DELETE])
    value = b"%d/%d;" % (group, index) * 6000
    keys = [b"key-%d" % (index % 50), b"last", b"key-%d" % (index * 7 % 50)]
    return encode_command(kinds, keys, [value, b"%d" % index, b""])


def apply_until_killed(path: str) -> None:
    """Runs in a process of its own, and ends it as a kill would: no destructor, no shutdown."""
    engine = RocksEngine(path)
    states = [PartitionState(engine, group) for group in GROUPS]
    heads = HeadCache()
    for index in range(1, CRASH_ENTRIES + 1):
        work = [(state, [(index, crash_command(state.group, index))]) for state in states]
        apply_commands(engine, work, heads)
        if index == CRASH_FLUSHED:
            engine.flush()
    os._exit(0)


def test_a_killed_process_leaves_data_and_applied_index_that_fit_together(tmp_path: Path) -> None:
    path = str(tmp_path / "engine")
    code = "import sys; from tests.storage.test_rocks_engine import apply_until_killed as run"
    root = Path(__file__).parents[2]
    arguments = [sys.executable, "-c", f"{code}; run(sys.argv[1])", path]
    subprocess.run(arguments, check=True, cwd=root)
    engine = RocksEngine(path)
    states = [PartitionState(engine, group) for group in GROUPS]
    applied = states[0].applied_index
    # At least what was flushed; RocksDB has flushed full memtables since; the last one is lost.
    assert CRASH_FLUSHED < applied < CRASH_ENTRIES
    replayed = MemoryEngine()
    for state in states:
        expected = PartitionState(replayed, state.group)
        entries = [(i, crash_command(state.group, i)) for i in range(1, applied + 1)]
        apply_commands(replayed, [(expected, entries)])
        assert (state.applied_index, state.revision) == (applied, expected.revision)
        assert state.fingerprint() == expected.fingerprint()
    engine.close()


def test_only_what_was_flushed_is_promised_after_a_kill(tmp_path: Path) -> None:
    path = str(tmp_path / "engine")
    code = (
        "import os, sys\n"
        "from kvstore.storage.rocks_engine import RocksEngine\n"
        "from tests.storage.test_engine import put_all\n"
        "engine = RocksEngine(sys.argv[1])\n"
        "put_all(engine, {b'a': b'1', b'b': b'1'})\n"
        "engine.flush()\n"
        "put_all(engine, {b'b': b'2', b'c': b'2'})\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
    engine = RocksEngine(path)
    assert everything(engine) == {b"a": b"1", b"b": b"1"}
    engine.close()


def test_a_write_that_would_stall_is_refused_and_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiny memtables: they are full faster than they can be flushed."""
    monkeypatch.setattr(rocks_engine, "MEMTABLE_BYTES", 1 << 16)
    monkeypatch.setattr(rocks_engine, "MEMTABLES_MAX", 2)
    engine = RocksEngine(str(tmp_path / "engine"))
    value = os.urandom(1 << 15)
    refused = None
    written: set[bytes] = set()
    for number in range(20_000):
        key = b"%d" % number
        try:
            put_all(engine, {key: value})
        except ResourceExhausted as problem:
            refused = key, str(problem)
            break
        written.add(key)
    assert refused is not None
    assert "cannot keep up" in refused[1]
    assert engine.get_many([refused[0]]) == [None]
    engine.flush()
    put_all(engine, {refused[0]: value})
    assert engine.get_many([refused[0], *written]) == [value] * (len(written) + 1)
    engine.close()


def test_options_are_in_force_again_after_reopening(folder: Path) -> None:
    engine = RocksEngine(str(folder))
    engine.close()
    newest = max(folder.glob("OPTIONS-*")).read_text()
    for option in (
        f"write_buffer_size={MEMTABLE_BYTES}",
        "max_write_buffer_number=3",
        "level0_slowdown_writes_trigger=32",
        "level0_stop_writes_trigger=64",
        "filter_policy=bloomfilter",
        "compression=kLZ4Compression",
        "paranoid_checks=true",
    ):
        assert option in newest, option
