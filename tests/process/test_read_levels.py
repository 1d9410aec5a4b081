"""Session and stale reads from real nodes, while leaders are killed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import grpc
import pytest

from kvstore import AsyncClient, Client, LocalCluster, Stale
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.verify.history import History
from kvstore.verify.operation import Ending, Kind, Operation, Receipt
from kvstore.verify.sessions import judge_sessions
from tests.support.leading import leading_node
from tests.support.sessions import SessionWorkload

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

TASKS = 32
READS = 1000
KILLS = 2


async def test_sessions_never_go_back_while_leaders_are_killed(tmp_path: Path) -> None:
    with LocalCluster(data_dir=tmp_path / "cluster") as cluster:
        async with AsyncClient(cluster.endpoints, random=Random(1)) as client:
            load = SessionWorkload(client, TASKS, pause_s=0.01)
            load.start()
            await load.reads_more(READS)
            assert set(load.served_by) == set(cluster.node_ids), "all replicas serve"
            for _ in range(KILLS):
                victim = await leading_node(client)
                cluster.kill(victim)
                await load.reads_more(READS)
                await asyncio.to_thread(cluster.up)
                await load.reads_more(READS)
            await load.finish()
            assert load.writes > 0
            assert load.failed == 0, load.last_error


async def test_a_session_goes_on_in_another_client_and_its_history_is_judged_good(
    cluster: LocalCluster,
) -> None:
    history = History()
    async with AsyncClient(cluster.endpoints) as one, AsyncClient(cluster.endpoints) as two:
        for number in range(100):
            writer, reader = (one, two) if number % 2 else (two, one)
            key = f"levels/moves/{number % 7}"
            started = asyncio.get_running_loop().time()
            revision = await writer.put(key, str(number))
            wrote = asyncio.get_running_loop().time()
            await reader.merge_token(writer.token())
            answer = await reader.read(key, consistency="session")
            read = asyncio.get_running_loop().time()
            assert answer.value == str(number).encode()
            partition, receipt = answer.receipt.partition, answer.receipt
            for kind, begin, end, at in (
                (Kind.PUT, started, wrote, Receipt(revision)),
                (Kind.GET, wrote, read, Receipt(receipt.revision, receipt.term, "session")),
            ):
                history.add(
                    Operation(
                        client=1,
                        op=kind,
                        key=key.encode(),
                        invoked_ns=int(begin * 1e9) + 1,
                        outcome=Ending.OK,
                        returned_ns=int(end * 1e9),
                        input=str(number).encode() if kind is Kind.PUT else None,
                        output=answer.value if kind is Kind.GET else None,
                        partition=partition,
                        receipt=at,
                    )
                )
    assert judge_sessions(history) == []


async def test_stale_reads_go_on_without_a_leader_as_long_as_their_bound_allows(
    tmp_path: Path,
) -> None:
    with LocalCluster(nodes=3, partitions=1, data_dir=tmp_path / "cluster") as cluster:
        async with AsyncClient(cluster.endpoints, random=Random(1)) as client:
            await client.put("key", "value")
            for _ in range(9):
                assert await client.get("key", consistency=Stale(30.0)) == b"value"
            leader = await leading_node(client)
            cluster.kill(leader)
            nodes = set()
            for _ in range(20):
                answer = await client.read("key", consistency=Stale(30.0))
                assert answer.value == b"value"
                assert answer.receipt.age_s is not None
                assert answer.receipt.age_s <= 30.0
                nodes.add(answer.receipt.node)
            assert leader not in nodes


async def test_a_fresh_stale_read_sees_what_was_written_just_before(cluster: LocalCluster) -> None:
    async with AsyncClient(cluster.endpoints) as client, AsyncClient(cluster.endpoints) as other:
        for number in range(30):
            await client.put("levels/fresh", str(number))
            answer = await other.read("levels/fresh", consistency=Stale(0.0))
            assert answer.value == str(number).encode()
            assert answer.receipt.age_s == 0.0


async def test_plain_calls_name_levels_and_get_receipts(cluster: LocalCluster) -> None:
    async with grpc.aio.insecure_channel(cluster.addresses["n2"]) as channel:
        put = channel.unary_unary(
            "/kvstore.v1.KV/Put",
            request_serializer=pb.PutRequest.SerializeToString,
            response_deserializer=pb.PutResponse.FromString,
        )
        get = channel.unary_unary(
            "/kvstore.v1.KV/Get",
            request_serializer=pb.GetRequest.SerializeToString,
            response_deserializer=pb.GetResponse.FromString,
        )
        written = await put(pb.PutRequest(key=b"levels/plain", value=b"1"), timeout=10)
        assert written.index > 0
        for level in (pb.CONSISTENCY_LINEARIZABLE, pb.CONSISTENCY_SESSION, pb.CONSISTENCY_STALE):
            request = pb.GetRequest(key=b"levels/plain", consistency=level, max_staleness_ms=5000)
            request.min_index = written.index if level == pb.CONSISTENCY_SESSION else 0
            answer = await get(request, timeout=10)
            assert answer.receipt.consistency == level
            assert answer.receipt.node_id in cluster.node_ids
            if level != pb.CONSISTENCY_STALE:
                assert answer.record.value == b"1"
                assert answer.receipt.index >= written.index
        with pytest.raises(grpc.aio.AioRpcError, match="consistency 9 is not known here"):
            await get(pb.GetRequest(key=b"levels/plain", consistency=9), timeout=10)  # type: ignore[arg-type]


def test_the_client_of_threads_has_levels_and_tokens(cluster: LocalCluster) -> None:
    with Client(cluster.endpoints) as one, Client(cluster.endpoints) as two:
        one.put("levels/threads", "1")
        two.merge_token(one.token())
        assert two.get("levels/threads", consistency="session") == b"1"
        record = two.get_record("levels/threads", consistency=Stale(0.0))
        assert record is not None
        assert record.value == b"1"
        assert two.read("levels/threads").receipt.level == "linearizable"
