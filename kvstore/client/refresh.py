"""Asks nodes for the cluster map: one round at a time, shared by all who want to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

import grpc.aio

from kvstore.client.channel import ConnectionClosed, call
from kvstore.client.connection import Connections
from kvstore.client.outcomes import judge
from kvstore.client.retry import BACKOFF_S_MAX, backoff_s
from kvstore.generated.kvstore.v1 import admin_pb2, map_pb2

ASK_TIMEOUT_S: Final = 1.0
STAGGER_S: Final = 0.1
"""The next node is asked when one has not answered for so long; the first good answer counts."""
INTERVAL_S_MIN: Final = 0.1
"""Between two rounds of one client."""

Adopt = Callable[[map_pb2.ClusterMap], str | None]
"""Takes a map that was answered, or says what is wrong with it."""


class Refresher:
    """Runs rounds of Admin.GetMap over the user's endpoints and the nodes of the map."""

    __slots__ = (
        "_addresses",
        "_adopt",
        "_avoid",
        "_connections",
        "_failures",
        "_not_before_s",
        "_random",
        "_round",
        "problems",
    )

    def __init__(
        self,
        connections: Connections,
        addresses: Callable[[], Iterable[str]],
        adopt: Adopt,
        random: Random,
    ) -> None:
        self._connections = connections
        self._addresses = addresses
        self._adopt = adopt
        self._random = random
        self._round: asyncio.Task[bool] | None = None
        self._avoid: set[str] = set()
        self._failures = 0
        self._not_before_s = 0.0
        self.problems: dict[str, str] = {}
        """By address: why its last answer was none, or no good."""

    def request(self, avoid: str | None = None) -> asyncio.Task[bool]:
        """The round under way, or a new one; True: a map was taken.

        `avoid` names an address that is asked last, because it is suspected to know the least.
        """
        if avoid is not None:
            self._avoid.add(avoid)
        if self._round is None or self._round.done():
            self._round = asyncio.get_running_loop().create_task(self._run())
        return self._round

    async def close(self) -> None:
        """Ends the round under way."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.wait((self._round,))

    def report(self) -> str:
        """Which addresses were tried, and why each was of no help."""
        tried = (
            f"{address} ({self.problems.get(address, 'no answer yet')})"
            for address in dict.fromkeys(self._addresses())
        )
        return ", ".join(tried)

    async def _run(self) -> bool:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._not_before_s - loop.time()))
        taken = await self._ask_all()
        self._avoid.clear()
        self._failures = 0 if taken else self._failures + 1
        pause_s = INTERVAL_S_MIN
        if self._failures:
            pause_s = min(BACKOFF_S_MAX, pause_s + backoff_s(self._failures, self._random))
        self._not_before_s = loop.time() + pause_s
        return taken

    def _candidates(self) -> list[str]:
        """All addresses: those that are likely to know before the others, else in random order."""
        addresses = list(dict.fromkeys(self._addresses()))
        self._random.shuffle(addresses)
        return sorted(
            addresses,
            key=lambda address: (address in self._avoid, self._connections.is_down(address)),
        )

    async def _ask_all(self) -> bool:
        # In order, where asyncio has sets: whoever runs it in virtual time gets the same run again.
        asked: dict[asyncio.Task[bool], None] = {}
        loop = asyncio.get_running_loop()
        candidates = self._candidates()
        try:
            while candidates or asked:
                if candidates:
                    asked[loop.create_task(self._ask(candidates.pop(0)))] = None
                done, _ = await asyncio.wait(
                    asked,
                    timeout=STAGGER_S if candidates else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                ended = [task for task in asked if task in done]
                for task in ended:
                    del asked[task]
                if any(task.result() for task in ended):
                    return True
            return False
        finally:
            for task in asked:
                task.cancel()
            if asked:
                await asyncio.wait(asked)

    async def _ask(self, address: str) -> bool:
        connection = self._connections.to(address)
        try:
            response = await call(connection.get_map, admin_pb2.GetMapRequest(), ASK_TIMEOUT_S)
        except (grpc.aio.AioRpcError, ConnectionClosed) as error:
            problem: str | None = judge(error, "GetMap").detail
        else:
            problem = self._adopt(response.map)
        if problem is not None:
            self.problems[address] = problem
            return False
        self.problems.pop(address, None)
        return True
