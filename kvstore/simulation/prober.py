"""The client that comes when the faults are over: it insists until everything is done."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from cluster.ids import PartitionId
from cluster.partition.map import ClusterMap
from cluster.partition.ranges import partition_of_hash
from kvstore.client import AsyncClient
from kvstore.codec.routing import key_hash
from kvstore.errors import KVStoreError
from kvstore.simulation.client import SimulatedClient
from kvstore.simulation.recorder import Op, Recorder
from kvstore.simulation.visitor import COUNTERS, LISTS, MORTALS, REGISTERS

if TYPE_CHECKING:
    from kvstore.simulation.cluster import Cluster

_PREFIX: Final = b"probe/"
_TIMEOUT_S: Final = 2.0
_LOOKS_EVERY_S: Final = 0.5
_MAP: Final = "the cluster's map"


class Prober(SimulatedClient):
    """Writes and reads in every partition that has a majority, and reads all keys of the load:
    those with a lifetime until they have ended."""

    def __init__(
        self, cluster: Cluster, number: int, recorder: Recorder, healthy: list[str]
    ) -> None:
        super().__init__(cluster, number, recorder)
        self._healthy = healthy
        self.missing: Final[dict[str, None]] = {_MAP: None}
        """What is not done yet."""

    def start(self) -> None:
        """Begins to probe."""
        loop = self.new_process()
        self._library = AsyncClient(
            self._cluster.endpoints,
            timeout_s=_TIMEOUT_S,
            random=self.kernel.random("prober"),
            open_channel=partial(self.open_channel, self._cluster),
        )
        self.tasks = [loop.spawn(self._probe())]

    async def _probe(self) -> None:
        cluster_map = await self._find_map()
        partitions = len(cluster_map.partitions)
        served = frozenset(self._cluster.served_partitions(cluster_map, self._healthy))
        ops: dict[bytes, tuple[Op, ...]] = {
            key: ("get",)
            for key in (*self.keys, *COUNTERS, *LISTS, *REGISTERS, *MORTALS)
            if partition_of_hash(key_hash(key), partitions) in served
        }
        for partition in sorted(served):
            ops[_key_in(partition, partitions)] = ("put", "get")
        for key in ops:
            self.missing[key.decode()] = None
        del self.missing[_MAP]
        if self.loop is not None:
            # All at once: what is slow somewhere does not hold up the rest.
            self.tasks += [
                self.loop.spawn(self._insist(key, of_key)) for key, of_key in ops.items()
            ]

    async def _find_map(self) -> ClusterMap:
        while True:
            try:
                return await self.library.cluster_map()
            except KVStoreError as problem:
                self.say("probe", str(problem))

    async def _insist(self, key: bytes, ops: tuple[Op, ...]) -> None:
        for op in ops:
            while not await self.operate(op, key):
                pass
        while key in MORTALS and self.found[key] is not None:
            await asyncio.sleep(_LOOKS_EVERY_S)
            await self.operate("get", key)
        del self.missing[key.decode()]


def _key_in(partition: PartitionId, partitions: int) -> bytes:
    """A key of that partition."""
    return next(
        key
        for key in (_PREFIX + b"%d" % number for number in count())
        if partition_of_hash(key_hash(key), partitions) == partition
    )
