"""Registers: written, read, compared and set, and deleted."""

from __future__ import annotations

from random import Random
from typing import Final

from kvstore.chaos.session import Answer, Session
from kvstore.chaos.workloads.base import Generations, Workload, draw_how_to_read, get, put
from kvstore.errors import ConditionFailed
from kvstore.verify.operation import Kind

_REGISTERS: Final = 5
"""At a time."""
_OPERATIONS_MAX: Final = 1000
"""Of all of these together; then others are used."""


class Registers(Workload):
    """See the module."""

    name = "register"

    def __init__(self, prefix: bytes) -> None:
        super().__init__(prefix)
        self._generations = Generations(_OPERATIONS_MAX)
        self._seen: dict[bytes, bytes | None] = {}
        """What those in use held, as far as anybody knows."""

    async def step(self, session: Session, random: Random) -> None:
        """See Workload."""
        generation = self._generations.use()
        key = self._key(generation, random.randrange(_REGISTERS))
        if key not in self._seen and len(self._seen) >= _REGISTERS:
            self._seen.clear()
        (kind,) = random.choices((Kind.GET, Kind.PUT, Kind.CAS, Kind.DELETE), (4, 3, 2, 1))
        match kind:
            case Kind.GET:
                how = draw_how_to_read(random)
                found = await get(session, key, how)
                if found is not None and how.is_linearizable:
                    self._seen[key] = found.output
            case Kind.PUT:
                await self._put(session, key)
            case Kind.CAS:
                await self._compare_and_set(session, key)
            case Kind.DELETE:
                await self._delete(session, key)

    async def read_back(self, session: Session) -> bool:
        """See Workload."""
        answers = [
            await get(session, self._key(generation, number))
            for generation in range(self._generations.current + 1)
            for number in range(_REGISTERS)
        ]
        return None not in answers

    async def _put(self, session: Session, key: bytes) -> None:
        value = session.new_value()

        async def asked() -> Answer:
            return Answer(receipt=await put(session, key, value))

        if await session.ask(Kind.PUT, key, asked(), value) is not None:
            self._seen[key] = value

    async def _compare_and_set(self, session: Session, key: bytes) -> None:
        expected, value = self._seen.get(key), session.new_value()

        async def asked() -> Answer:
            absent = expected is None
            try:
                written = await put(session, key, value, if_absent=absent, if_value=expected)
            except ConditionFailed:
                return Answer(applied=False)
            return Answer(applied=True, receipt=written)

        found = await session.ask(Kind.CAS, key, asked(), value, expected=expected)
        if found is not None and found.applied:
            self._seen[key] = value

    async def _delete(self, session: Session, key: bytes) -> None:
        async def asked() -> Answer:
            return Answer(applied=await session.client.delete(key))

        if await session.ask(Kind.DELETE, key, asked()) is not None:
            self._seen[key] = None

    def _key(self, generation: int, number: int) -> bytes:
        return self.prefix + b"%d/%d" % (generation, number)
