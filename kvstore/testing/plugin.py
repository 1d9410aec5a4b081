"""The pytest plugin that is installed with kvstore: a real cluster, and clients that find it empty.

Every run of pytest in an environment that has kvstore loads this module. So it loads nothing else:
neither gRPC nor the client, until a test asks for one of the fixtures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from kvstore.client import Client
    from kvstore.local import LocalCluster

CLIENT_TIMEOUT_S: Final = 20.0
"""Of the clients: machines that run tests are busy."""
EVERYTHING: Final = b""
"""The start of the range of all keys."""
_PARTITIONS: Final = 4
_SEGMENT_BYTES: Final = 8 << 20
_READY_TIMEOUT_S: Final = 120.0
_ASYNCIO_PLUGINS: Final = ("asyncio", "pytest_asyncio.plugin")
"""The names under which pytest-asyncio may have been loaded."""


@dataclass(slots=True)
class Freshness:
    """Whether the cluster has been emptied for this test. The first client of a test does it, so
    that what one fixture of a test wrote is there when the next one asks for a client."""

    done: bool = False


def pytest_configure(config: pytest.Config) -> None:
    """Adds the fixture for asyncio where pytest-asyncio can run it."""
    if any(map(config.pluginmanager.hasplugin, _ASYNCIO_PLUGINS)):
        from kvstore.testing import asyncio_fixtures  # noqa: PLC0415 - it needs pytest-asyncio

        config.pluginmanager.register(asyncio_fixtures, "kvstore-asyncio")


@pytest.fixture(scope="session")
def kvstore_cluster_options() -> dict[str, Any]:
    """What `kvstore_cluster` gives to LocalCluster; a conftest.py may put its own in its place."""
    return {
        "nodes": 3,
        "partitions": _PARTITIONS,
        "settings": {"commit_log_segment_bytes": _SEGMENT_BYTES},
        "ready_timeout_s": _READY_TIMEOUT_S,
    }


@pytest.fixture(scope="session")
def kvstore_cluster(kvstore_cluster_options: dict[str, Any]) -> Iterator[LocalCluster]:
    """A cluster of real nodes on free ports of this machine, for the whole run.

    Its data lie in a temporary folder, and go with it.
    """
    from kvstore.local import LocalCluster  # noqa: PLC0415 - see above

    with LocalCluster(**kvstore_cluster_options) as cluster:
        yield cluster


@pytest.fixture
def kvstore_freshness(kvstore_cluster: LocalCluster) -> Freshness:
    """Nodes that an earlier test ended or paused serve again; the clients see to the data."""
    make_whole(kvstore_cluster)
    return Freshness()


@pytest.fixture
def kvstore_client(kvstore_cluster: LocalCluster, kvstore_freshness: Freshness) -> Iterator[Client]:
    """A client of `kvstore_cluster`, in which there are no keys when the test begins."""
    from kvstore.client import Client  # noqa: PLC0415 - see above

    with Client(kvstore_cluster.endpoints, timeout_s=CLIENT_TIMEOUT_S) as client:
        if not kvstore_freshness.done:
            client.delete_range(start=EVERYTHING)
            kvstore_freshness.done = True
        yield client


@pytest.fixture
def kvstore_async_client() -> None:
    """Where there is no pytest-asyncio; else that of `asyncio_fixtures` stands before it."""
    pytest.fail("kvstore_async_client needs pytest-asyncio, which is not installed", pytrace=False)


def make_whole(cluster: LocalCluster) -> None:
    """Resumes nodes that are paused, starts those that are down, waits until all serve."""
    from kvstore.local import ProcessState  # noqa: PLC0415 - see above

    reports = cluster.status()
    for report in reports:
        if report.state is ProcessState.PAUSED:
            cluster.resume(report.node_id)
    if not all(report.serving for report in reports):
        cluster.up()
