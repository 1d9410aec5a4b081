"""Plain calls that scan and count, as other languages make them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from random import Random
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from kvstore.client import AsyncClient
from kvstore.codec.cursor import Cursor, encode_cursor
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.rpc.kv_service import KVService
from kvstore.rpc.node_view import NodeView
from tests.client.fake_cluster import CLUSTER_ID, FakeCluster, running

INVALID = grpc.StatusCode.INVALID_ARGUMENT
KEYS = [b"key-%02d" % number for number in range(40)]


class Plain:
    """Calls by name, over a real connection."""

    def __init__(self, channel: grpc.aio.Channel, cluster: FakeCluster, kv: AsyncClient) -> None:
        self._channel = channel
        self.cluster = cluster
        self.kv = kv

    async def scan(self, **fields: Any) -> pb.ScanResponse:
        return cast(
            "pb.ScanResponse", await self("Scan", pb.ScanResponse, pb.ScanRequest(**fields))
        )

    async def count(self, **fields: Any) -> pb.CountResponse:
        request = pb.CountRequest(**fields)
        return cast("pb.CountResponse", await self("Count", pb.CountResponse, request))

    async def __call__(self, name: str, response: Any, request: Any) -> Any:
        call = self._channel.unary_unary(
            f"/kvstore.v1.KV/{name}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        return await call(request, timeout=30)

    async def refused(self, **fields: Any) -> tuple[grpc.StatusCode, str, str]:
        """Of a scan: status, words and outcome."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.scan(**fields)
        pairs = cast("Iterable[tuple[str, str]]", caught.value.trailing_metadata())
        metadata: dict[str, str] = dict(map(tuple, pairs))  # type: ignore[arg-type]  # pairs
        return caught.value.code(), caught.value.details() or "", metadata["kvstore-outcome"]

    @property
    def views(self) -> int:
        return sum(len(partition.views) for partition in self.cluster.partitions)


