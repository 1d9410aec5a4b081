"""Plain calls as other languages make them: what they give, and how they fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from random import Random
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from kvstore.client import AsyncClient
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.rpc import key_calls
from kvstore.rpc.key_calls import KeyCalls
from tests.client.fake_cluster import FakeCluster, running

C = pb.Comparison
INVALID = grpc.StatusCode.INVALID_ARGUMENT
REQUESTS: dict[str, tuple[Any, Any]] = {
    "Get": (pb.GetRequest, pb.GetResponse),
    "Put": (pb.PutRequest, pb.PutResponse),
    "Delete": (pb.DeleteRequest, pb.DeleteResponse),
    "Increment": (pb.IncrementRequest, pb.IncrementResponse),
    "Append": (pb.AppendRequest, pb.AppendResponse),
    "Touch": (pb.TouchRequest, pb.TouchResponse),
    "GetMany": (pb.GetManyRequest, pb.GetManyResponse),
    "Transaction": (pb.TransactionRequest, pb.TransactionResponse),
}


class Plain:
    """Calls by name, over a real connection."""

    def __init__(self, channel: grpc.aio.Channel, cluster: FakeCluster) -> None:
        self._channel = channel
        self.cluster = cluster

    async def __call__(self, name: str, **fields: Any) -> Any:
        request, response = REQUESTS[name]
        call = self._channel.unary_unary(
            f"/kvstore.v1.KV/{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return await call(request(**fields), timeout=30)

    async def refused(
        self, name: str, **fields: Any
    ) -> tuple[grpc.StatusCode, str, dict[str, str]]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self(name, **fields)
        pairs = cast("Iterable[tuple[str, str]]", caught.value.trailing_metadata())
        metadata: dict[str, str] = dict(map(tuple, pairs))  # type: ignore[arg-type]  # pairs
        return caught.value.code(), caught.value.details() or "", metadata


@pytest.fixture
async def plain() -> AsyncIterator[Plain]:
    async with running() as cluster, AsyncClient(cluster.endpoints, random=Random(1)) as router:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handlers = KeyCalls(router).handlers()
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("kvstore.v1.KV", handlers),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Plain(channel, cluster)
        finally:
            await server.stop(None)


async def test_puts_and_deletes_have_conditions_and_give_what_was_there(plain: Plain) -> None:
    first = (await plain("Put", key=b"k", value=b"1", ttl_ms=500)).revision
    record = (await plain("Get", key=b"k")).record
    assert (record.value, record.expiry_ms) == (b"1", 1_000_500)
    second = await plain("Put", key=b"k", value=b"2", if_revision=first, return_previous=True)
    assert second.previous == record
    third = await plain(
        "Put", key=b"k", value=b"3", if_value=b"2", fence=pb.Fence(lock=b"l", token=2)
    )
    assert not third.HasField("previous")
    gone = await plain("Delete", key=b"k", if_revision=third.revision, return_previous=True)
    assert (gone.deleted, gone.previous.value) == (True, b"3")
    absent = await plain("Delete", key=b"k", return_previous=True)
    assert (absent.deleted, absent.HasField("previous")) == (False, False)
    assert (await plain("Put", key=b"k", value=b"4", if_absent=True)).revision


async def test_sums_appends_and_touches(plain: Plain) -> None:
    assert (await plain("Increment", key=b"n")).number == 1
    assert (await plain("Increment", key=b"n", by=-5)).number == -4
    assert (await plain("Increment", key=b"n", by=0)).number == -4
    assert (await plain("Increment", key=b"m", initial=10, ttl_ms=5)).number == 11
    assert (await plain("Append", key=b"a", suffix=b"xyz")).length == 3
    assert (await plain("Touch", key=b"a", ttl_ms=5)).touched is True
    assert (await plain("Get", key=b"a")).record.expiry_ms == 1_000_005
    assert (await plain("Touch", key=b"a")).touched is True
    assert (await plain("Get", key=b"a")).record.expiry_ms == 0
    assert (await plain("Touch", key=b"absent")).touched is False


async def test_many_keys_are_read_at_once(plain: Plain) -> None:
    for key in (b"a", b"b", b"c"):
        await plain("Put", key=key, value=b"of " + key)
    found = (await plain("GetMany", keys=[b"c", b"x", b"a", b"c"])).records
    assert [(each.key, each.value, each.version) for each in found] == [
        (b"c", b"of c", 1),
        (b"a", b"of a", 1),
    ]


async def test_a_transaction_gives_what_each_operation_gives(plain: Plain) -> None:
    await plain("Put", key=b"{t}a", value=b"1")
    response = await plain(
        "Transaction",
        compare=[
            C(key=b"{t}a", subject=C.SUBJECT_VALUE, relation=C.RELATION_EQUAL, value=b"1"),
            C(key=b"{t}b", subject=C.SUBJECT_VERSION, relation=C.RELATION_EQUAL, number=0),
        ],
        then=[
            pb.Operation(put=pb.PutRequest(key=b"{t}b", value=b"2", ttl_ms=7)),
            pb.Operation(increment=pb.IncrementRequest(key=b"{t}a")),
            pb.Operation(append=pb.AppendRequest(key=b"{t}a", suffix=b"!")),
            pb.Operation(get=pb.GetRequest(key=b"{t}a")),
            pb.Operation(get=pb.GetRequest(key=b"{t}c")),
            pb.Operation(touch=pb.TouchRequest(key=b"{t}c")),
            pb.Operation(delete=pb.DeleteRequest(key=b"{t}a")),
        ],
        fence=pb.Fence(lock=b"l", token=1),
    )
    put, added, appended, got, absent, touched, deleted = response.results
    assert response.succeeded
    assert put.put.revision > 1
    assert (added.increment.number, appended.append.length) == (2, 2)
    assert (got.get.record.key, got.get.record.value) == (b"{t}a", b"2!")
    assert absent.WhichOneof("result") == "get"
    assert not absent.get.HasField("record")
    assert (touched.touch.touched, deleted.delete.deleted) == (False, True)
    other = await plain(
        "Transaction",
        compare=[C(key=b"{t}a", subject=C.SUBJECT_VERSION, relation=C.RELATION_GREATER, number=0)],
        otherwise=[pb.Operation(get=pb.GetRequest(key=b"{t}b"))],
    )
    assert not other.succeeded
    assert other.results[0].get.record.expiry_ms == 1_000_007


async def test_what_is_there_says_no_in_words_for_programs(plain: Plain) -> None:
    revision = (
        await plain("Put", key=b"{t}", value=b"ten", fence=pb.Fence(lock=b"l", token=5))
    ).revision
    await plain("Put", key=b"most", value=b"%d" % (2**63 - 1))
    precondition = grpc.StatusCode.FAILED_PRECONDITION
    for name, fields, code, reason, number in (
        ("Put", {"value": b"x", "if_absent": True}, precondition, "condition-failed", revision),
        ("Delete", {"if_revision": 99}, precondition, "condition-failed", revision),
        ("Touch", {"if_value": b"no"}, precondition, "condition-failed", revision),
        ("Put", {"fence": pb.Fence(lock=b"l", token=4)}, precondition, "fenced", 5),
        ("Increment", {}, precondition, "not-a-number", None),
        ("Increment", {"key": b"most"}, grpc.StatusCode.OUT_OF_RANGE, "overflow", 2**63 - 1),
    ):
        got, _, metadata = await plain.refused(name, **{"key": b"{t}", **cast("Any", fields)})
        assert got is code
        assert metadata["kvstore-outcome"] == "definite"
        assert metadata["kvstore-reason"] == reason
        assert metadata.get("kvstore-number") == (None if number is None else str(number))


PUT_K = pb.PutRequest(key=b"k", value=b"v")
BAD_TTLS: list[tuple[int, str]] = [
    (0, "ttl_ms is 0"),
    (2**64 - 1, "ttl_ms is 18446744073709551615"),
]


def transaction(*operations: pb.Operation) -> dict[str, Any]:
    return {"then": list(operations)}


def compare(**fields: Any) -> dict[str, Any]:
    return {"compare": [C(key=b"k", **fields)]}


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        *(
            (name, {}, "key has 0 bytes")
            for name in REQUESTS
            if name not in ("GetMany", "Transaction")
        ),
        *(
            (name, {"key": b"k" * 4097}, "key has 4097 bytes")
            for name in REQUESTS
            if name not in ("GetMany", "Transaction")
        ),
        *(
            (name, {"key": b"k", "ttl_ms": ttl_ms}, words)
            for name in ("Put", "Increment", "Append", "Touch")
            for ttl_ms, words in BAD_TTLS
        ),
        *(
            (name, {"key": b"k", "fence": fence}, words)
            for name in ("Put", "Delete", "Increment", "Append", "Touch")
            for fence, words in (
                (pb.Fence(), "fence's token is 0"),
                (pb.Fence(token=1), "fence's lock has 0 bytes"),
                (pb.Fence(lock=bytes(4097), token=1), "fence's lock has 4097 bytes"),
                (pb.Fence(lock=b"l", token=2**63), "fence's token is 9223372036854775808"),
            )
        ),
        ("Put", {"key": b"k", "value": bytes((1 << 20) + 1)}, "value has 1048577 bytes"),
        ("Append", {"key": b"k", "suffix": bytes((1 << 20) + 1)}, "suffix has 1048577 bytes"),
        ("Delete", {"key": b"k", "if_value": bytes((1 << 20) + 1)}, "if_value has 1048577 bytes"),
        ("Put", {"key": b"k", "if_absent": True, "if_revision": 1}, "if_absent goes with neither"),
        ("GetMany", {"keys": [b"k", b""]}, "key has 0 bytes"),
        *(
            (name, {field: key, "consistency": 9}, "consistency 9 is not known here")
            for name, field, key in (("Get", "key", b"k"), ("GetMany", "keys", [b"k"]))
        ),
        *(
            (name, {field: key, "consistency": 3, "max_staleness_ms": 86_400_001}, "max_staleness")
            for name, field, key in (("Get", "key", b"k"), ("GetMany", "keys", [b"k"]))
        ),
        ("GetMany", {"keys": [b"k"] * 10_001}, "10001 keys; the limit is 10000"),
        ("Transaction", {}, "names no key"),
        ("Transaction", transaction(pb.Operation()), r"then[0]: says no operation"),
        (
            "Transaction",
            transaction(
                pb.Operation(put=PUT_K),
                pb.Operation(put=pb.PutRequest(key=b"k", if_absent=True)),
            ),
            "then[1]: if_absent does not stand inside a transaction",
        ),
        (
            "Transaction",
            transaction(pb.Operation(touch=pb.TouchRequest(key=b"k", ttl_ms=0))),
            "then[0]: ttl_ms is 0",
        ),
        ("Transaction", {"then": [pb.Operation(put=PUT_K)] * 1025}, "then has 1025 parts"),
        (
            "Transaction",
            transaction(pb.Operation(put=PUT_K), pb.Operation(get=pb.GetRequest(key=b"another"))),
            "are in different partitions",
        ),
        ("Transaction", compare(subject=1, value=b""), "compare[0]: subject is 1, relation is 0"),
        ("Transaction", compare(relation=1, value=b""), "compare[0]: subject is 0, relation is 1"),
        ("Transaction", compare(subject=5, relation=5), "both must be 1 to 4"),
        ("Transaction", compare(subject=1, relation=1), "a value is compared with a value"),
        (
            "Transaction",
            compare(subject=2, relation=1, value=b"1"),
            "a version is compared with a number",
        ),
    ],
)
async def test_what_breaks_a_rule_is_refused_as_invalid_and_changes_nothing(
    plain: Plain, name: str, fields: dict[str, Any], words: str
) -> None:
    code, details, metadata = await plain.refused(name, **fields)
    assert words in details
    assert code is INVALID
    assert metadata["kvstore-outcome"] == "definite"
    assert plain.cluster.calls == 0


async def test_every_answer_has_a_receipt(plain: Plain) -> None:
    put = pb.PutRequest(key=b"k", value=b"v")
    for name, fields in (
        ("Put", {"key": b"k", "value": b"1"}),
        ("Increment", {"key": b"k"}),
        ("Append", {"key": b"k", "suffix": b"0"}),
        ("Touch", {"key": b"k", "ttl_ms": 9_000}),
        ("Put", {"key": b"k", "value": b"2", "return_previous": True}),
        ("Transaction", transaction(pb.Operation(put=put))),
        ("Get", {"key": b"k"}),
        ("Delete", {"key": b"k", "return_previous": True}),
        ("Delete", {"key": b"k"}),
    ):
        answer = await plain(name, **cast("Any", fields))
        number = plain.cluster.partition_of(b"k")
        partition = plain.cluster.partitions[number]
        assert answer.receipt == pb.Receipt(
            node_id=plain.cluster.leader_of(b"k").name,
            partition_id=number,
            term=7,
            revision=partition.revision,
            index=partition.revision + 1,
            consistency=pb.CONSISTENCY_LINEARIZABLE,
        )
        if name in ("Put", "Delete"):
            assert answer.index == answer.receipt.index


async def test_many_keys_are_read_at_a_level_with_receipts(plain: Plain) -> None:
    keys = [b"key-%d" % number for number in range(600)]
    for key in keys[:20]:
        await plain("Put", key=key, value=b"v")
    behind = {number: each.revision + 1 for number, each in enumerate(plain.cluster.partitions)}
    for level, more in (
        (pb.CONSISTENCY_UNSPECIFIED, {}),
        (pb.CONSISTENCY_SESSION, {"min_indexes": behind}),
        (pb.CONSISTENCY_STALE, {"max_staleness_ms": 5000}),
    ):
        answer = await plain("GetMany", keys=keys, consistency=level, **cast("Any", more))
        assert [record.key for record in answer.records] == keys[:20]
        named = level or pb.CONSISTENCY_LINEARIZABLE
        assert {each.consistency for each in answer.receipts} == {named}
        assert {each.partition_id: each.index for each in answer.receipts} == behind
        ages = {each.age_ms for each in answer.receipts}
        assert ages == {7 if level == pb.CONSISTENCY_STALE else 0}


async def test_records_that_do_not_fit_in_one_answer_are_refused(
    plain: Plain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_calls, "_RESPONSE_BYTES_MAX", 100)
    for key in (b"a", b"b"):
        await plain("Put", key=key, value=bytes(60))
    code, details, _ = await plain.refused("GetMany", keys=[b"a", b"b"])
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "ask for fewer keys" in details
    assert len((await plain("GetMany", keys=[b"a"])).records) == 1
