"""The fixture for tests that are coroutines. Loaded only where pytest-asyncio is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest_asyncio

from kvstore.testing.plugin import CLIENT_TIMEOUT_S, EVERYTHING, Freshness

if TYPE_CHECKING:
    from kvstore.client import AsyncClient
    from kvstore.local import LocalCluster


@pytest_asyncio.fixture
async def kvstore_async_client(
    kvstore_cluster: LocalCluster, kvstore_freshness: Freshness
) -> AsyncIterator[AsyncClient]:
    """The same for asyncio, on the loop that pytest-asyncio has for fixtures of functions."""
    from kvstore.client import AsyncClient  # noqa: PLC0415 - not before a test asks for it

    async with AsyncClient(kvstore_cluster.endpoints, timeout_s=CLIENT_TIMEOUT_S) as client:
        if not kvstore_freshness.done:
            await client.delete_range(start=EVERYTHING)
            kvstore_freshness.done = True
        yield client
