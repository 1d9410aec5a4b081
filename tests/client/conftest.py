from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from random import Random

import pytest

from kvstore.client import AsyncClient, lane
from tests.client.background import Background, in_background
from tests.client.fake_cluster import FakeCluster, running


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    """Three nodes, four partitions; leaders n1, n2, n3, n1."""
    async with running() as cluster:
        yield cluster


@pytest.fixture
async def kv(cluster: FakeCluster) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(cluster.endpoints, random=Random(1)) as client:
        yield client


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call is ever overdue, so that what waits behind it waits however slow the machine is."""
    monkeypatch.setattr(lane, "OVERDUE_S_MIN", 60.0)
    monkeypatch.setattr(lane, "OVERDUE_S_MAX", 60.0)


@pytest.fixture
def background() -> Iterator[Background]:
    """The same, on an event loop in another thread."""
    with in_background() as background:
        yield background
