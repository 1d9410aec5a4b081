"""The same words from threads."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kvstore import Compare, Get, Put
from kvstore.client import Client
from kvstore.client.background import SCAN_STEP
from kvstore.errors import (
    ClientClosed,
    ConditionFailed,
    InvalidArgument,
    LockLost,
    LockTimeout,
    OutcomeUnknown,
    Unavailable,
)
from tests.client import fake_cluster as fake
from tests.client.background import Background


def test_it_says_what_the_async_client_says(background: Background) -> None:
    with Client(background.cluster.endpoints) as kv:
        assert kv.put("key", "value") == 1
        assert kv.get("key") == b"value"
        record = kv.get_record("key")
        assert record is not None
        assert record.version == 1
        assert list(kv.scan(prefix="k")) == [(b"key", b"value")]
        assert list(kv.scan_keys()) == [b"key"]
        assert kv.locate("key").replicas == ("n1", "n2", "n3")
        assert len(kv.status().partitions) == 4
        assert kv.cluster_map().epoch == 1
        assert kv.delete("key") is True
        assert kv.get("key") is None


def test_many_threads_share_one_client(background: Background) -> None:
    with Client(background.cluster.endpoints) as kv, ThreadPoolExecutor(16) as threads:
        keys = [f"key-{number:03}" for number in range(400)]
        revisions = list(threads.map(lambda key: kv.put(key, key), keys))
        assert all(revisions)
        assert list(threads.map(kv.get, keys)) == [key.encode() for key in keys]
        scans = list(threads.map(lambda _: list(kv.scan_keys()), range(8)))
        assert scans == [[key.encode() for key in keys]] * 8


def test_a_scan_left_early_is_let_go(background: Background) -> None:
    with Client(background.cluster.endpoints) as kv:
        kv.put("a", "1")
        kv.put("b", "2")
        for key in kv.scan_keys():
            assert key == b"a"
            break
        assert kv.get("b") == b"2"


def test_errors_are_those_of_the_async_client() -> None:
    with pytest.raises(InvalidArgument, match="endpoint"):
        Client("nowhere")
    port, sock = fake.free_port()
    with Client(f"127.0.0.1:{port}", timeout_s=0.2) as kv:
        with pytest.raises(InvalidArgument, match="key"):
            kv.put(1, "value")  # type: ignore[call-overload]  # what is tested
        with pytest.raises(InvalidArgument, match="limit"):
            kv.scan(limit=-1)
        with pytest.raises(Unavailable, match="no cluster map"):
            kv.get("key")
    sock.close()


def test_a_scan_goes_on_behind_what_was_given_and_not_behind_what_was_fetched(
    background: Background,
) -> None:
    with Client(background.cluster.endpoints) as kv:
        keys = [b"%04d" % number for number in range(SCAN_STEP + 50)]
        for key in keys:
            kv.put(key, b"v")
        assert list(kv.scan_keys(reverse=True)) == keys[::-1]
        scan = kv.scan(consistent=True)
        assert list(kv.scan_keys(cursor=scan.cursor)) == keys
        assert [next(scan)[0] for _ in range(3)] == keys[:3]
        assert list(kv.scan_keys(cursor=scan.cursor)) == keys[3:]
        assert sum(scan.revisions.values()) == len(keys)
        scan.close()
        scan.close()
        assert list(scan) == []
        assert list(kv.scan_keys(cursor=scan.cursor, limit=2)) == keys[3:5]


def test_counts_and_deletes_a_range(background: Background) -> None:
    with Client(background.cluster.endpoints) as kv:
        for number in range(20):
            kv.put(f"{number % 2}/{number:02}", "v")
        told: list[int] = []
        assert kv.count(prefix="1/") == 10
        assert kv.delete_range(prefix="1/", progress=told.append) == 10
        assert (told, kv.count(prefix="1/"), kv.count()) == ([10], 0, 10)


def test_close_ends_calls_of_other_threads(background: Background) -> None:
    cluster = background.cluster
    kv = Client(cluster.endpoints)
    kv.put("key", "1")
    node = cluster.leader_of(b"key")
    node.always = fake.hang
    sent = len(node.calls)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(kv.put, "key", "2")
        deadline = threading.Event()
        while len(node.calls) == sent:
            deadline.wait(0.001)
        kv.close()
        with pytest.raises(OutcomeUnknown):
            waiting.result(10)
    kv.close()
    with pytest.raises(ClientClosed):
        kv.get("key")
    with pytest.raises(ClientClosed):
        list(kv.scan())
    background.on_loop(node.release.set)


def test_a_client_is_not_pickled() -> None:
    kv = Client()
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(kv)
    assert repr(kv) == "<Client of 127.0.0.1:7001, not connected yet>"


def test_close_of_an_unused_client_starts_nothing() -> None:
    before = threading.active_count()
    Client().close()
    assert threading.active_count() == before


def test_a_program_that_forgets_to_close_ends_all_the_same(background: Background) -> None:
    program = (
        "import sys; from kvstore import Client\n"
        "kv = Client(sys.argv[1])\n"
        "print(kv.put('key', 'value'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, background.cluster.nodes[1].address],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_public_names_are_loaded_when_they_are_used() -> None:
    program = (
        "import sys, kvstore\n"
        "assert 'grpc' not in sys.modules\n"
        "kvstore.Unavailable\n"
        "assert 'grpc' not in sys.modules\n"
        "for name in kvstore.__all__: getattr(kvstore, name)\n"
        "assert 'grpc' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=30, check=True)


def test_changes_and_transactions_are_those_of_the_async_client(background: Background) -> None:
    with Client(background.cluster.endpoints) as kv:
        revision = kv.put("{t}key", "1", ttl=60, if_absent=True)
        with pytest.raises(ConditionFailed):
            kv.put("{t}key", "2", if_absent=True)
        replaced = kv.put("{t}key", "2", if_revision=revision, return_previous=True)
        assert replaced.previous is not None
        assert replaced.previous.value == b"1"
        assert kv.increment("{t}key", 3) == 5
        assert kv.append("{t}key", "!") == 2
        assert kv.touch("{t}key", None) is True
        assert list(kv.put_many({"a": "1", "b": "2"})) == [b"a", b"b"]
        assert kv.get_many(["b", "c", "a"]) == {b"b": b"2", b"a": b"1"}
        assert kv.get_many_records(["a"])[b"a"].version == 1
        result = kv.transaction(
            [Compare.value("{t}key", "==", "5!")], [Get("{t}key"), Put("{t}other", "x")]
        )
        assert result.succeeded
        removed = kv.delete("{t}key", return_previous=True)
        assert removed.deleted


def test_one_thread_at_a_time_holds_a_lock(background: Background) -> None:
    inside: list[int] = []

    with Client(background.cluster.endpoints) as kv, ThreadPoolExecutor(4) as threads:

        def hold(_: int) -> int:
            with kv.lock("nightly", timeout_s=30) as lock:
                inside.append(lock.token)
                assert len(inside) == 1
                lock.check()
                assert lock.fence.lock == lock.name == b"nightly"
                assert not lock.is_lost
                inside.clear()
                return lock.token

        tokens = list(threads.map(hold, range(8)))
        assert len(set(tokens)) == 8
        with kv.lock("nightly"), pytest.raises(LockTimeout):
            kv.lock("nightly", timeout_s=0.05).acquire()
        assert kv.get("nightly") is None


def test_a_lock_is_kept_alive_while_its_thread_does_something_else(background: Background) -> None:
    with Client(background.cluster.endpoints) as kv, kv.lock("nightly", ttl=0.9) as lock:
        before = kv.get_record("nightly")
        while kv.get_record("nightly") == before:
            threading.Event().wait(0.01)
        lock.check()
    with pytest.raises(LockLost):
        lock.check()
    assert repr(lock) == "<SyncLock b'nightly', not held>"
