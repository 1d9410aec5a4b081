"""What breaks a rule is named, is refused before it is sent, and changes nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kvstore.client import AsyncClient, AsyncScan, Client, SyncScan
from kvstore.errors import InvalidArgument, Outcome
from tests.client.background import Background
from tests.client.bad_arguments import CASES
from tests.client.fake_cluster import FakeCluster

ELSEWHERE = {
    *("lock", "backup", "scrub", "gather_leaders", "spread_leaders"),  # in the tests of each
    *("token", "index_of", "aclose", "close", "status", "cluster_map"),  # nothing can be wrong
}


@pytest.mark.parametrize("client", [AsyncClient, Client])
def test_every_operation_is_among_them(client: type[AsyncClient] | type[Client]) -> None:
    public = {name for name in dir(client) if not name.startswith("_")}
    assert public - ELSEWHERE == {name for name, *_ in CASES}


async def _begun(call: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Makes the call; a scan is asked for its first entry."""
    result = call(*arguments, **options)
    await (anext(result) if isinstance(result, AsyncScan) else result)


def _begun_in_thread(call: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    result = call(*arguments, **options)
    if isinstance(result, SyncScan):
        next(result)


@pytest.mark.parametrize(("name", "arguments", "options", "words"), CASES)
async def test_the_async_client_refuses_it(
    kv: AsyncClient,
    cluster: FakeCluster,
    name: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(words)) as caught:
        await _begun(getattr(kv, name), arguments, options)
    assert caught.value.outcome is Outcome.DEFINITE
    assert cluster.calls == 0


def test_the_client_for_threads_refuses_the_same(background: Background) -> None:
    with Client(background.cluster.endpoints) as kv:
        for name, arguments, options, words in CASES:
            with pytest.raises(InvalidArgument, match=re.escape(words)):
                _begun_in_thread(getattr(kv, name), arguments, options)
    assert background.cluster.calls == 0
