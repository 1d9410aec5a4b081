"""Finding the cluster, its leaders and its map, and following them."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from cluster.ids import NodeId, PartitionId, ReplicaId
from cluster.partition.map import ClusterMap, ClusterSettings, NodeInfo, PartitionInfo
from kvstore.client import AsyncClient, refresh
from kvstore.client.routing import Routes
from kvstore.errors import Unavailable
from kvstore.generated.kvstore.v1 import kv_pb2
from tests.client import fake_cluster as fake
from tests.client.fake_cluster import FakeCluster, Fault, until

# --- the first map


async def test_a_dead_first_endpoint_is_passed_over(cluster: FakeCluster) -> None:
    port, sock = fake.free_port()
    endpoints = [f"127.0.0.1:{port}", cluster.nodes[2].address]
    for seed in range(4):
        async with AsyncClient(endpoints, random=Random(seed)) as kv:
            await kv.put("key", "value")
    sock.close()


async def test_a_silent_endpoint_does_not_hold_up_the_others(cluster: FakeCluster) -> None:
    async def silence(_: object) -> None:
        await cluster.nodes[1].release.wait()

    cluster.nodes[1].map_fault = silence
    async with asyncio.timeout(refresh.ASK_TIMEOUT_S):
        for seed in range(4):
            async with AsyncClient(cluster.endpoints, random=Random(seed)) as kv:
                await kv.cluster_map()


async def test_without_a_map_the_error_names_each_endpoint_and_why(cluster: FakeCluster) -> None:
    port, sock = fake.free_port()
    cluster.tell_partitions = False
    endpoints = [f"127.0.0.1:{port}", cluster.nodes[1].address]
    async with AsyncClient(endpoints) as kv:
        with pytest.raises(Unavailable) as caught:
            await kv.put("key", "value", timeout_s=0.3)
    sock.close()
    assert f"127.0.0.1:{port} (GetMap: UNAVAILABLE" in str(caught.value)
    assert f"{cluster.nodes[1].address} (the cluster is still starting" in str(caught.value)


async def test_a_cluster_that_is_starting_is_waited_for(cluster: FakeCluster) -> None:
    cluster.tell_partitions = False
    async with AsyncClient(cluster.endpoints) as kv:
        writing = asyncio.create_task(kv.put("key", "value"))
        await until(lambda: sum(node.map_calls for node in cluster.nodes.values()) >= 4)
        cluster.tell_partitions = True
        await writing


async def test_many_first_callers_share_one_question(cluster: FakeCluster) -> None:
    async with AsyncClient(cluster.nodes[1].address) as kv:
        await asyncio.gather(*(kv.put(f"key-{i}", "") for i in range(100)))
    assert cluster.nodes[1].map_calls == 1


# --- leaders


async def test_a_redirect_is_followed_at_once_and_remembered(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "1")
    old = cluster.leader_of(b"key")
    new = cluster.nodes[old.replica % 3 + 1]
    cluster.partitions[cluster.partition_of(b"key")].leader = new.replica
    old.calls.clear()
    new.calls.clear()
    await kv.put("key", "2")
    await kv.put("key", "3")
    assert (len(old.calls), len(new.calls)) == (1, 2)
    assert sum(node.map_calls for node in cluster.nodes.values()) == 1


async def test_without_hints_the_leader_is_found_among_the_replicas(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.tell_leaders = False
    for node in cluster.nodes.values():
        node.always = hintless()
    await asyncio.gather(*(kv.put(f"key-{i}", "") for i in range(20)))
    assert len(cluster.data) == 20


def hintless() -> Fault:
    """Honest answers without the names of leaders."""

    async def answer(
        node: fake.FakeNode, request: kv_pb2.BatchRequest, context: fake.Context
    ) -> kv_pb2.BatchResponse:
        response = node.honest(request)
        response.leaders[:] = [0] * len(response.leaders)
        return response

    return answer


async def test_nodes_that_point_at_each_other_are_asked_with_backoff(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    not_leader = kv_pb2.SECTION_STATUS_NOT_LEADER
    for node in cluster.nodes.values():
        node.always = fake.every_section(not_leader, leader=node.replica % 3 + 1)
    with pytest.raises(Unavailable, match="does not lead"):
        await kv.put("key", "value", timeout_s=1)
    assert cluster.calls < 40


async def test_a_leader_that_hangs_is_left_for_the_new_one(cluster: FakeCluster) -> None:
    old, new = cluster.lead_all(1), cluster.nodes[2]
    async with AsyncClient(cluster.endpoints, timeout_s=20) as kv:
        await kv.put("key", "1")
        old.always = fake.hang
        stuck = asyncio.create_task(kv.put("key", "stuck"))
        await until(lambda: len(old.calls) == 2)
        cluster.lead_all(2)
        await until(lambda: leader_in(kv, b"key", cluster) == new.replica)
        await kv.put("key", "new")
        assert not stuck.done()
        old.release.set()
        await asyncio.gather(stuck, return_exceptions=True)


@pytest.mark.usefixtures("patient")
async def test_what_waits_for_a_leader_that_hangs_goes_to_the_new_one(
    cluster: FakeCluster,
) -> None:
    old = cluster.lead_all(1)
    async with AsyncClient(cluster.endpoints, timeout_s=20) as kv:
        await kv.put("key", "1")
        old.always = fake.hang
        stuck = asyncio.create_task(kv.put("key", "stuck"))
        await until(lambda: len(old.calls) == 2)
        waiting = asyncio.create_task(kv.put("key", "waits"))
        cluster.lead_all(2)
        await kv.cluster_map()
        await waiting
        assert cluster.data[b"key"] == b"waits"
        assert not stuck.done()
        old.release.set()
        await asyncio.gather(stuck, return_exceptions=True)


async def test_a_hint_to_a_leader_that_is_down_is_not_believed(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "value")
    node = cluster.leader_of(b"key")
    await fake.cut_off(kv, node)
    with pytest.raises(Unavailable):
        await kv.get("key", timeout_s=0.2)
    assert (await kv.locate("key")).leader is None


async def test_nothing_is_sent_to_a_suspected_node_although_its_connection_is_open(
    cluster: FakeCluster,
) -> None:
    suspected: set[str] = set()
    async with AsyncClient(cluster.endpoints, suspects=suspected.__contains__) as kv:
        await kv.put("key", "before")
        node = cluster.leader_of(b"key")
        suspected.add(node.address)
        node.calls.clear()
        for operation in (kv.put("key", "x", timeout_s=0.3), kv.get("key", timeout_s=0.3)):
            with pytest.raises(Unavailable):
                await operation
        assert node.calls == []
        suspected.clear()
        assert await kv.get("key") == b"before"


async def test_another_that_leads_is_found_while_the_old_leader_is_suspected(
    cluster: FakeCluster,
) -> None:
    suspected: set[str] = set()
    cluster.lead_all(1)
    async with AsyncClient(cluster.endpoints, suspects=suspected.__contains__) as kv:
        await kv.put("key", "before")
        suspected.add(cluster.nodes[1].address)
        cluster.lead_all(2)
        await kv.put("key", "after")
        assert cluster.data[b"key"] == b"after"


def leader_in(kv: AsyncClient, key: bytes, cluster: FakeCluster) -> int | None:
    """Who leads the key's partition as far as the client knows."""
    assert kv._dispatcher is not None
    return kv._dispatcher.board.known_routes.route(PartitionId(cluster.partition_of(key))).leader


