"""What the node takes from the world outside: the real thing and, for files, its twin in memory."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.environment import Clock, File, FileSystem, Worker
from kvstore.simulation.disk import MemoryFileSystem
from kvstore.system import SystemClock, SystemFileSystem, ThreadWorker


@pytest.fixture(params=["system", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[FileSystem, str]:
    """A file system, and an empty folder in it."""
    if request.param == "system":
        return SystemFileSystem(), str(tmp_path)
    files = MemoryFileSystem()
    files.make_folder("/data")
    return files, "/data"


Place = tuple[FileSystem, str]


def make_file(place: Place, name: str = "file") -> File:
    files, folder = place
    return files.open(f"{folder}/{name}", create=True)


# One contract for both file systems


def test_a_new_file_is_empty(place: Place) -> None:
    file = make_file(place)
    assert file.size() == 0
    assert file.pread(10, 0) == b""


def test_creating_a_file_that_is_there_fails(place: Place) -> None:
    make_file(place)
    with pytest.raises(FileExistsError):
        make_file(place)


def test_opening_a_file_that_is_not_there_fails(place: Place) -> None:
    files, folder = place
    with pytest.raises(FileNotFoundError):
        files.open(f"{folder}/none")
    with pytest.raises(FileNotFoundError):
        files.open(f"{folder}/none/file", create=True)


def test_opening_a_folder_as_a_file_fails(place: Place) -> None:
    files, folder = place
    with pytest.raises(IsADirectoryError):
        files.open(folder)


def test_what_is_written_is_read_at_its_place(place: Place) -> None:
    file = make_file(place)
    file.pwritev((b"abc", b"", b"defg"), 2)
    assert file.size() == 9
    assert file.pread(100, 0) == b"\0\0abcdefg"
    assert file.pread(3, 4) == b"cde"
    file.pwritev((b"X",), 3)
    assert file.pread(100, 0) == b"\0\0aXcdefg"


def test_writing_nothing_changes_nothing(place: Place) -> None:
    file = make_file(place)
    file.pwritev((), 100)
    file.pwritev((b"", b""), 100)
    assert file.size() == 0


def test_more_parts_than_the_system_takes_at_once_are_all_written(place: Place) -> None:
    file = make_file(place)
    parts = [bytes([index % 251]) * (index % 3) for index in range(5000)]
    file.pwritev(parts, 7)
    assert file.pread(10_000, 7) == b"".join(parts)


def test_allocating_lengthens_with_zeros_and_never_shortens(place: Place) -> None:
    file = make_file(place)
    file.pwritev((b"abc",), 0)
    file.allocate(100)
    assert file.pread(200, 0) == b"abc" + bytes(97)
    file.allocate(10)
    file.allocate(0)
    assert file.size() == 100


def test_truncating_cuts_and_lengthens_with_zeros(place: Place) -> None:
    file = make_file(place)
    file.pwritev((b"abcdef",), 0)
    file.truncate(2)
    assert file.pread(10, 0) == b"ab"
    file.truncate(4)
    assert file.pread(10, 0) == b"ab\0\0"
    file.sync()
    assert file.size() == 4


def test_two_handles_see_the_same_file(place: Place) -> None:
    files, folder = place
    first = make_file(place)
    second = files.open(f"{folder}/file")
    first.pwritev((b"abc",), 0)
    assert second.pread(3, 0) == b"abc"


def test_a_closed_file_fails(place: Place) -> None:
    file = make_file(place)
    file.close()
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.pread(1, 0)
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.pwritev((b"a",), 0)


def test_names_are_listed_sorted_folders_included(place: Place) -> None:
    files, folder = place
    make_file(place, "b")
    make_file(place, "a")
    files.make_folder(f"{folder}/c/d")
    assert files.list(folder) == ["a", "b", "c"]
    assert files.list(f"{folder}/c") == ["d"]
    with pytest.raises(FileNotFoundError):
        files.list(f"{folder}/none")


def test_existing_is_known_of_files_and_folders(place: Place) -> None:
    files, folder = place
    make_file(place)
    assert files.exists(folder)
    assert files.exists(f"{folder}/file")
    assert not files.exists(f"{folder}/none")
    assert not files.exists(f"{folder}/none/file")


def test_making_a_folder_twice_is_no_error_and_over_a_file_is(place: Place) -> None:
    files, folder = place
    files.make_folder(f"{folder}/a/b")
    files.make_folder(f"{folder}/a/b")
    make_file(place)
    with pytest.raises(NotADirectoryError):
        files.make_folder(f"{folder}/file")


def test_renaming_replaces(place: Place) -> None:
    files, folder = place
    make_file(place, "new").pwritev((b"new",), 0)
    make_file(place, "old").pwritev((b"old",), 0)
    files.rename(f"{folder}/new", f"{folder}/old")
    files.sync_folder(folder)
    assert files.list(folder) == ["old"]
    assert files.open(f"{folder}/old").pread(10, 0) == b"new"
    with pytest.raises(FileNotFoundError):
        files.rename(f"{folder}/new", f"{folder}/old")


def test_removing_takes_the_name_and_leaves_open_handles(place: Place) -> None:
    files, folder = place
    file = make_file(place)
    file.pwritev((b"abc",), 0)
    files.remove(f"{folder}/file")
    assert files.list(folder) == []
    assert file.pread(3, 0) == b"abc"
    with pytest.raises(FileNotFoundError):
        files.remove(f"{folder}/file")


def test_syncing_a_folder_that_is_not_there_fails(place: Place) -> None:
    files, folder = place
    with pytest.raises(FileNotFoundError):
        files.sync_folder(f"{folder}/none")


def test_a_lock_is_held_by_one_and_says_by_whom(place: Place) -> None:
    files, folder = place
    path = f"{folder}/lock"
    held = files.lock(path, b"a longer first holder")
    with pytest.raises(BlockingIOError):
        files.lock(path, b"second")
    assert files.open(path).pread(100, 0) == b"a longer first holder"
    held.release()
    held.release()
    again = files.lock(path, b"second")
    assert files.open(path).pread(100, 0) == b"second"
    again.release()


# Only the real one


class ShortWrites:
    """Stands before os.pwritev and os.pwrite and lets only so many bytes through per call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
        self.calls = 0
        real = os.pwrite

        def pwritev(descriptor: int, buffers: list[bytes], offset: int) -> int:
            return pwrite(descriptor, b"".join(buffers), offset)

        def pwrite(descriptor: int, data: bytes | memoryview, offset: int) -> int:
            self.calls += 1
            return real(descriptor, bytes(data[:limit]), offset)

        monkeypatch.setattr(os, "pwritev", pwritev)
        monkeypatch.setattr(os, "pwrite", pwrite)


