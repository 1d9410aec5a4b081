"""A cluster whose nodes run in network namespaces, which iptables breaks: as root only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kvstore.chaos.local_target import LocalTarget
from kvstore.chaos.mesh import both_ways
from kvstore.chaos.namespaces import commands
from kvstore.chaos.network_kind import NetworkKind
from kvstore.chaos.schedule import FaultKind
from kvstore.chaos.watcher import Wholeness
from kvstore.client import AsyncClient
from kvstore.errors import KVStoreError, Unavailable

WAIT_S = 60.0

pytestmark = [pytest.mark.process, pytest.mark.timeout(150)]


@pytest.fixture(autouse=True)
def _where_they_can_be_made() -> None:
    """Root in a container may have all commands, and not be allowed to use them."""
    lacking = commands.missing()
    if lacking is None:
        name = f"kvprobe-{os.getpid()}"
        rule = ("iptables", "-w", "5", "-A", "INPUT", "-s", "10.0.0.1", "-j", "DROP")
        try:
            commands.run(("ip", "netns", "add", name))
            try:
                commands.run(("ip", "-n", name, "link", "add", "hub", "type", "bridge"))
                commands.run(("ip", "netns", "exec", name, *rule))
            finally:
                commands.run(("ip", "netns", "delete", name))
        except Unavailable as problem:
            lacking = str(problem)
    if lacking is not None:
        pytest.skip(f"network namespaces: {lacking}")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await condition():
            await asyncio.sleep(0.05)


def own_names() -> list[str]:
    """Namespaces and links of this process."""
    found = [*commands.namespaces(), *commands.links()]
    return [name for name in found if name.startswith(f"kvchaos-{os.getpid()}")]


async def test_a_leader_that_is_cut_off_loses_its_partitions_and_comes_back(tmp_path: Path) -> None:
    target = LocalTarget(nodes=3, partitions=4, network=NetworkKind.NAMESPACES)
    try:
        await target.open([FaultKind.PARTITION], tmp_path / "cluster")
        assert len(own_names()) == len(("hub", "n1", "n2", "n3", "link"))
        async with AsyncClient(target.endpoints, timeout_s=WAIT_S) as client:
            await client.gather_leaders("n2")
            await client.put(b"key", b"1")
            cut = [pair for other in ("n1", "n3") for pair in both_ways("n2", other)]
            await target.mesh.cut(cut)

            async def is_led_by_others() -> bool:
                leaders = {group.leader for group in (await client.status()).partitions}
                return leaders <= {"n1", "n3"}

            await until(is_led_by_others)
            for number in range(20):
                await client.put(b"key/%d" % number, b"2")
            await client.put(b"key", b"2")
            await target.mesh.clear(cut)
            whole = Wholeness(target.nodes)

            async def is_whole() -> bool:
                try:
                    return not whole.missing(await client.status())
                except KVStoreError:
                    return False

            await until(is_whole)
            assert await client.get(b"key") == b"2"
            # The process that is known is the node itself, not what put it into its namespace.
            await target.kill("n1")
            await target.start("n1")
            await until(is_whole)
    finally:
        await target.close()
    assert own_names() == []
