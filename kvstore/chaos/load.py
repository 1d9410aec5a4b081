"""The load: clients in this process, each with its sessions, asking at a steady rate."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from kvstore.chaos.recorder import Recorder
from kvstore.chaos.session import Session
from kvstore.chaos.workloads import Workload
from kvstore.client import AsyncClient
from kvstore.client.channel import OpenChannel
from kvstore.errors import KVStoreError

_TIMEOUT_S = 3.0
_READ_BACK_TIMEOUT_S = 30.0


class Load:
    """Clients and what they ask of a cluster."""

    def __init__(
        self,
        endpoints: str,
        open_channel: OpenChannel,
        recorder: Recorder,
        workloads: Sequence[Workload],
        *,
        clients: int,
        rate: float,
        seed: int,
    ) -> None:
        """`rate`: operations a second of all clients together, at most; 0: as many as there are
        answers."""
        self._endpoints = endpoints
        self._open_channel = open_channel
        self._recorder = recorder
        self._workloads = tuple(workloads)
        self._clients = clients
        self._pause_s = clients / rate if rate else 0.0
        self._seed = seed
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def client(self, timeout_s: float = _TIMEOUT_S) -> AsyncClient:
        """One more client of the cluster, which the caller closes."""
        return AsyncClient(self._endpoints, timeout_s=timeout_s, open_channel=self._open_channel)

    async def prepare(self) -> None:
        """What the workloads need to be there first; raises KVStoreError."""
        async with self.client(_READ_BACK_TIMEOUT_S) as client:
            session = Session(0, client, self._recorder)
            for workload in self._workloads:
                await workload.prepare(session)

    def start(self) -> None:
        """Begins."""
        self._tasks = [
            asyncio.create_task(self._ask(number)) for number in range(1, self._clients + 1)
        ]

    def check(self) -> None:
        """Raises what ended a client that should go on: a mistake of the tool."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def stop(self) -> None:
        """Asks for nothing more; returns when everything under way has ended."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def read_back(self, timeout_s: float) -> bool:
        """Reads everything, with a client that has seen nothing; whether all was answered in time.

        What is under way when the time is over counts as not known.
        """
        try:
            async with self.client(_READ_BACK_TIMEOUT_S) as client, asyncio.timeout(timeout_s):
                sessions = [
                    Session(self._clients + 1 + number, client, self._recorder)
                    for number in range(len(self._workloads))
                ]
                done = await asyncio.gather(
                    *(w.read_back(s) for w, s in zip(self._workloads, sessions, strict=True))
                )
        except (TimeoutError, KVStoreError):
            return False
        return all(done)

    async def delete(self, prefix: bytes) -> None:
        """Deletes all keys with `prefix`: those of this run. Raises KVStoreError."""
        async with self.client(_READ_BACK_TIMEOUT_S) as client:
            await client.delete_range(prefix=prefix)

    async def _ask(self, number: int) -> None:
        random = Random(f"chaos {self._seed} client {number}")
        async with self.client() as client:
            session = Session(number, client, self._recorder)
            while not self._stopping.is_set():
                await random.choice(self._workloads).step(session, random)
                if self._pause_s:
                    await self._pause(random.expovariate(1 / self._pause_s))

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            return
