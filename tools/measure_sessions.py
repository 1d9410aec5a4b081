"""Measures what many short-lived clients leave behind on real nodes: memory and disk.

    PYTHONPATH=. python tools/measure_sessions.py --clients 100000

Three local nodes with short logs. Each client has a session of its own, increments one counter in
one partition, and is never seen again; one in ten sends its command twice, and has to get the same
result. Counters are checked in the end; one JSON object is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

from cluster.partition.ranges import partition_of_hash
from kvstore import AsyncClient, LocalCluster
from kvstore.client.channel import GrpcChannel
from kvstore.codec.change import Action, Change, decode_answer, encode_change, increment_operand
from kvstore.codec.command import CLIENT_ID_BYTES, OperationKind, Stamp, encode_command
from kvstore.codec.results import Results, decode_results
from kvstore.codec.routing import key_hash
from kvstore.generated.kvstore.v1 import kv_pb2
from tools.measure_storage import memory_mb

_PARTITIONS: Final = 16
_STEPS: Final = 5
_CALLS: Final = 16
"""Under way to each node."""
_AGAIN: Final = 0.1
"""Share of calls that are sent twice."""
_TIMEOUT_S: Final = 30.0
_MIB: Final = 1 << 20
_ONE_MORE: Final = encode_change(Change(Action.INCREMENT, increment_operand(1, 0)))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--clients", type=int, default=100_000)
    print(json.dumps(measure(parser.parse_args().clients), indent=2))


def measure(clients: int) -> list[dict[str, object]]:
    """What there is after each part of the clients."""
    settings = {"commit_log_segment_bytes": 8 * _MIB, "commit_log_kept_segments": 1}
    with LocalCluster(partitions=_PARTITIONS, settings=settings) as cluster:
        return asyncio.run(_measure(cluster, clients))


async def _measure(cluster: LocalCluster, clients: int) -> list[dict[str, object]]:
    found = []
    async with AsyncClient(cluster.endpoints) as library:
        keys = _keys()
        visits = Visits(keys, await _leaders(library, keys))
        try:
            for _ in range(_STEPS):
                began_s = time.monotonic()
                await visits.come(clients // _STEPS)
                found.append(
                    {
                        "clients": sum(visits.made.values()),
                        "sent_again": visits.again,
                        "resident_mb": {
                            n: memory_mb(cluster, n, "VmRSS") for n in cluster.node_ids
                        },
                        "disk_mb": {n: _disk_mb(cluster, n) for n in cluster.node_ids},
                        "took_s": round(time.monotonic() - began_s, 1),
                    }
                )
                print(json.dumps(found[-1]), flush=True)
        finally:
            await visits.close()
        for partition, key in keys.items():
            value = int(await library.get(key) or b"0")
            if value != visits.made[partition]:
                raise SystemExit(f"{key!r} is {value}, after {visits.made[partition]} increments")
    return found


class Visits:
    """Clients that come once."""

    def __init__(self, keys: dict[int, bytes], leaders: dict[int, str]) -> None:
        self._keys = keys
        self._random = Random(1)
        self._channels = {address: GrpcChannel(address) for address in set(leaders.values())}
        self._led = {
            address: [partition for partition in keys if leaders[partition] == address]
            for address in self._channels
        }
        self._applied = dict.fromkeys(keys, 0)
        """The index of the last answer, by partition."""
        self.made = dict.fromkeys(keys, 0)
        """Increments, by partition."""
        self.again = 0

    async def come(self, clients: int) -> None:
        """So many more, about, in calls of one client for each partition of a node."""
        rounds = clients // len(self._keys) // _CALLS
        await asyncio.gather(
            *(self._call(address, rounds) for address in self._led for _ in range(_CALLS))
        )

    async def close(self) -> None:
        """Ends the connections."""
        for channel in self._channels.values():
            await channel.close()

    async def _call(self, address: str, rounds: int) -> None:
        channel, partitions = self._channels[address], self._led[address]
        for _ in range(rounds):
            request = kv_pb2.BatchRequest(
                partition_ids=partitions,
                kinds=[kv_pb2.SECTION_KIND_WRITE] * len(partitions),
                bodies=[self._command(partition) for partition in partitions],
            )
            response = await channel.batch(request, timeout=_TIMEOUT_S)
            sums = _sums(response)
            if self._random.random() < _AGAIN:
                self.again += len(partitions)
                if _sums(await channel.batch(request, timeout=_TIMEOUT_S)) != sums:
                    raise SystemExit("a command that was sent again had another result")
            for partition, index in zip(partitions, response.indexes, strict=True):
                self._applied[partition] = max(self._applied[partition], index)
                self.made[partition] += 1

    def _command(self, partition: int) -> bytes:
        client = self._random.randbytes(CLIENT_ID_BYTES)
        stamp = Stamp(client, 1, 1, self._applied[partition])
        kinds = bytes([OperationKind.CHANGE])
        return encode_command(kinds, [self._keys[partition]], [_ONE_MORE], stamp)


def _sums(response: kv_pb2.BatchResponse) -> list[int]:
    return list(_each_sum(response))


def _each_sum(response: kv_pb2.BatchResponse) -> Iterator[int]:
    for status, result in zip(response.statuses, response.results, strict=True):
        outcome = decode_results(result) if status == kv_pb2.SECTION_STATUS_OK else None
        if not isinstance(outcome, Results) or not outcome.extras or outcome.extras[0] is None:
            raise SystemExit(f"not applied: {response.details} {outcome}")
        yield decode_answer(outcome.extras[0]).number


def _keys() -> dict[int, bytes]:
    """A counter in each partition."""
    keys: dict[int, bytes] = {}
    for number in count():
        key = b"visits/%d" % number
        keys.setdefault(int(partition_of_hash(key_hash(key), _PARTITIONS)), key)
        if len(keys) == _PARTITIONS:
            break
    return keys


async def _leaders(library: AsyncClient, keys: dict[int, bytes]) -> dict[int, str]:
    """Addresses, by partition; each has a leader, having taken a write."""
    addresses = {str(node.node_id): node.address for node in (await library.cluster_map()).nodes}
    leaders = {}
    for partition, key in keys.items():
        await library.delete(key)
        leaders[partition] = addresses[str((await library.locate(key)).leader)]
    return leaders


def _disk_mb(cluster: LocalCluster, node: str) -> float:
    folder = Path(cluster.data_dir) / node
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return round(sum(512 * each.st_blocks for each in files) / _MIB, 1)


if __name__ == "__main__":
    main()