@pytest.mark.parametrize("limit", [1, 3, 4, 7, 100])
def test_short_writes_are_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    file = SystemFileSystem().open(str(tmp_path / "file"), create=True)
    short = ShortWrites(monkeypatch, limit)
    file.pwritev((b"abcd", b"efg", b"hij"), 5)
    assert file.pread(100, 5) == b"abcdefghij"
    assert short.calls == -(-10 // limit)
    file.close()


def test_a_write_that_does_not_move_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SystemFileSystem().open(str(tmp_path / "file"), create=True)
    ShortWrites(monkeypatch, 0)
    with pytest.raises(OSError, match="came to a halt"):
        file.pwritev((b"abcd",), 0)
    file.close()


def test_short_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SystemFileSystem().open(str(tmp_path / "file"), create=True)
    file.pwritev((b"abcdefghij",), 0)
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, offset: real(fd, min(length, 3), offset))
    assert file.pread(8, 1) == b"bcdefghi"
    assert file.pread(100, 4) == b"efghij"
    file.close()


def test_a_file_system_without_reservation_only_lengthens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    file = SystemFileSystem().open(str(tmp_path / "file"), create=True)
    file.allocate(100)
    file.allocate(50)
    assert file.size() == 100
    file.close()


def test_a_full_disk_shows_when_space_is_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "posix_fallocate", full)
    file = SystemFileSystem().open(str(tmp_path / "file"), create=True)
    with pytest.raises(OSError, match="no space"):
        file.allocate(100)
    file.close()


