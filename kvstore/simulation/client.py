"""A simulated client: a machine with the real client library, and workers that use it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

import grpc.aio

from kvstore.client import AsyncClient
from kvstore.client.outcomes import Verdict, judge
from kvstore.errors import InvalidArgument, KVStoreError, Outcome
from kvstore.generated.kvstore.v1 import kv_pb2
from kvstore.simulation.machine import Machine
from kvstore.simulation.recorder import Op, Recorder

if TYPE_CHECKING:
    from kvstore.simulation.cluster import Cluster

KEY_PREFIX: Final = b"key/"
_SCAN_PREFIX: Final = KEY_PREFIX.decode()
_PUT_UNTIL: Final = 0.45
_DELETE_UNTIL: Final = 0.55
_WITNESSED: Final = 0.5
"""Share of writes that another client reads as soon as they are acknowledged."""
_MOMENTS_MAX: Final = 4
_GIVE_UP: Final = 0.05
"""Share of operations whose caller is cancelled in the middle."""
_IMPATIENT: Final = 0.1
"""Share of operations with little time: those that travel with them have more."""
_LITTLE_TIME: Final = (0.01, 0.3)
"""Of what the others have."""


class SimulatedClient(Machine):
    """See the module."""

    def __init__(self, cluster: Cluster, number: int, recorder: Recorder) -> None:
        super().__init__(cluster.kernel, f"c{number}")
        self.number: Final = number
        self._cluster = cluster
        self._recorder = recorder
        self._load = cluster.shape.load
        self._random: Random = cluster.kernel.random(f"client {number}")
        self._keys = [KEY_PREFIX + b"%d" % key for key in range(self._load.keys)]
        self._written = 0
        self._scans = 0
        self._lives = 0
        self._open: dict[int, None] = {}
        self._library: AsyncClient | None = None
        self.is_stopping = False
        """Its workers begin no more operations."""
        self.tasks: list[asyncio.Task[None]] = []
        self.found: Final[dict[bytes, bytes | None]] = {}
        """What it read last, by key."""
        self.witnesses: list[SimulatedClient] = []
        """Clients that read what this one has just written."""

    def start(self) -> None:
        """Begins to work, in a new process."""
        loop = self.new_process()
        self._lives += 1
        endpoints = self._cluster.endpoints
        self._library = AsyncClient(
            self._random.sample(endpoints, self._random.randint(1, len(endpoints))),
            timeout_s=self._load.timeout_s,
            random=Random(self._random.getrandbits(64)),
            open_channel=partial(self.open_channel, self._cluster),
        )
        self.tasks = [loop.spawn(self._work()) for _ in range(self._load.workers)]

    def vanish(self) -> None:
        """Its process ends in the middle of whatever it does."""
        self.note("vanish")
        self.end_process()
        for number in self._open:
            self._recorder.end(number, "unknown")
        self._open.clear()

    @property
    def library(self) -> AsyncClient:
        """The client library of the process that runs."""
        if self._library is None:
            raise ValueError(f"{self.name} was not started")
        return self._library

    def hurry(self, within_s: float) -> None:
        """Begins some operations more within that time, beside what its workers do; several at the
        same moment, so that they travel together."""
        random = self._random
        moments_s = [random.uniform(0, within_s) for _ in range(random.randint(1, _MOMENTS_MAX))]
        if self.loop is not None:
            for _ in range(random.randint(0, self._load.burst_max)):
                self.loop.call_later(random.choice(moments_s), self._begin_one)

    def _begin_one(self) -> None:
        if self.loop is not None and not self.is_stopping:
            self.loop.spawn(self._limited(self._operate()))

    # What its workers do

    async def _work(self) -> None:
        random, load = self._random, self._load
        while True:
            await asyncio.sleep(random.expovariate(1 / load.think_s_mean))
            if self.is_stopping:
                return
            await self._limited(self.scan() if random.random() < load.scans else self._operate())

    async def _limited(self, operation: Coroutine[Any, Any, object]) -> None:
        """Runs an operation; some callers lose patience, and cancel it."""
        if self._random.random() >= _GIVE_UP:
            await operation
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._random.expovariate(1 / 0.005)):
                await operation

    async def _operate(self) -> None:
        random, load = self._random, self._load
        key = random.choice(self._keys)
        choice = random.random()
        op: Op = "put" if choice < _PUT_UNTIL else "delete" if choice < _DELETE_UNTIL else "get"
        if load.plain and random.random() < load.plain:
            await self.operate_plainly(op, key, random.choice(self._cluster.endpoints))
        else:
            await self.operate(op, key, self._draw_timeout_s())

    def _draw_timeout_s(self) -> float:
        timeout_s = self._load.timeout_s
        if self._random.random() < _IMPATIENT:
            timeout_s *= self._random.uniform(*_LITTLE_TIME)
        return timeout_s

    async def operate(self, op: Op, key: bytes, timeout_s: float | None = None) -> bool:
        """One operation by the client library; whether it was done."""
        value = self._new_value() if op == "put" else None
        number = self._invoke(op, key, value)
        try:
            if value is not None:
                await self.library.put(key, value, timeout_s=timeout_s)
                self._end(number, "ok")
                self._call_witness(key)
            elif op == "delete":
                self._end(number, "ok", applied=await self.library.delete(key, timeout_s=timeout_s))
            else:
                found = self.found[key] = await self.library.get(key, timeout_s=timeout_s)
                self._end(number, "ok", output=found)
        except InvalidArgument:
            raise  # The workload breaks no rule.
        except KVStoreError as problem:
            definite = problem.outcome is Outcome.DEFINITE
            self._end(number, "fail" if definite else "unknown")
            return False
        except asyncio.CancelledError:
            self._end(number, "unknown")
            raise
        return True

    def _call_witness(self, key: bytes) -> None:
        """Lets another client read `key` at once. It may believe in another leader, and whoever
        answers from what is old is found out in this moment or not at all."""
        if self.witnesses and self._random.random() < _WITNESSED:
            self._random.choice(self.witnesses).witness(key)

    def witness(self, key: bytes) -> None:
        """Reads `key` now, beside what its workers do."""
        if self.loop is not None and not self.is_stopping:
            self.loop.spawn(self._limited(self.operate("get", key)))

    async def operate_plainly(self, op: Op, key: bytes, address: str) -> None:
        """One operation by the plain service of some node, as a caller without the library has."""
        value = self._new_value() if op == "put" else None
        number = self._invoke(op, key, value)
        channel = self.open_channel(self._cluster, address)
        try:
            if value is not None:
                put = channel.method("/kvstore.v1.KV/Put", kv_pb2.PutResponse.FromString)
                await put(kv_pb2.PutRequest(key=key, value=value), timeout=self._load.timeout_s)
                self._end(number, "ok")
            elif op == "delete":
                delete = channel.method("/kvstore.v1.KV/Delete", kv_pb2.DeleteResponse.FromString)
                answer = await delete(kv_pb2.DeleteRequest(key=key), timeout=self._load.timeout_s)
                self._end(number, "ok", applied=answer.deleted)
            else:
                get = channel.method("/kvstore.v1.KV/Get", kv_pb2.GetResponse.FromString)
                answer = await get(kv_pb2.GetRequest(key=key), timeout=self._load.timeout_s)
                found = answer.record.value if answer.HasField("record") else None
                self._end(number, "ok", output=found)
        except grpc.aio.AioRpcError as problem:
            definite = judge(problem, address).verdict is not Verdict.UNKNOWN
            self._end(number, "fail" if definite else "unknown")
        except asyncio.CancelledError:
            self._end(number, "unknown")
            raise
        finally:
            if channel in self.channels:  # not after this life of the client
                self.channels.remove(channel)
            await channel.close()

    async def scan(self) -> None:
        """All keys, in one scan: a read of each at some moment of it. Each second scan is in
        reverse, each third one of one moment in each partition."""
        self._scans += 1
        scan = self.library.scan(
            prefix=_SCAN_PREFIX, reverse=self._scans % 2 == 0, consistent=self._scans % 3 == 0
        )
        numbers = {key: self._invoke("get", key, None) for key in self._keys}
        found: dict[bytes, bytes] = {}
        try:
            async with contextlib.aclosing(scan) as entries:
                found = {key: value async for key, value in entries}
        except KVStoreError:
            for number in numbers.values():
                self._end(number, "fail")
            return
        except asyncio.CancelledError:
            for number in numbers.values():
                self._end(number, "unknown")
            raise
        for key, number in numbers.items():
            self._end(number, "ok", output=found.get(key))

    @property
    def keys(self) -> list[bytes]:
        """Those that the load is on."""
        return self._keys

    def _new_value(self) -> bytes:
        """A value that nobody else writes, and this client not again."""
        self._written += 1
        size = self._random.randint(0, self._load.value_bytes_max)
        return b"%d.%d" % (self.number, self._written) + b"." * size

    def _invoke(self, op: Op, key: bytes, value: bytes | None) -> int:
        number = self._recorder.invoke(self.number, op, key, value)
        self._open[number] = None
        return number

    def _end(self, number: int, *args: Any, **named: Any) -> None:
        del self._open[number]
        self._recorder.end(number, *args, **named)
