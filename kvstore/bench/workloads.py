"""What is asked of the cluster: mixes of operations over keys that are chosen in some way.

ycsb-a to ycsb-f are YCSB's core workloads by their published definitions: proportions, choice of
keys, lengths of scans. Other than there, a record is one value rather than ten fields: an update
writes all of it, and its size is what the user says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Final

from kvstore.bench.generators import (
    Generator,
    KeyCounter,
    ScrambledZipfian,
    SkewedLatest,
    Uniform,
)
from kvstore.errors import InvalidArgument

if TYPE_CHECKING:
    from kvstore.client import AsyncClient

SCAN_ENTRIES_MAX: Final = 100
KEY_PREFIX: Final = b"bench/"


@unique
class Kind(StrEnum):
    """What one operation does."""

    READ = "read"
    UPDATE = "update"
    INSERT = "insert"
    SCAN = "scan"
    READ_MODIFY_WRITE = "read-modify-write"
    BATCH = "batch"
    """Several puts, awaited together (`put_many`)."""


@unique
class KeyChoice(StrEnum):
    """How keys are chosen."""

    UNIFORM = "uniform"
    ZIPFIAN = "zipfian"
    """Scrambled."""
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Workload:
    """A mix."""

    name: str
    mix: Mapping[Kind, float]
    """Proportions; they add up to 1."""
    choice: KeyChoice
    batch: int = 1
    """Puts in one operation of kind BATCH."""

    def __post_init__(self) -> None:
        if abs(sum(self.mix.values()) - 1.0) > 1e-9 or min(self.mix.values()) < 0:
            raise InvalidArgument(f"the proportions of {self.name} do not add up to 1: {self.mix}")

    @property
    def reads(self) -> bool:
        """Whether keys have to be there before it begins."""
        return not self.mix.keys() <= {Kind.UPDATE, Kind.BATCH}


def _only(name: str, kind: Kind) -> Workload:
    return Workload(name, {kind: 1.0}, KeyChoice.UNIFORM)


def mixed(name: str, reads: float) -> Workload:
    """Reads and updates of uniformly chosen keys."""
    mix = {Kind.READ: reads, Kind.UPDATE: 1.0 - reads}
    return Workload(name, {kind: share for kind, share in mix.items() if share}, KeyChoice.UNIFORM)


def batches(count: int) -> Workload:
    """`put_many` of `count` different keys, uniformly chosen."""
    return Workload("batch", {Kind.BATCH: 1.0}, KeyChoice.UNIFORM, count)


PUT: Final = _only("put", Kind.UPDATE)
GET: Final = _only("get", Kind.READ)

YCSB: Final[Mapping[str, Workload]] = {
    each.name: each
    for each in (
        Workload("ycsb-a", {Kind.READ: 0.5, Kind.UPDATE: 0.5}, KeyChoice.ZIPFIAN),
        Workload("ycsb-b", {Kind.READ: 0.95, Kind.UPDATE: 0.05}, KeyChoice.ZIPFIAN),
        Workload("ycsb-c", {Kind.READ: 1.0}, KeyChoice.ZIPFIAN),
        Workload("ycsb-d", {Kind.READ: 0.95, Kind.INSERT: 0.05}, KeyChoice.LATEST),
        Workload("ycsb-e", {Kind.SCAN: 0.95, Kind.INSERT: 0.05}, KeyChoice.ZIPFIAN),
        Workload("ycsb-f", {Kind.READ: 0.5, Kind.READ_MODIFY_WRITE: 0.5}, KeyChoice.ZIPFIAN),
    )
}


def key_of(number: int) -> bytes:
    """The key of a number: they sort as numbers do, up to 10⁸ of them."""
    return b"%b%08d" % (KEY_PREFIX, number)


class Operations:
    """The operations of one caller, one after the other."""

    __slots__ = (
        "_bounds",
        "_by_kind",
        "_choose",
        "_client",
        "_counter",
        "_draw",
        "_kinds",
        "_only",
        "_random",
        "_value",
        "_workload",
    )

    def __init__(
        self,
        client: AsyncClient,
        workload: Workload,
        counter: KeyCounter,
        value: bytes,
        random: Random,
    ) -> None:
        self._client = client
        self._workload = workload
        self._counter = counter
        self._value = value
        self._random = random
        self._draw = random.random
        self._choose = generator(workload.choice, counter, random)
        by_kind: dict[Kind, Callable[[], Awaitable[object]]] = {
            Kind.READ: self._read,
            Kind.UPDATE: self._update,
            Kind.INSERT: self._insert,
            Kind.SCAN: self._scan,
            Kind.READ_MODIFY_WRITE: self._read_modify_write,
            Kind.BATCH: self._batch,
        }
        self._kinds = [(kind, by_kind[kind]) for kind in workload.mix]
        self._bounds = list(accumulate(workload.mix.values()))
        self._only = self._kinds[0] if len(self._kinds) == 1 else None

    def next(self) -> tuple[Kind, Callable[[], Awaitable[object]]]:
        """What comes next: its kind, and what begins it."""
        if self._only is not None:
            return self._only
        u = self._draw()
        for bound, each in zip(self._bounds, self._kinds, strict=True):
            if u < bound:
                return each
        return self._kinds[-1]

    def _read(self) -> Awaitable[object]:
        return self._client.get(key_of(self._choose()))

    def _update(self) -> Awaitable[object]:
        return self._client.put(key_of(self._choose()), self._value)

    async def _insert(self) -> None:
        place = self._counter.insert()
        try:
            await self._client.put(key_of(self._counter.number(place)), self._value)
        finally:
            self._counter.end_insert(place)

    async def _scan(self) -> None:
        start = key_of(self._choose())
        entries = 1 + int(self._draw() * SCAN_ENTRIES_MAX)
        async for _entry in self._client.scan(prefix=KEY_PREFIX, start=start, limit=entries):
            pass

    async def _read_modify_write(self) -> None:
        key = key_of(self._choose())
        await self._client.get(key)
        await self._client.put(key, self._value)

    def _batch(self) -> Awaitable[object]:
        keys: dict[bytes, bytes] = {}
        while len(keys) < self._workload.batch:
            keys[key_of(self._choose())] = self._value
        return self._client.put_many(keys)


def generator(choice: KeyChoice, counter: KeyCounter, random: Random) -> Generator:
    """That of a workload's keys. Zipfian keys are those that were there in the beginning."""
    if choice is KeyChoice.UNIFORM:
        return Uniform(counter.count, random)
    if choice is KeyChoice.ZIPFIAN:
        return ScrambledZipfian(counter.count, random)
    return SkewedLatest(counter, random)
