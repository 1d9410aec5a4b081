"""What breaks a rule is named, is refused before it is sent, and changes nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kvstore.client import AsyncClient, Client
from kvstore.errors import InvalidArgument, Outcome
from tests.client.background import Background
from tests.client.bad_arguments import CASES
from tests.client.fake_cluster import FakeCluster


def test_every_operation_that_writes_is_among_them() -> None:
    operations = {name for name, *_ in CASES}
    named = {
        *("put", "delete", "increment", "append", "touch", "put_many", "transaction"),
        *("get", "get_record", "get_many", "get_many_records"),
    }
    assert operations == named


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
        await getattr(kv, name)(*arguments, **options)
    assert caught.value.outcome is Outcome.DEFINITE
    assert cluster.calls == 0


def test_the_client_for_threads_refuses_the_same(background: Background) -> None:
    with Client(background.cluster.endpoints) as kv:
        for name, arguments, options, words in CASES:
            with pytest.raises(InvalidArgument, match=re.escape(words)):
                getattr(kv, name)(*arguments, **options)
    assert background.cluster.calls == 0