def test_the_folders_above_a_new_one_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        SystemFileSystem, "sync_folder", lambda _self, path: synced.append(os.path.basename(path))
    )
    SystemFileSystem().make_folder(str(tmp_path / "a" / "b"))
    assert synced[1:] == [tmp_path.name, "a"]


def test_files_are_for_the_user_of_the_node_only(tmp_path: Path) -> None:
    files = SystemFileSystem()
    files.make_folder(str(tmp_path / "folder"))
    files.open(str(tmp_path / "folder" / "file"), create=True).close()
    assert (tmp_path / "folder").stat().st_mode & 0o077 == 0
    assert (tmp_path / "folder" / "file").stat().st_mode & 0o077 == 0


def test_the_clock_goes_on_and_knows_the_year() -> None:
    clock: Clock = SystemClock()
    first = clock.monotonic_s()
    assert clock.monotonic_s() >= first
    assert clock.wall_ms() > 1_700_000_000_000


# Only the one in memory: what a crash leaves


def crashable(content: bytes = b"") -> tuple[MemoryFileSystem, File]:
    files = MemoryFileSystem()
    file = files.open("/file", create=True)
    file.pwritev((content,), 0)
    file.sync()
    files.sync_folder("/")
    return files, file


def test_a_crash_keeps_what_was_synced_and_forgets_the_rest() -> None:
    files, file = crashable(b"synced")
    file.pwritev((b"later!",), 0)
    file.truncate(1000)
    assert files.contents("/file")[:6] == b"later!"
    files.crash()
    assert files.contents("/file") == b"synced"


def test_a_crash_forgets_names_of_folders_that_were_not_synced() -> None:
    files, _file = crashable(b"old")
    new = files.open("/new", create=True)
    new.pwritev((b"new",), 0)
    new.sync()
    files.rename("/new", "/file")
    files.crash()
    assert files.list("/") == ["file"]
    assert files.contents("/file") == b"old"


def test_handles_and_locks_do_not_outlive_a_crash() -> None:
    files, file = crashable()
    files.lock("/lock", b"")
    files.sync_folder("/")
    files.crash()
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.pread(1, 0)
    files.lock("/lock", b"")


@settings(deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_a_torn_crash_keeps_old_or_new_bytes_and_no_others(seed: int) -> None:
    files, file = crashable(b"o" * 500)
    file.pwritev((b"n" * 600,), 100)
    files.crash(Random(seed))
    content = files.contents("/file")
    assert content[:100] == b"o" * 100
    assert set(content[100:500]) <= set(b"on")
    assert set(content[500:]) <= set(b"n\0")


def test_torn_crashes_differ() -> None:
    outcomes = set()
    for seed in range(50):
        files, file = crashable(b"o" * 500)
        file.pwritev((b"n" * 600,), 100)
        files.crash(Random(seed))
        outcomes.add(files.contents("/file"))
    assert len(outcomes) > 20


def test_a_failed_sync_loses_what_waited_and_the_next_one_succeeds() -> None:
    files, file = crashable(b"old")
    file.pwritev((b"new",), 0)
    files.fail("sync")
    with pytest.raises(OSError, match="Input/output error"):
        file.sync()
    file.sync()
    assert files.contents("/file") == b"new"
    files.crash()
    assert files.contents("/file") == b"old"


def test_a_failed_write_has_written_half() -> None:
    files, file = crashable(b"oooo")
    files.fail("write", after=1)
    file.pwritev((b"x",), 0)
    with pytest.raises(OSError, match="Input/output error"):
        file.pwritev((b"nnnn",), 0)
    assert files.contents("/file") == b"nnoo"


def test_a_full_disk_refuses_to_grow_and_takes_the_rest() -> None:
    files, file = crashable(b"12345678")
    files.capacity_bytes = 10
    file.pwritev((b"abc",), 7)
    with pytest.raises(OSError, match="No space left"):
        file.allocate(11)
    with pytest.raises(OSError, match="No space left"):
        file.truncate(11)
    with pytest.raises(OSError, match="No space left"):
        file.pwritev((b"abc",), 8)
    assert files.contents("/file") == b"1234567abc"


# The worker


@pytest.fixture
async def worker() -> Worker:
    return ThreadWorker(asyncio.get_running_loop())


async def run(worker: Worker, job: Callable[[], object]) -> object:
    """What `job` gives, waited for with a deadline."""
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    worker.submit(job, future.set_result)
    return await asyncio.wait_for(future, 10)


async def test_a_job_runs_on_one_other_thread_and_is_answered_on_the_loop(worker: Worker) -> None:
    threads = {await run(worker, threading.get_ident) for _ in range(3)}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}

    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    worker.submit(lambda: None, lambda _result: answered.set_result(threading.get_ident()))
    assert await asyncio.wait_for(answered, 10) == threading.get_ident()
    worker.close()


