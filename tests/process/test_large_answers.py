"""Answers of the largest values: many of them in one call never exceed what a message can carry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from kvstore import AsyncClient, LocalCluster, PutResult, Receipt

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

VALUE_BYTES_MAX = 16 << 20


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster(
        nodes=1,
        partitions=4,
        data_dir=tmp_path_factory.mktemp("large") / "cluster",
        settings={"value_bytes_max": VALUE_BYTES_MAX},
    ) as cluster:
        yield cluster


async def test_six_values_of_16_mib_are_replaced_and_read_at_once(one_node: LocalCluster) -> None:
    """Together 96 MiB: more than a message, as previous values and as what is read."""
    values = {b"large/%d" % number: bytes((number,)) * VALUE_BYTES_MAX for number in range(6)}
    async with AsyncClient(one_node.endpoints, timeout_s=120) as kv:
        for key, value in values.items():
            await kv.put(key, value)
        found, one_by_one, pages = await asyncio.gather(
            kv.get_many(values),
            asyncio.gather(*(kv.get(key) for key in values)),
            _scanned(kv),
        )
        assert found == pages == values
        assert one_by_one == list(values.values())
        receipts: list[Receipt] = []
        replaced = await asyncio.gather(
            *(kv.put(key, "small", return_previous=True, receipts=receipts) for key in values)
        )
        for result, value in zip(replaced, values.values(), strict=True):
            assert isinstance(result, PutResult)
            assert result.previous is not None
            assert result.previous.value == value
        records = await kv.get_many_records(values, consistency="session")
        assert [record.value for record in records.values()] == [b"small"] * 6
        assert {record.version for record in records.values()} == {2}, "each was put once more"


async def _scanned(kv: AsyncClient) -> dict[bytes, bytes]:
    return {key: value async for key, value in kv.scan(prefix=b"large/")}
