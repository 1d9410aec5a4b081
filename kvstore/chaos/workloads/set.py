"""Sets: each element is a key of its own, in whichever partition; a scan finds the members."""

from __future__ import annotations

from random import Random
from typing import Final

from kvstore.chaos.session import DONE, Answer, Session
from kvstore.chaos.workloads.base import Generations, Workload, put, scanned
from kvstore.verify.operation import Kind

_OPERATIONS_MAX: Final = 150
"""On one set; then another one is used."""
_REMOVABLE_MAX: Final = 32


class Sets(Workload):
    """See the module."""

    name = "set"

    def __init__(self, prefix: bytes) -> None:
        super().__init__(prefix)
        self._generations = Generations(_OPERATIONS_MAX)
        self._removable: list[tuple[bytes, bytes]] = []
        """Sets and elements that were added for certain, and that nobody has tried to remove."""

    async def step(self, session: Session, random: Random) -> None:
        """See Workload."""
        key = self._key(self._generations.use())
        share = random.random()
        if share < 0.25:
            await self._read(session, key)
        elif share < 0.4 and self._removable:
            place = random.randrange(len(self._removable))
            await self._remove(session, *self._removable.pop(place))
        else:
            await self._add(session, key)

    async def read_back(self, session: Session) -> bool:
        """See Workload."""
        answers = [
            await self._read(session, self._key(generation))
            for generation in range(self._generations.current + 1)
        ]
        return None not in answers

    async def _add(self, session: Session, key: bytes) -> None:
        element = session.new_value()

        async def asked() -> Answer:
            return Answer(receipt=await put(session, _member(key, element), b""))

        if await session.ask(Kind.ADD, key, asked(), element) is not None:
            self._removable.append((key, element))
            del self._removable[:-_REMOVABLE_MAX]

    async def _remove(self, session: Session, key: bytes, element: bytes) -> None:
        async def asked() -> Answer:
            await session.client.delete(_member(key, element))
            return DONE

        await session.ask(Kind.REMOVE, key, asked(), element)

    async def _read(self, session: Session, key: bytes) -> Answer | None:
        async def asked() -> Answer:
            start = _member(key, b"")
            pairs = await scanned(session, start)
            return Answer(outputs=tuple([found.removeprefix(start) for found, _ in pairs]))

        return await session.ask(Kind.MEMBERS, key, asked())

    def _key(self, generation: int) -> bytes:
        return self.prefix + b"%d" % generation


def _member(key: bytes, element: bytes) -> bytes:
    return key + b"/" + element
