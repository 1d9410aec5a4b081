"""What every workload has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Final

from kvstore.chaos.session import Answer, Session
from kvstore.client import Consistency, Receipt, Stale
from kvstore.client.levels import Level
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


@dataclass(frozen=True, slots=True)
class HowToRead:
    """Of one key."""

    level: Level = Consistency.LINEARIZABLE
    wants_receipt: bool = False
    """Only linearizable reads do without one; they take another way through the client."""

    @property
    def is_linearizable(self) -> bool:
        """Whether it sees every write that was acknowledged before it."""
        return self.level is Consistency.LINEARIZABLE


_PLAINLY: Final = HowToRead()
_SHARES: Final = (
    (_PLAINLY, 50),
    (HowToRead(Consistency.LINEARIZABLE, wants_receipt=True), 15),
    (HowToRead(Consistency.SESSION, wants_receipt=True), 25),
    (HowToRead(Stale(0.1), wants_receipt=True), 3),
    (HowToRead(Stale(1.0), wants_receipt=True), 4),
    (HowToRead(Stale(10.0), wants_receipt=True), 3),
)


def draw_how_to_read(random: Random) -> HowToRead:
    """Linearizably for the most part, else as the session or as Stale asks for."""
    hows, shares = zip(*_SHARES, strict=True)
    how: HowToRead = random.choices(hows, shares)[0]
    return how


async def get(session: Session, key: bytes, how: HowToRead = _PLAINLY) -> Answer | None:
    """Reads a key."""

    async def asked() -> Answer:
        if not how.wants_receipt:
            return Answer(output=await session.client.get(key))
        found = await session.client.read(key, consistency=how.level)
        return Answer(output=found.value, receipt=found.receipt)

    return await session.ask(Kind.GET, key, asked())


async def put(
    session: Session,
    key: bytes,
    value: bytes,
    *,
    if_absent: bool = False,
    if_value: bytes | None = None,
) -> Receipt | None:
    """Writes a key; the receipt says which revision the write was given.

    That is not the one of the client's receipt: this one is of the state from which was answered,
    which may have later writes of others in it, and no session read need see them.
    """
    receipts: list[Receipt] = []
    revision = await session.client.put(
        key, value, if_absent=if_absent, if_value=if_value, receipts=receipts
    )
    return replace(receipts[-1], revision=revision) if receipts else None


async def scanned(session: Session, prefix: bytes) -> list[tuple[bytes, bytes]]:
    """The keys with `prefix`, each with its value at one moment."""
    return [pair async for pair in session.client.scan(prefix=prefix)]
