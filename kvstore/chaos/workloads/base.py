"""What every workload has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random
from typing import ClassVar

from kvstore.chaos.session import Answer, Session
from kvstore.verify.operation import Kind


class Workload(ABC):
    """One kind of objects, shared by all clients. `prefix` begins all its keys."""

    name: ClassVar[str]

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix + self.name.encode() + b"/"

    async def prepare(self, session: Session) -> None:  # noqa: B027 - most need nothing
        """Before the load; raises KVStoreError where the cluster does not answer."""

    @abstractmethod
    async def step(self, session: Session, random: Random) -> None:
        """One operation."""

    @abstractmethod
    async def read_back(self, session: Session) -> bool:
        """Reads everything once; whether all of it was answered."""


class Generations:
    """Numbers of objects, of which each is used for so many operations and then left: the judge
    has to look at few operations together."""

    def __init__(self, operations_max: int) -> None:
        self._operations_max = operations_max
        self._operations = 0
        self.current = 0

    def use(self) -> int:
        """The one to use for one more operation."""
        if self._operations == self._operations_max:
            self.current += 1
            self._operations = 0
        self._operations += 1
        return self.current


async def get(session: Session, key: bytes) -> Answer | None:
    """Reads a key, linearizably."""

    async def asked() -> Answer:
        return Answer(output=await session.client.get(key))

    return await session.ask(Kind.GET, key, asked())


async def scanned(session: Session, prefix: bytes) -> list[tuple[bytes, bytes]]:
    """The keys with `prefix`, each with its value at one moment."""
    return [pair async for pair in session.client.scan(prefix=prefix)]
