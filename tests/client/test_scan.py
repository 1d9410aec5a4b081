"""Scans over all partitions."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.client import AsyncClient
from kvstore.client.ranges import after_prefix, range_of
from kvstore.errors import InvalidArgument, Unavailable
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster

KEYS = [
    b"",
    b"a",
    b"a\0",
    b"a\xff",
    b"ab",
    b"b",
    b"b\xff\xff",
    b"b\xff\xff\0",
    b"\xff",
    b"\xff\xff",
]
some_bytes = st.sampled_from(KEYS) | st.binary(max_size=3)


@pytest.fixture
async def filled(kv: AsyncClient, cluster: FakeCluster) -> dict[bytes, bytes]:
    """300 entries, and pages of at most 7 keys."""
    cluster.page_keys_max = 7
    entries = {f"{i % 3}/{i:03}".encode(): f"value-{i}".encode() for i in range(300)}
    await asyncio.gather(*(kv.put(key, value) for key, value in entries.items()))
    return entries


async def test_an_empty_cluster_has_nothing_to_scan(kv: AsyncClient) -> None:
    assert [entry async for entry in kv.scan()] == []


async def test_a_scan_gives_everything_in_byte_order(
    kv: AsyncClient, filled: dict[bytes, bytes]
) -> None:
    assert [entry async for entry in kv.scan()] == sorted(filled.items())
    assert [key async for key in kv.scan_keys()] == sorted(filled)


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        ({"prefix": b"1/"}, lambda key: key.startswith(b"1/")),
        ({"prefix": "1/", "start": "1/150"}, lambda key: b"1/150" <= key < b"10"),
        ({"prefix": "1/", "start": "0"}, lambda key: key.startswith(b"1/")),
        ({"prefix": "1/", "end": "1/1"}, lambda key: b"1/" <= key < b"1/1"),
        ({"prefix": "1/", "end": "9"}, lambda key: key.startswith(b"1/")),
        ({"start": "1/", "end": "2/"}, lambda key: b"1/" <= key < b"2/"),
        ({"start": "2/299"}, lambda key: key >= b"2/299"),
        ({"end": "0/003"}, lambda key: key < b"0/003"),
        ({"start": "1/", "end": "1/"}, lambda key: False),
        ({"start": "2", "end": "1"}, lambda key: False),
        ({"prefix": "nothing"}, lambda key: False),
    ],
)
@pytest.mark.parametrize("limit", [None, 0, 1, 5, 50, 1000])
async def test_bounds_and_limit(  # type: ignore[no-untyped-def]  # a table of keyword arguments
    kv: AsyncClient, filled: dict[bytes, bytes], bounds, wanted, limit: int | None
) -> None:
    expected = [entry for entry in sorted(filled.items()) if wanted(entry[0])][:limit]
    assert [entry async for entry in kv.scan(**bounds, limit=limit)] == expected
    assert [key async for key in kv.scan_keys(**bounds, limit=limit)] == [k for k, _ in expected]


async def test_a_limit_finds_keys_that_all_live_in_one_partition(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    keys = [b"{tag}%03d" % number for number in range(200)]
    await asyncio.gather(*(kv.put(key, "") for key in keys))
    assert [key async for key in kv.scan_keys(limit=150)] == keys[:150]


async def test_first_pages_of_a_nodes_partitions_travel_in_one_call(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    assert [entry async for entry in kv.scan()] == []
    assert cluster.calls == 3
    assert sum(node.sections(kv_pb2.SECTION_KIND_SCAN) for node in cluster.nodes.values()) == 4


async def test_pages_end_where_their_bytes_do(kv: AsyncClient, cluster: FakeCluster) -> None:
    value = bytes(300_000)
    await asyncio.gather(*(kv.put(f"{{t}}{i:02}", value) for i in range(12)))
    assert [key async for key, _ in kv.scan()] == [b"{t}%02d" % i for i in range(12)]
    assert sum(node.sections(kv_pb2.SECTION_KIND_SCAN) for node in cluster.nodes.values()) > 6


async def test_many_scans_at_once_do_not_mix(kv: AsyncClient, filled: dict[bytes, bytes]) -> None:
    async def scan(prefix: str) -> list[bytes]:
        return [key async for key in kv.scan_keys(prefix=prefix)]

    results = await asyncio.gather(*(scan(f"{i % 3}/") for i in range(30)))
    for number, keys in enumerate(results):
        prefix = f"{number % 3}/".encode()
        assert keys == sorted(key for key in filled if key.startswith(prefix))


async def test_a_scan_that_is_left_early_lets_go(
    kv: AsyncClient, filled: dict[bytes, bytes]
) -> None:
    async with contextlib.aclosing(kv.scan()) as entries:
        assert (await anext(entries))[0] == min(filled)
    assert await kv.get(min(filled)) is not None


async def test_a_scan_fails_when_one_partition_does(
    kv: AsyncClient, filled: dict[bytes, bytes], cluster: FakeCluster
) -> None:
    cluster.nodes[2].always = fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE, "no majority")
    with pytest.raises(Unavailable, match="no majority"):
        async for _ in kv.scan(timeout_s=4):
            pass


@pytest.mark.parametrize(
    "bounds", [{"limit": -1}, {"limit": "1"}, {"limit": True}, {"prefix": 1}, {"start": 1.5}]
)
async def test_bounds_are_checked_at_the_call(kv: AsyncClient, bounds: dict[str, int]) -> None:
    (name,) = bounds
    with pytest.raises(InvalidArgument, match=name):
        kv.scan(**bounds)  # type: ignore[arg-type]  # what is tested


@given(prefix=some_bytes, key=some_bytes)
def test_after_a_prefix_comes_the_first_key_without_it(prefix: bytes, key: bytes) -> None:
    after = after_prefix(prefix)
    within = key >= prefix and (after is None or key < after)
    assert within == key.startswith(prefix)


@given(
    prefix=st.none() | some_bytes,
    start=st.none() | some_bytes,
    end=st.none() | some_bytes,
    key=some_bytes,
)
def test_a_range_holds_what_all_bounds_allow(
    prefix: bytes | None, start: bytes | None, end: bytes | None, key: bytes
) -> None:
    wanted = range_of(prefix, start, end, None, False)
    within = key >= wanted.start and (wanted.end is None or key < wanted.end)
    allowed = key.startswith(prefix or b"") and key >= (start or b"")
    assert within == (allowed and (end is None or key < end))
    assert not (wanted.is_empty and within)