@pytest.fixture
async def plain() -> AsyncIterator[Plain]:
    async with running() as cluster, AsyncClient(cluster.endpoints, random=Random(1)) as router:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        service = KVService(cast("NodeView", None), router, tick_ms=50)
        server.add_generic_rpc_handlers((service.handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Plain(channel, cluster, router)
        finally:
            await server.stop(None)


@pytest.fixture
async def filled(plain: Plain) -> Plain:
    await plain.kv.put_many(dict.fromkeys(KEYS, "old"))
    return plain


# --- as of one moment


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("keys_only", [False, True])
async def test_pages_of_a_consistent_scan_show_the_revisions_of_the_first(
    filled: Plain, reverse: bool, keys_only: bool
) -> None:
    revisions = {number: each.revision for number, each in enumerate(filled.cluster.partitions)}
    page = await filled.scan(consistent=True, limit=7, reverse=reverse, keys_only=keys_only)
    assert not page.HasField("next_start"), "which would leave the view"
    found = list(page.records)
    pages = 1
    while page.HasField("next_cursor"):
        assert filled.views == 4, "each partition has one, however many pages were asked for"
        await filled.kv.put_many(dict.fromkeys((b"key-%02dx" % pages, *KEYS), "new"))
        await filled.kv.delete(KEYS[-pages])
        page = await filled.scan(cursor=page.next_cursor, limit=7, keys_only=keys_only)
        assert dict(page.revisions) == revisions
        found += page.records
        pages += 1
    assert pages == 6
    assert [record.key for record in found] == sorted(KEYS, reverse=reverse)
    assert {record.value for record in found} == ({b""} if keys_only else {b"old"})
    assert filled.views == 0, "after the last page nothing is kept"


async def test_a_consistent_scan_of_nothing_tells_its_revisions(filled: Plain) -> None:
    page = await filled.scan(consistent=True, prefix=b"none")
    assert not page.HasField("next_cursor")
    assert set(page.revisions) == {0, 1, 2, 3}
    assert filled.views == 0


async def test_two_callers_may_have_the_same_page(filled: Plain) -> None:
    first = await filled.scan(consistent=True, limit=10)
    one, two = await asyncio.gather(
        *(filled.scan(cursor=first.next_cursor, limit=10) for _ in range(2))
    )
    assert list(one.records) == list(two.records)
    assert one.next_cursor == two.next_cursor
    await filled.scan(cursor=two.next_cursor, close=True)


async def test_who_does_not_want_the_rest_says_so(filled: Plain) -> None:
    page = await filled.scan(consistent=True, limit=7)
    assert filled.views == 4
    for _ in range(2):
        assert await filled.scan(cursor=page.next_cursor, close=True) == pb.ScanResponse()
        assert filled.views == 0


async def test_a_cursor_whose_view_is_gone_is_refused_and_nothing_is_mixed(filled: Plain) -> None:
    page = await filled.scan(consistent=True, limit=7)
    views = filled.cluster.partitions[2].views
    _, (data, revision) = views.popitem()
    refused = await filled.refused(cursor=page.next_cursor)
    assert refused[0] is grpc.StatusCode.ABORTED
    assert refused[2] == "definite"
    page = await filled.scan(consistent=True, limit=7)
    views[next(iter(views))] = data, revision + 1
    code, words, _ = await filled.refused(cursor=page.next_cursor)
    assert code is grpc.StatusCode.ABORTED
    assert "begin the scan anew" in words


# --- at a level


async def test_a_page_is_of_the_level_that_is_asked_for(filled: Plain) -> None:
    seen = {number: each.revision + 1 for number, each in enumerate(filled.cluster.partitions)}
    more: dict[str, Any]
    for level, more in (
        (pb.CONSISTENCY_LINEARIZABLE, {}),
        (pb.CONSISTENCY_SESSION, {"min_indexes": seen}),
        (pb.CONSISTENCY_STALE, {"max_staleness_ms": 5000}),
    ):
        found: list[bytes] = []
        cursor = ""
        while cursor is not None:
            page = await filled.scan(cursor=cursor, limit=15, consistency=level, **more)
            found += [record.key for record in page.records]
            assert {each.consistency for each in page.receipts} == {level}
            assert {each.partition_id for each in page.receipts} == {0, 1, 2, 3}
            assert all(each.index == seen[each.partition_id] for each in page.receipts)
            assert not page.revisions
            if not page.HasField("next_cursor"):
                break
            cursor = page.next_cursor
        assert found == KEYS


async def test_a_session_that_nobody_can_serve_is_refused_as_unavailable(filled: Plain) -> None:
    for node in filled.cluster.nodes.values():
        node.is_behind = True
    assert (await filled.scan(consistency=2, min_indexes={0: 1})).records, "leaders lack nothing"
    for partition in filled.cluster.partitions:
        partition.leader = 9
    filled.kv._timeout_s = 0.3
    request = pb.ScanRequest(consistency=2, min_indexes={0: 1000})  # type: ignore[arg-type]  # its number
    call = filled._channel.unary_unary(
        "/kvstore.v1.KV/Scan",
        request_serializer=pb.ScanRequest.SerializeToString,
        response_deserializer=pb.ScanResponse.FromString,
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(request, timeout=0.5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_count_has_receipts(filled: Plain) -> None:
    answer = await filled.count(prefix=b"key-")
    assert answer.count == 40
    assert sorted(each.partition_id for each in answer.receipts) == [0, 1, 2, 3]


# --- what breaks a rule

ELSEWHERE = Cursor("elsewhere", b"", None, False, b"k", 5, {0: 1, 1: 1, 2: 1, 3: 1})
TOO_FEW = Cursor(CLUSTER_ID, b"", None, False, b"k", 5, {0: 1})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cursor": "nonsense"}, "the cursor cannot be used"),
        ({"cursor": encode_cursor(ELSEWHERE)[:-1]}, "the cursor cannot be used"),
        ({"cursor": encode_cursor(ELSEWHERE)}, "the cursor is of cluster elsewhere"),
        ({"cursor": encode_cursor(TOO_FEW)}, "the cursor pins 1 partitions; there are 4"),
        ({"cursor": encode_cursor(ELSEWHERE), "prefix": b"k"}, "give it alone"),
        ({"cursor": encode_cursor(ELSEWHERE), "reverse": True}, "give it alone"),
        ({"cursor": encode_cursor(ELSEWHERE), "consistency": 2}, "consistent is given together"),
        ({"cursor": encode_cursor(ELSEWHERE), "close": True}, "of cluster elsewhere"),
        (
            {"cursor": encode_cursor(Cursor(CLUSTER_ID, b"", None, False, b"k")), "close": True},
            "of no consistent scan",
        ),
        ({"close": True}, "the cursor cannot be used"),
        ({"consistent": True, "consistency": 2}, "consistent is given together with consistency="),
        ({"consistent": True, "consistency": 3}, "consistent is given together with consistency="),
        ({"consistency": 9}, "consistency 9 is not known here"),
        ({"consistency": 3, "max_staleness_ms": 86_400_001}, "max_staleness_s is 86400.001"),
    ],
)
async def test_it_is_refused_as_invalid(plain: Plain, fields: dict[str, Any], words: str) -> None:
    code, details, outcome = await plain.refused(**fields)
    assert words in details
    assert (code, outcome) == (INVALID, "definite")
    assert plain.cluster.calls == 0
