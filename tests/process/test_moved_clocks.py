"""Clocks of real nodes, moved by the file that each follows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from kvstore.chaos.local_target import LocalTarget
from kvstore.chaos.schedule import FaultKind
from kvstore.chaos.target import ClockMove
from kvstore.client import AsyncClient
from kvstore.client.status import NodeStatus

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

AHEAD_S = 300.0
WAIT_S = 60.0


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[LocalTarget]:
    target = LocalTarget(nodes=3, partitions=4)
    try:
        await target.open([FaultKind.CLOCK], tmp_path / "cluster")
        yield target
    finally:
        await target.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_a_clock_that_jumps_takes_timers_and_lifetimes_with_it_and_no_data(
    target: LocalTarget,
) -> None:
    async with AsyncClient(target.endpoints, timeout_s=WAIT_S) as client:

        async def status(node: str) -> NodeStatus:
            (found,) = [n for n in (await client.status()).nodes if n.node_id == node]
            return found

        async def uptime_s(node: str) -> float:
            return (await status(node)).uptime_s or 0.0

        async def has_ended() -> bool:
            return await client.get(b"lives") is None

        began_s = time.monotonic()
        await client.gather_leaders("n2")
        await client.put(b"stays", b"1")
        await client.put(b"lives", b"1", ttl=AHEAD_S / 2)
        assert not await has_ended()
        await target.move_clocks("n2", ClockMove(ahead_s=AHEAD_S, wall_s=-3600.0))
        assert await uptime_s("n2") > AHEAD_S
        assert await uptime_s("n3") < AHEAD_S
        # The leader's clock says that the key has lived long enough; nothing else has changed.
        await until(has_ended)
        assert await client.get(b"stays") == b"1"
        # Its timers are the event loop's, which found itself so late.
        assert ((await status("n2")).loop_lag_ms_max or 0.0) > AHEAD_S * 1000 / 2
        # Set right, it runs as before and stays ahead; a fast one gains.
        await target.move_clocks("n2", ClockMove())
        await target.move_clocks("n3", ClockMove(rate=20.0))

        async def has_gained() -> bool:
            return await uptime_s("n3") > 2 * (time.monotonic() - began_s)

        await until(has_gained)
        assert AHEAD_S < await uptime_s("n2") < AHEAD_S + 2 * WAIT_S
        await client.put(b"stays", b"2")
        assert await client.get(b"stays", consistency="session") == b"2"
