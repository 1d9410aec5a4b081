"""Measures what storage promises: memory while a large state is moved, the time of a restart.

    PYTHONPATH=. python tools/measure_storage.py memory --megabytes 500
    PYTHONPATH=. python tools/measure_storage.py restart --keys 1000000

Three local nodes, their defaults but for what is said below; one JSON object at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from kvstore import AsyncClient, LocalCluster
from kvstore.local.catch_up import wait_caught_up

_CALLERS: Final = 256
_MIB: Final = 1 << 20
_WARM_UP_S: Final = 5
_RATE_S: Final = 15


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(required=True)
    memory = commands.add_parser("memory", help="of nodes that send and install a large state")
    memory.add_argument("--megabytes", type=int, default=500)
    memory.add_argument("--value-bytes", type=int, default=4096)
    memory.set_defaults(measure=measure_memory)
    restart = commands.add_parser("restart", help="of all nodes, until all partitions serve")
    restart.add_argument("--keys", type=int, default=1_000_000)
    restart.add_argument("--value-bytes", type=int, default=256)
    restart.set_defaults(measure=measure_restart)
    arguments = parser.parse_args()
    measure: Callable[[Any], dict[str, object]] = arguments.measure
    print(json.dumps(measure(arguments), indent=2))


def measure_memory(arguments: Any) -> dict[str, object]:
    """One partition is filled while a node is down; then it comes back and needs all of it."""
    settings = {"commit_log_segment_bytes": 16 * _MIB, "commit_log_lagging_segments": 1}
    count = arguments.megabytes * _MIB // arguments.value_bytes
    with LocalCluster(partitions=1, settings=settings) as cluster:
        late = cluster.node_ids[-1]
        cluster.kill(late)
        asyncio.run(_load(cluster, count, arguments.value_bytes))
        before = {node: memory_mb(cluster, node, "VmRSS") for node in cluster.node_ids[:-1]}
        began_s = time.monotonic()
        cluster.up()
        wait_caught_up(cluster.endpoints, late, timeout_s=600)
        caught_up_s = time.monotonic() - began_s
        return {
            "state_mb": count * arguments.value_bytes / _MIB,
            "caught_up_s": round(caught_up_s, 1),
            "resident_before_mb": before,
            "peak_mb": {node: memory_mb(cluster, node, "VmHWM") for node in cluster.node_ids},
        }


def measure_restart(arguments: Any) -> dict[str, object]:
    """All nodes are killed after the load, and started again; then one loses its data, and takes
    its place anew while puts go on."""
    with LocalCluster() as cluster:
        began_s = time.monotonic()
        asyncio.run(_load(cluster, arguments.keys, arguments.value_bytes))
        load_s = time.monotonic() - began_s
        for node in cluster.node_ids:
            cluster.kill(node)
        began_s = time.monotonic()
        cluster.up()
        serving_s = time.monotonic() - began_s
        segments = _segments(cluster)
        rejoin = asyncio.run(_rejoin(cluster, arguments.keys, arguments.value_bytes))
        return {
            "keys": arguments.keys,
            "load_s": round(load_s, 1),
            "serving_after_s": round(serving_s, 2),
            "log_segments": segments,
            "rejoin": rejoin,
            "log_segments_at_the_end": _segments(cluster),
            "peak_mb": {node: memory_mb(cluster, node, "VmHWM") for node in cluster.node_ids},
        }


def _segments(cluster: LocalCluster) -> dict[str, int]:
    return {
        node: sum(1 for _ in (cluster.data_dir / node).rglob("*.segment"))
        for node in cluster.node_ids
    }


async def _rejoin(cluster: LocalCluster, keys: int, value_bytes: int) -> dict[str, object]:
    random = Random(2)
    value = random.randbytes(value_bytes)
    done, ends = 0, False

    async def work(client: AsyncClient) -> None:
        nonlocal done
        while not ends:
            await client.put(b"key-%09d" % random.randrange(keys), value, timeout_s=60)
            done += 1

    async with AsyncClient(cluster.endpoints) as client:
        workers = [asyncio.create_task(work(client)) for _ in range(_CALLERS)]
        await asyncio.sleep(_WARM_UP_S)
        before, began_s = done, time.monotonic()
        await asyncio.sleep(_RATE_S)
        usual = (done - before) / (time.monotonic() - began_s)
        late = cluster.node_ids[-1]
        before, began_s = done, time.monotonic()
        cluster.kill(late)
        shutil.rmtree(cluster.data_dir / late / "data")
        await asyncio.to_thread(cluster.start, late, rejoin=True)
        await asyncio.to_thread(wait_caught_up, cluster.endpoints, late, 600)
        took_s = time.monotonic() - began_s
        meanwhile = (done - before) / took_s
        ends = True
        await asyncio.gather(*workers)
    return {
        "puts_per_s_before": round(usual),
        "puts_per_s_meanwhile": round(meanwhile),
        "caught_up_after_s": round(took_s, 1),
    }


async def _load(cluster: LocalCluster, count: int, value_bytes: int) -> None:
    random = Random(1)
    values = [random.randbytes(value_bytes) for _ in range(64)]
    left = iter(range(count))

    async def work(client: AsyncClient, numbers: Iterator[int]) -> None:
        for number in numbers:
            await client.put(b"key-%09d" % number, values[number % len(values)], timeout_s=60)

    async with AsyncClient(cluster.endpoints) as client:
        await asyncio.gather(*(work(client, left) for _ in range(_CALLERS)))


def memory_mb(cluster: LocalCluster, node: str, field: str) -> int:
    """Of a node: `field` of its status in /proc."""
    pid = next(report.pid for report in cluster.status() if report.node_id == node)
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) // 1024
    raise LookupError(field)


if __name__ == "__main__":
    main()
