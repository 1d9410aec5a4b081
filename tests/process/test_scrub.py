"""A value that changes on a real node's disk, with checksums that fit, is found and named."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.ids import GroupId, ReplicaId, group_of
from cluster.partition.map import ClusterMap
from kvstore import AsyncClient
from kvstore.client.connection import Connections
from kvstore.client.direct_channel import DirectChannel
from kvstore.client.scrub import ScrubRun, ScrubVerdict
from kvstore.codec.record import HEADER_BYTES
from kvstore.local import LocalCluster
from kvstore.storage.keys import Section, section_end, section_prefix
from kvstore.storage.rocks_engine import RocksEngine
from tests.conftest import Command

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

GROUP = GroupId(1)


def change_a_value(folder: Path) -> None:
    """Writes one value of partition 0 anew, as RocksDB would: all its checksums are right."""
    engine = RocksEngine(str(folder / "engine"))
    start = section_prefix(GROUP, 0, Section.DATA)
    end = section_end(GROUP, 0, Section.DATA)
    page = engine.scan(start, end, limit=1, bytes_max=1 << 20)
    record = page.values[0]
    batch = engine.new_batch()
    batch.put(page.keys[0], record[:HEADER_BYTES] + b"never written")
    engine.write(batch)
    engine.flush()
    engine.close()


def with_other_replicas(newest: ClusterMap) -> ClusterMap:
    """The map as it was before all nodes were rebuilt."""

    def other(replica: ReplicaId) -> ReplicaId:
        return ReplicaId(replica + 100)

    return replace(
        newest,
        nodes=tuple(replace(node, replica=other(node.replica)) for node in newest.nodes),
        partitions=tuple(
            replace(info, replicas=tuple(map(other, info.replicas))) for info in newest.partitions
        ),
        next_replica=ReplicaId(200),
    )


async def test_a_scrub_goes_on_with_nodes_that_have_become_other_replicas(
    cluster: LocalCluster,
) -> None:
    async with AsyncClient(cluster.endpoints) as client:
        newest = await client.cluster_map()
        connections = Connections(lambda _address: False, DirectChannel)
        groups = [group_of(info.partition) for info in newest.partitions]
        run = ScrubRun(
            connections,
            with_other_replicas(newest),
            groups,
            newest_map=client.cluster_map,
            timeout_s=10.0,
            progress=lambda _done, _of: None,
        )
        found = await run.run()
        await connections.keep_only(())
    assert {each.verdict for each in found} == {ScrubVerdict.AGREED}
    nodes = {replica.node for each in found for replica in each.replicas}
    assert nodes == set(cluster.node_ids)


def test_a_node_whose_data_changed_is_named_and_rebuilt(command: Command, tmp_path: Path) -> None:
    with LocalCluster(nodes=3, partitions=2, data_dir=tmp_path / "cluster") as cluster:
        at = ("--endpoints", cluster.endpoints, "--timeout", "20")
        for number in range(40):
            assert command(*at, "put", f"key{number}", f"value {number}").code == 0
        sound = command(*at, "scrub", "--output", "json")
        assert sound.code == 0, sound.err
        found = json.loads(sound.out)
        assert found["agreed"]
        assert [each["partition"] for each in found["partitions"]] == ["meta", 0, 1]
        assert all(len(each["replicas"]) == 3 for each in found["partitions"])

        cluster.stop("n3")
        change_a_value(cluster.data_dir / "n3" / "data")
        cluster.start("n3")
        damaged = command(*at, "scrub", "--partition", "0", "--output", "json")
        assert damaged.code == 1, damaged.err
        (partition,) = json.loads(damaged.out)["partitions"]
        assert partition["verdict"] == "diverged"
        findings = {each["node"]: each["finding"] for each in partition["replicas"]}
        assert findings == {"n1": "sound", "n2": "sound", "n3": "damaged"}

        status = json.loads(command(*at, "status", "--output", "json").out)
        assert [node["scrub_mismatches"] for node in status["nodes"][:2]] == [1, 1]
        for number in range(40):
            got = command(*at, "get", f"key{number}")
            assert got.out == f"value {number}".encode()
        # It gives its data up, and gets them anew from the others.
        deadline_s = time.monotonic() + 60
        while findings != {"n1": "sound", "n2": "sound", "n3": "sound"}:
            assert time.monotonic() < deadline_s, cluster.logs("n3", lines=20)
            again = command(*at, "scrub", "--partition", "0", "--output", "json")
            (partition,) = json.loads(again.out)["partitions"]
            findings = {each["node"]: each["finding"] for each in partition["replicas"]}
        said = "a scrub has found the state of partition 0 on replica 3 damaged"
        assert said in cluster.logs("n3")
        assert [each["replica"] for each in partition["replicas"] if each["node"] == "n3"] == [4]