async def test_jobs_run_and_are_answered_in_order(worker: Worker) -> None:
    ran: list[int] = []
    answered: list[object] = []
    for number in range(100):

        def job(number: int = number) -> int:
            ran.append(number)
            return number

        worker.submit(job, answered.append)
    await run(worker, lambda: None)
    assert ran == answered == list(range(100))
    worker.close()


@pytest.mark.parametrize("problem", [ValueError("bad"), SystemExit(1), KeyboardInterrupt()])
async def test_an_exception_is_an_answer_and_the_thread_goes_on(
    worker: Worker, problem: BaseException
) -> None:
    def fail() -> None:
        raise problem

    assert await run(worker, fail) is problem
    assert await run(worker, lambda: 7) == 7
    worker.close()


async def test_closing_waits_for_what_was_handed_in(worker: Worker) -> None:
    ran: list[int] = []
    may_run = threading.Event()

    def job() -> None:
        assert may_run.wait(10)
        ran.append(1)

    worker.submit(job, lambda _result: None)
    worker.submit(lambda: ran.append(2), lambda _result: None)
    may_run.set()
    worker.close()
    worker.close()
    assert ran == [1, 2]
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(job, lambda _result: None)


def test_an_answer_to_a_closed_loop_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    worker = ThreadWorker(loop)
    loop.close()
    ran: list[int] = []
    answered: list[object] = []
    worker.submit(lambda: ran.append(1), answered.append)
    worker.submit(lambda: ran.append(2), answered.append)
    worker.close()
    assert ran == [1, 2]
    assert answered == []


def test_a_rotten_byte_is_read_wrong_until_it_is_written_again() -> None:
    files, file = crashable(b"abcd")
    files.rot("/file", 1, 0b10)
    assert file.pread(4, 0) == b"a" + bytes((ord("b") ^ 0b10,)) + b"cd"
    assert file.pread(2, 2) == b"cd"
    files.crash()
    file = files.open("/file")
    assert file.pread(1, 1) != b"b"
    file.pwritev((b"xyz",), 0)
    assert file.pread(4, 0) == b"xyzd"


def test_a_disk_that_is_watched_does_not_fail_nor_count() -> None:
    files, file = crashable(b"abcd")
    files.rot("/file", 1, 0b10)
    files.fail("read")
    files.is_watched = True
    assert file.pread(4, 0) == b"abcd"
    files.is_watched = False
    with pytest.raises(OSError, match="Input/output error"):
        file.pread(4, 0)


def test_free_space_is_what_this_user_may_take(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    free = SystemFileSystem().free_bytes(str(tmp_path))
    assert abs(free - found.f_bavail * found.f_frsize) < 1 << 30
    with pytest.raises(FileNotFoundError):
        SystemFileSystem().free_bytes(str(tmp_path / "nowhere"))


def test_a_folder_moves_and_goes_with_all_in_it(tmp_path: Path) -> None:
    files = SystemFileSystem()
    source, target = tmp_path / "a", tmp_path / "b" / "c"
    files.make_folder(str(source / "inner"))
    (source / "inner" / "file").write_text("x")
    files.make_folder(str(target.parent))
    files.rename(str(source), str(target))
    assert not source.exists()
    assert (target / "inner" / "file").read_text() == "x"
    files.remove_folder(str(target))
    assert not target.exists()
