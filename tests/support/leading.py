"""Whom to kill so that most is felt of it."""

from __future__ import annotations

from collections import Counter

from kvstore import AsyncClient


async def leading_node(client: AsyncClient) -> str:
    """The node that leads most partitions."""
    status = await client.status()
    # Under load a node may not say in time what it leads.
    leaders = [str(group.leader) for group in status.partitions if group.leader is not None]
    return Counter(leaders).most_common(1)[0][0]
