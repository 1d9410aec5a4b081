"""What a user gets when nothing fails."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from kvstore.client import AsyncClient
from kvstore.codec.limits import Limits
from kvstore.codec.record import Record
from kvstore.errors import InvalidArgument, Outcome
from tests.client.fake_cluster import FakeCluster, until


async def test_what_was_put_is_got(kv: AsyncClient) -> None:
    await kv.put(b"key", b"value")
    assert await kv.get(b"key") == b"value"


async def test_a_missing_key_is_none(kv: AsyncClient) -> None:
    assert await kv.get("nothing") is None
    assert await kv.get_record("nothing") is None


async def test_an_empty_value_is_not_a_missing_one(kv: AsyncClient) -> None:
    await kv.put("key", b"")
    assert await kv.get("key") == b""


async def test_str_is_utf_8(kv: AsyncClient) -> None:
    await kv.put("clé", "été")
    assert await kv.get("clé".encode()) == "été".encode()


@pytest.mark.parametrize("key", [b"\0", b"\xff\xfe", bytes(range(256)), b"{tag}\0x", b"k" * 4096])
async def test_keys_are_any_bytes(kv: AsyncClient, key: bytes) -> None:
    await kv.put(key, key)
    assert await kv.get(key) == key
    assert [entry async for entry in kv.scan()] == [(key, key)]


async def test_put_gives_the_revision_and_the_record_has_the_history(kv: AsyncClient) -> None:
    first = await kv.put("key", "one")
    second = await kv.put("key", "two")
    assert second > first > 0
    assert await kv.get_record("key") == Record(b"two", 2, first, second)


async def test_delete_says_whether_there_was_such_a_key(kv: AsyncClient) -> None:
    await kv.put("key", "value")
    assert await kv.delete("key") is True
    assert await kv.delete("key") is False
    assert await kv.get("key") is None


@pytest.mark.usefixtures("patient")
async def test_256_concurrent_puts_travel_in_few_calls(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("connected", "")
    before = cluster.calls
    revisions = await asyncio.gather(*(kv.put(f"key-{i}", f"{i}") for i in range(256)))
    assert cluster.calls - before <= 2 * len(cluster.nodes)
    assert all(revisions)
    assert len(cluster.data) == 257


async def test_each_of_many_callers_gets_its_own_answer(kv: AsyncClient) -> None:
    await asyncio.gather(*(kv.put(f"key-{i}", f"value-{i}") for i in range(500)))
    values = await asyncio.gather(*(kv.get(f"key-{i}") for i in range(600)))
    assert values == [f"value-{i}".encode() for i in range(500)] + [None] * 100


async def test_writes_to_one_key_apply_in_the_order_of_the_calls(kv: AsyncClient) -> None:
    revisions = await asyncio.gather(*(kv.put("key", f"{i}") for i in range(100)))
    assert revisions == sorted(revisions)
    assert await kv.get("key") == b"99"


@pytest.mark.usefixtures("patient")
async def test_what_comes_during_a_call_gathers_for_the_next(cluster: FakeCluster) -> None:
    node = cluster.lead_all(1)
    async with AsyncClient(node.address) as kv, asyncio.TaskGroup() as tasks:
        await kv.put("connected", "")
        before = len(node.calls)
        gate = asyncio.Event()

        async def until_open(*_: object) -> object:
            await gate.wait()
            return node.honest(node.calls[before])

        node.faults.append(until_open)  # type: ignore[arg-type]  # gives what a fault gives
        tasks.create_task(kv.put("first", ""))
        await until(lambda: len(node.calls) == before + 1)
        for number in range(100):
            tasks.create_task(kv.put(f"key-{number}", ""))
        await asyncio.sleep(0)
        assert len(node.calls) == before + 1
        gate.set()
    assert len(node.calls) == before + 2


async def test_reads_and_writes_do_not_wait_for_each_other(cluster: FakeCluster) -> None:
    node = cluster.lead_all(1)
    async with AsyncClient(node.address) as kv:
        await kv.put("key", "value")

        async def hang_writes(*arguments: object) -> object:
            request = node.calls[-1]
            if request.kinds[0] == 1:
                await node.release.wait()
            return node.honest(request)

        node.always = hang_writes  # type: ignore[assignment]  # gives what a fault gives
        write = asyncio.ensure_future(kv.put("key", "new"))
        assert await kv.get("key") == b"value"
        node.release.set()
        await write


async def test_large_values_are_cut_into_calls_that_fit(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    value = bytes(1 << 20)
    await asyncio.gather(*(kv.put(f"key-{i}", value) for i in range(24)))
    requests = [call for node in cluster.nodes.values() for call in node.calls]
    assert max(request.ByteSize() for request in requests) <= 9 << 20
    bodies = [len(body) for request in requests for body in request.bodies]
    assert max(bodies) <= cluster.limits.batch_bytes_max
    got = await asyncio.gather(*(kv.get(f"key-{i}") for i in range(24)))
    assert all(each == value for each in got)


async def test_reads_whose_answer_is_too_large_are_asked_in_smaller_calls(
    cluster: FakeCluster,
) -> None:
    cluster.lead_all(1)
    async with AsyncClient(cluster.endpoints, timeout_s=30) as kv:
        value = bytes(1 << 20)
        await kv.put("{t}key", value)
        values = await asyncio.gather(*(kv.get("{t}key") for _ in range(80)))
        assert len(cluster.nodes[1].calls) > 2
    assert values == [value] * 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((b"", b"v"), "key has 0 bytes; the limit is 1 to 4096"),
        ((b"k" * 4097, b"v"), "key has 4097 bytes; the limit is 1 to 4096"),
        ((b"k", bytes((1 << 20) + 1)), "value has 1048577 bytes; the limit is 1048576"),
        ((1, b"v"), "key must be bytes or str, not int"),
        ((b"k", None), "value must be bytes or str, not NoneType"),
        ((b"k", bytearray(b"v")), "value must be bytes or str, not bytearray"),
        (("\ud800", b"v"), "cannot be encoded as UTF-8"),
    ],
)
async def test_what_breaks_a_rule_is_refused_before_it_is_sent(
    kv: AsyncClient, cluster: FakeCluster, arguments: tuple[bytes, bytes], words: str
) -> None:
    with pytest.raises(InvalidArgument, match=words) as caught:
        await kv.put(*arguments)
    assert caught.value.outcome is Outcome.DEFINITE
    assert cluster.calls == 0


async def test_the_limits_are_those_of_the_map(kv: AsyncClient, cluster: FakeCluster) -> None:
    cluster.limits = Limits(value_bytes_max=10)
    await kv.put("key", bytes(10))
    with pytest.raises(InvalidArgument, match="value has 11 bytes; the limit is 10"):
        await kv.put("key", bytes(11))


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf"), 3601, True, "1"])
async def test_a_timeout_is_a_positive_number(timeout_s: float) -> None:
    with pytest.raises(InvalidArgument, match="timeout_s"):
        AsyncClient(timeout_s=timeout_s)
    with pytest.raises(InvalidArgument, match="timeout_s"):
        await AsyncClient().get("key", timeout_s=timeout_s)


@pytest.mark.parametrize("endpoints", ["", "host", "host:", ":1", "host:0", "h:65536", [1], 5, []])
def test_endpoints_are_host_and_port(endpoints: str) -> None:
    with pytest.raises(InvalidArgument, match="endpoint"):
        AsyncClient(endpoints)


def test_a_client_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(AsyncClient())


def test_a_client_belongs_to_one_event_loop() -> None:
    async def use(kv: AsyncClient) -> None:
        async with asyncio.timeout(5):
            await kv.put("key", "value")

    async def first(kv: AsyncClient) -> None:
        from tests.client.fake_cluster import running

        async with running() as cluster:
            kv._endpoints = tuple(cluster.endpoints)
            await use(kv)
            await kv._dispatcher.close()  # type: ignore[union-attr]  # used above

    kv = AsyncClient()
    asyncio.run(first(kv))
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(use(kv))


async def test_a_repr_says_where_and_whether_it_is_open(cluster: FakeCluster) -> None:
    kv = AsyncClient("127.0.0.1:7001")
    assert repr(kv) == "<AsyncClient of 127.0.0.1:7001, not connected yet>"
    await kv.aclose()
    assert repr(kv) == "<AsyncClient of 127.0.0.1:7001, closed>"
    async with AsyncClient(cluster.endpoints) as kv:
        await kv.get("key")
        assert repr(kv).endswith(", open>")
