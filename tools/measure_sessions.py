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
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import grpc.aio

from cluster.partition.ranges import partition_of_hash
from kvstore import AsyncClient, LocalCluster
from kvstore.client.direct_channel import DirectChannel
from kvstore.codec.change import Action, Change, decode_answer, encode_change, increment_operand
from kvstore.codec.command import CLIENT_ID_BYTES, OperationKind, Stamp, encode_command
from kvstore.codec.results import Results, decode_results
from kvstore.codec.routing import key_hash
from kvstore.generated.kvstore.v1 import kv_pb2
from tools.measure_storage import memory_mb

_PARTITIONS: Final = 16
_STEPS: Final = 5
_CALLERS: Final = 16
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
        visits = Visits(library, keys)
        for key in keys.values():
            await library.delete(key)
        await visits.find_leaders()
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

    def __init__(self, library: AsyncClient, keys: dict[int, bytes]) -> None:
        self._library = library
        self._keys = keys
        self._random = Random(1)
        self._channels: dict[str, DirectChannel] = {}
        self._leaders: dict[int, str] = {}
        """Addresses, by partition."""
        self._applied = dict.fromkeys(keys, 0)
        """The index of the last answer, by partition."""
        self.made = dict.fromkeys(keys, 0)
        """Increments, by partition."""
        self.again = 0

    async def come(self, clients: int) -> None:
        """So many more, about: one for each partition at a time."""
        rounds = clients // len(self._keys) // _CALLERS
        await asyncio.gather(*(self._come(rounds) for _ in range(_CALLERS)))

    async def close(self) -> None:
        """Ends the connections."""
        for channel in self._channels.values():
            await channel.close()

    async def find_leaders(self) -> None:
        """Who leads what now."""
        nodes = (await self._library.cluster_map()).nodes
        addresses = {str(node.node_id): node.address for node in nodes}
        for partition, key in self._keys.items():
            leader = (await self._library.locate(key)).leader
            if leader is not None:
                self._leaders[partition] = addresses[str(leader)]
        for address in self._leaders.values():
            if address not in self._channels:
                self._channels[address] = DirectChannel(address)

    async def _come(self, rounds: int) -> None:
        for _ in range(rounds):
            commands = {partition: self._command(partition) for partition in self._keys}
            sums = await self._insist(commands)
            if self._random.random() < _AGAIN:
                self.again += len(commands)
                if await self._insist(commands) != sums:
                    raise SystemExit("a command that was sent again had another result")
            for partition in commands:
                self.made[partition] += 1

    async def _insist(self, commands: dict[int, bytes]) -> dict[int, int]:
        """Sends commands, under the same stamps, until all are applied; their sums."""
        sums: dict[int, int] = {}
        while True:
            led: dict[str, list[int]] = {}
            for partition in commands.keys() - sums.keys():
                led.setdefault(self._leaders[partition], []).append(partition)
            parts = (self._send(each, of_one, commands) for each, of_one in led.items())
            for found in await asyncio.gather(*parts):
                sums |= found
            if len(sums) == len(commands):
                return sums
            await asyncio.sleep(0.1)
            await self.find_leaders()

    async def _send(
        self, address: str, partitions: list[int], commands: dict[int, bytes]
    ) -> dict[int, int]:
        request = kv_pb2.BatchRequest(
            partition_ids=partitions,
            kinds=[kv_pb2.SECTION_KIND_WRITE] * len(partitions),
            bodies=[commands[partition] for partition in partitions],
        )
        try:
            response = await self._channels[address].batch(request, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return {}
        found = {}
        answers = zip(
            partitions, response.statuses, response.results, response.indexes, strict=True
        )
        for partition, status, result, index in answers:
            if status == kv_pb2.SECTION_STATUS_OK:
                self._applied[partition] = max(self._applied[partition], index)
                found[partition] = _sum_in(result)
        return found

    def _command(self, partition: int) -> bytes:
        client = self._random.randbytes(CLIENT_ID_BYTES)
        stamp = Stamp(client, 1, 1, self._applied[partition])
        kinds = bytes([OperationKind.CHANGE])
        return encode_command(kinds, [self._keys[partition]], [_ONE_MORE], stamp)


def _sum_in(result: bytes) -> int:
    outcome = decode_results(result)
    extras = outcome.extras if isinstance(outcome, Results) else None
    if not extras or extras[0] is None:
        raise SystemExit(f"not applied: {outcome}")
    return decode_answer(extras[0]).number


def _keys() -> dict[int, bytes]:
    """A counter in each partition."""
    keys: dict[int, bytes] = {}
    for number in count():
        key = b"visits/%d" % number
        keys.setdefault(int(partition_of_hash(key_hash(key), _PARTITIONS)), key)
        if len(keys) == _PARTITIONS:
            break
    return keys


def _disk_mb(cluster: LocalCluster, node: str) -> float:
    folder = Path(cluster.data_dir) / node
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return round(sum(512 * each.st_blocks for each in files) / _MIB, 1)


if __name__ == "__main__":
    main()
