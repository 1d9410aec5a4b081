"""Scans: of keys that come and go in all partitions, each to be seen as it was at one moment."""

from __future__ import annotations

from random import Random
from typing import Final

from kvstore.chaos.session import Answer, Session
from kvstore.chaos.workloads.base import Generations, Workload, put, scanned
from kvstore.verify.operation import Kind

_KEYS: Final = 8
"""Under one prefix; a scan counts as a read of each."""
_OPERATIONS_MAX: Final = 200
"""Under one prefix; then another one is used."""


class Scans(Workload):
    """See the module."""

    name = "scan"

    def __init__(self, prefix: bytes) -> None:
        super().__init__(prefix)
        self._generations = Generations(_OPERATIONS_MAX)

    async def step(self, session: Session, random: Random) -> None:
        """See Workload."""
        prefix = self._prefix(self._generations.use())
        key = prefix + b"%d" % random.randrange(_KEYS)
        share = random.random()
        if share < 0.3:
            await self._scan(session, prefix)
        elif share < 0.45:
            await self._delete(session, key)
        else:
            await self._put(session, key)

    async def read_back(self, session: Session) -> bool:
        """See Workload."""
        answers = [
            await self._scan(session, self._prefix(generation))
            for generation in range(self._generations.current + 1)
        ]
        return None not in answers

    async def _scan(self, session: Session, prefix: bytes) -> Answer | None:
        async def asked() -> Answer:
            pairs = await scanned(session, prefix)
            return Answer(outputs=tuple([key + b"=" + value for key, value in pairs]))

        return await session.ask(Kind.SCAN, prefix, asked())

    async def _put(self, session: Session, key: bytes) -> None:
        value = session.new_value()

        async def asked() -> Answer:
            return Answer(receipt=await put(session, key, value))

        await session.ask(Kind.PUT, key, asked(), value)

    async def _delete(self, session: Session, key: bytes) -> None:
        async def asked() -> Answer:
            return Answer(applied=await session.client.delete(key))

        await session.ask(Kind.DELETE, key, asked())

    def _prefix(self, generation: int) -> bytes:
        return self.prefix + b"%d/" % generation