async def test_one_stuck_partition_does_not_hold_up_the_others(cluster: FakeCluster) -> None:
    node = cluster.lead_all(1)
    async with AsyncClient(node.address, timeout_s=20) as kv:
        keys = [cluster.keys_of(partition, 1)[0] for partition in range(4)]
        await kv.put(keys[0], "")
        node.always = fake.hang_partitions({0})
        stuck = [asyncio.create_task(kv.put(keys[0], "")) for _ in range(2)]
        beside = [asyncio.create_task(kv.put(key, "")) for key in keys[1:]]
        await until(lambda: len(node.calls) == 2)
        async with asyncio.timeout(5):
            for _ in range(20):
                await asyncio.gather(*(kv.put(key, "") for key in keys[1:]))
        assert not any(task.done() for task in stuck)
        assert not any(task.done() for task in beside)  # they travel with the stuck one
        assert len(node.calls) < 60
        node.release.set()
        await asyncio.gather(*stuck, *beside)


# --- newer maps


async def test_a_newer_map_in_an_answer_replaces_the_cached_one(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "value")
    cluster.epoch = 5
    await kv.put("key", "value")
    await kv.put("key", "value")
    requests = cluster.leader_of(b"key").calls
    assert [request.map_epoch for request in requests] == [1, 1, 5]
    assert {request.cluster_id for request in requests} == {fake.CLUSTER_ID}


