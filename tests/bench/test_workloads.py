"""Workloads are the published mixes, and do what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kvstore.bench.generators import KeyCounter
from kvstore.bench.workloads import (
    GET,
    PUT,
    SCAN_ENTRIES_MAX,
    YCSB,
    KeyChoice,
    Kind,
    Operations,
    Workload,
    batches,
    key_of,
    mixed,
)
from kvstore.errors import InvalidArgument, Unavailable


class Store:
    """A client that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.refuses = False

    async def get(self, key: bytes) -> bytes:
        self.asked.append(("get", key))
        return b""

    async def put(self, key: bytes, value: bytes) -> None:
        self.asked.append(("put", key, value))
        if self.refuses:
            raise Unavailable("as told")

    async def put_many(self, items: Mapping[bytes, bytes]) -> None:
        self.asked.append(("put_many", dict(items)))

    def scan(self, **options: Any) -> Any:
        self.asked.append(("scan", SimpleNamespace(**options)))
        return self._nothing()

    async def _nothing(self) -> Any:
        if self.refuses:
            yield b"", b""


def operations(store: Store, workload: Workload, keys: KeyCounter | None = None) -> Operations:
    return Operations(cast("Any", store), workload, keys or KeyCounter(100), b"value", Random(1))


@pytest.mark.parametrize(
    ("name", "mix", "choice"),
    [
        ("ycsb-a", {"read": 0.5, "update": 0.5}, "zipfian"),
        ("ycsb-b", {"read": 0.95, "update": 0.05}, "zipfian"),
        ("ycsb-c", {"read": 1.0}, "zipfian"),
        ("ycsb-d", {"read": 0.95, "insert": 0.05}, "latest"),
        ("ycsb-e", {"scan": 0.95, "insert": 0.05}, "zipfian"),
        ("ycsb-f", {"read": 0.5, "read-modify-write": 0.5}, "zipfian"),
    ],
)
def test_ycsb_is_as_published_and_drawn_so(name: str, mix: dict[str, float], choice: str) -> None:
    workload = YCSB[name]
    assert (workload.mix, workload.choice) == (mix, choice)
    drawing = operations(Store(), workload)
    found = Counter(drawing.next()[0] for _ in range(20_000))
    for kind, share in mix.items():
        assert found[Kind(kind)] / 20_000 == pytest.approx(share, abs=0.01)


async def test_each_kind_asks_for_what_it_is_called() -> None:
    store = Store()
    for workload, asked in (
        (PUT, ["put"]),
        (GET, ["get"]),
        (mixed("mixed", 1.0), ["get"]),
        (batches(8), ["put_many"]),
        (Workload("rmw", {Kind.READ_MODIFY_WRITE: 1.0}, KeyChoice.UNIFORM), ["get", "put"]),
    ):
        store.asked.clear()
        _, begin = operations(store, workload).next()
        await begin()
        assert [each[0] for each in store.asked] == asked
        if len(asked) == 2:
            assert store.asked[0][1] == store.asked[1][1]


async def test_a_batch_has_as_many_different_keys_as_it_says() -> None:
    store = Store()
    drawing = operations(store, batches(64), KeyCounter(64))
    await drawing.next()[1]()
    assert set(store.asked[0][1]) == {key_of(number) for number in range(64)}


async def test_scans_are_of_one_to_a_hundred_entries_equally_often() -> None:
    store = Store()
    workload = Workload("scans", {Kind.SCAN: 1.0}, KeyChoice.ZIPFIAN)
    drawing = operations(store, workload)
    for _ in range(5_000):
        await drawing.next()[1]()
    lengths = Counter(options.limit for _, options in store.asked)
    assert set(lengths) == set(range(1, SCAN_ENTRIES_MAX + 1))
    assert max(lengths.values()) < 2 * 5_000 / SCAN_ENTRIES_MAX


async def test_inserts_are_new_keys_also_after_one_that_failed() -> None:
    store = Store()
    keys = KeyCounter(10)
    drawing = operations(store, Workload("in", {Kind.INSERT: 1.0}, KeyChoice.LATEST), keys)
    await drawing.next()[1]()
    store.refuses = True
    with pytest.raises(Unavailable):
        await drawing.next()[1]()
    assert [each[1] for each in store.asked] == [key_of(10), key_of(11)]
    assert keys.count == 12


def test_proportions_have_to_add_up() -> None:
    with pytest.raises(InvalidArgument, match="do not add up to 1"):
        Workload("half", {Kind.READ: 0.5}, KeyChoice.UNIFORM)


def test_only_what_writes_blindly_needs_no_keys_before() -> None:
    loaded = [w.name for w in (PUT, GET, batches(2), *YCSB.values()) if w.reads]
    assert loaded == ["get", *YCSB]
