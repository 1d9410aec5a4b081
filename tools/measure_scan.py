"""Measures what scans promise: memory of client and nodes while all keys are read, in order.

    PYTHONPATH=. python tools/measure_scan.py --keys 1000000

Three local nodes with their defaults, started anew after the load; each scan in a client process of
its own. One JSON object at the end: for each scan its time, and by how much the resident memory of
client and nodes peaked above what it was when nothing was done.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

from kvstore import AsyncClient, LocalCluster

_CALLERS: Final = 512
_SETTLE_S: Final = 3.0
SCANS: Final[dict[str, Callable[[AsyncClient], AsyncIterator[Any]]]] = {
    "scan": lambda kv: kv.scan(timeout_s=60),
    "reverse": lambda kv: kv.scan(reverse=True, timeout_s=60),
    "consistent": lambda kv: kv.scan(consistent=True, timeout_s=60),
    "keys only": lambda kv: kv.scan_keys(timeout_s=60),
}


def main() -> None:
    """The command line; the client processes are started with --client."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--value-bytes", type=int, default=256)
    parser.add_argument("--client", nargs=2, metavar=("ENDPOINTS", "WHAT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        print(json.dumps(asyncio.run(be_client(*arguments.client))))
    else:
        print(json.dumps(measure(arguments.keys, arguments.value_bytes), indent=2))


def measure(keys: int, value_bytes: int) -> dict[str, object]:
    """Loads the cluster, starts its nodes anew, and has each kind of scan done."""
    with LocalCluster() as cluster:
        began_s = time.monotonic()
        asyncio.run(_load(cluster, keys, value_bytes))
        load_s = time.monotonic() - began_s
        for node in cluster.node_ids:
            cluster.stop(node)
        cluster.up()
        time.sleep(_SETTLE_S)
        pids = {report.node_id: report.pid for report in cluster.status()}
        idle = {node: _memory_mb(pid, "VmRSS") for node, pid in pids.items()}
        results: dict[str, object] = {
            "keys": keys,
            "load_s": round(load_s, 1),
            "nodes_idle_mb": idle,
        }
        for what in (*SCANS, "count"):
            results[what] = _measure_one(cluster, what, keys, idle)
        return results


def _measure_one(
    cluster: LocalCluster, what: str, keys: int, idle: Mapping[str, int]
) -> dict[str, object]:
    pids = {report.node_id: report.pid for report in cluster.status()}
    for pid in pids.values():
        _forget_peak(pid)
    line = [sys.executable, __file__, "--client", cluster.endpoints, what]
    finished = subprocess.run(line, capture_output=True, text=True, check=True)
    said: dict[str, Any] = json.loads(finished.stdout)
    if said["entries"] != keys or not said["in_order"]:
        raise SystemExit(f"{what}: {said['entries']} entries of {keys}, in order: {said}")
    above = {node: _memory_mb(pid, "VmHWM") - idle[node] for node, pid in pids.items()}
    return {
        "seconds": said["seconds"],
        "client_idle_mb": said["idle_mb"],
        "client_above_idle_mb": said["peak_mb"] - said["idle_mb"],
        "nodes_above_idle_mb": above,
    }


async def be_client(endpoints: str, what: str) -> dict[str, object]:
    """One client: what it finds, and its memory before and at most."""
    async with AsyncClient(endpoints) as kv:
        await asyncio.gather(*(kv.get(b"%d" % number, timeout_s=60) for number in range(200)))
        idle_mb = _memory_mb(None, "VmRSS")
        _forget_peak(None)
        began_s = time.monotonic()
        entries, in_order = 0, True
        if what == "count":
            entries = await kv.count(timeout_s=60)
        else:
            last: bytes | None = None
            async for entry in SCANS[what](kv):
                key = entry if isinstance(entry, bytes) else entry[0]
                in_order &= last is None or (key < last if what == "reverse" else key > last)
                last = key
                entries += 1
        return {
            "entries": entries,
            "in_order": in_order,
            "seconds": round(time.monotonic() - began_s, 1),
            "idle_mb": idle_mb,
            "peak_mb": _memory_mb(None, "VmHWM"),
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


def _forget_peak(pid: int | None) -> None:
    """From now on VmHWM is the peak since now (proc(5), clear_refs)."""
    Path(f"/proc/{pid or 'self'}/clear_refs").write_text("5", encoding="ascii")


def _memory_mb(pid: int | None, field: str) -> int:
    for line in Path(f"/proc/{pid or 'self'}/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) // 1024
    raise LookupError(field)


if __name__ == "__main__":
    main()