async def test_a_node_that_moved_is_found_at_its_new_address(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await kv.put("key", "1")
    node = cluster.leader_of(b"key")
    await fake.cut_off(kv, node)
    node.port, node._held = fake.free_port()
    cluster.epoch += 1
    await node.start()
    await kv.put("key", "2")
    assert cluster.data[b"key"] == b"2"


async def test_a_map_of_another_cluster_or_of_before_is_not_taken(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    cluster.epoch = 3
    assert (await kv.cluster_map()).epoch == 3
    cluster.epoch = 2
    with pytest.raises(Unavailable, match="knows an older map, epoch 2"):
        await kv.cluster_map(timeout_s=0.3)
    cluster.epoch = 4
    cluster.cluster_id = "other"
    with pytest.raises(Unavailable, match=f"belongs to cluster other, not {kv_cluster(kv)}"):
        await kv.cluster_map(timeout_s=0.3)


def kv_cluster(kv: AsyncClient) -> str:
    assert kv._dispatcher is not None
    return kv._dispatcher.board.known_routes.map.cluster_id


async def test_rounds_of_questions_are_rate_limited(kv: AsyncClient, cluster: FakeCluster) -> None:
    for node in cluster.nodes.values():
        node.always = fake.every_section(kv_pb2.SECTION_STATUS_UNAVAILABLE)
    writes = (kv.put(f"key-{i}", "", timeout_s=0.5) for i in range(50))
    await asyncio.gather(*writes, return_exceptions=True)
    assert sum(node.map_calls for node in cluster.nodes.values()) < 10


# --- what a user can ask


async def test_locate_names_partition_leader_and_replicas(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    location = await kv.locate("key")
    assert location.key == b"key"
    assert location.partition == cluster.partition_of(b"key")
    assert location.leader == cluster.leader_of(b"key").name
    assert location.replicas == ("n1", "n2", "n3")


async def test_status_shows_leaders_and_lag_and_marks_who_is_not_there(
    kv: AsyncClient, cluster: FakeCluster
) -> None:
    await cluster.nodes[3].stop()
    status = await kv.status()
    assert [node.is_reachable for node in status.nodes] == [True, True, False]
    assert status.nodes[2].problem is not None
    assert status.nodes[0].version == "0.1.0"
    assert [partition.leader for partition in status.partitions] == ["n1", "n2", None, "n1"]
    assert status.partitions[0].lag == {"n2": 2, "n3": 3}
    assert status.partitions[2].lag is None
    assert not status.is_healthy


# --- routes, without a network


def make_map(epoch: int = 1, partitions: int = 3) -> ClusterMap:
    nodes = tuple(NodeInfo(ReplicaId(i), NodeId(f"n{i}"), f"h:{i}") for i in (1, 2, 3))
    replicas = (ReplicaId(1), ReplicaId(2), ReplicaId(3))
    infos = tuple(PartitionInfo(PartitionId(i), replicas) for i in range(partitions))
    return ClusterMap("c", epoch, nodes, infos, ClusterSettings(partitions, 3, 4096, 1 << 20))


def nobody_down(_: ReplicaId) -> bool:
    return False


def test_without_a_leader_replicas_are_asked_in_turn() -> None:
    route = Routes(make_map()).route(PartitionId(0))
    asked = []
    for _ in range(4):
        asked.append(route.target(nobody_down))
        route.blame(asked[-1])
    assert asked == [1, 2, 3, 1]


def test_replicas_that_are_down_are_passed_over_while_there_are_others() -> None:
    route = Routes(make_map()).route(PartitionId(0))
    assert route.target(lambda replica: replica in (1, 2)) == 3
    assert route.target(lambda _: True) == 1


def test_leaders_survive_a_newer_map_and_strangers_are_not_believed() -> None:
    routes = Routes(make_map())
    assert routes.learn({PartitionId(1): ReplicaId(2)}) == [1]
    assert routes.learn({PartitionId(1): ReplicaId(2)}) == []
    assert routes.learn({PartitionId(1): ReplicaId(9), PartitionId(77): ReplicaId(1)}) == []
    routes.replace(make_map(epoch=2))
    assert routes.route(PartitionId(1)).leader == 2
    routes.route(PartitionId(1)).blame(ReplicaId(3))
    assert routes.route(PartitionId(1)).leader == 2
    routes.route(PartitionId(1)).blame(ReplicaId(2))
    assert routes.route(PartitionId(1)).target(nobody_down) == 3
