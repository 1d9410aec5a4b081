"""Lists: each element is appended once, and every read shows in which order they were."""

from __future__ import annotations

from random import Random
from typing import Final

from kvstore.chaos.session import DONE, Answer, Session
from kvstore.chaos.workloads.base import Generations, Workload, draw_how_to_read, get
from kvstore.verify.operation import SEPARATOR, Kind

_OPERATIONS_MAX: Final = 250
"""On one list; then another one is used."""


class Appends(Workload):
    """See the module."""

    name = "append"

    def __init__(self, prefix: bytes) -> None:
        super().__init__(prefix)
        self._generations = Generations(_OPERATIONS_MAX)

    async def step(self, session: Session, random: Random) -> None:
        """See Workload."""
        key = self._key(self._generations.use())
        if random.random() < 0.4:
            await get(session, key, draw_how_to_read(random))
            return
        element = session.new_value()

        async def asked() -> Answer:
            await session.client.append(key, element + SEPARATOR)
            return DONE

        await session.ask(Kind.APPEND, key, asked(), element)

    async def read_back(self, session: Session) -> bool:
        """See Workload."""
        answers = [
            await get(session, self._key(generation))
            for generation in range(self._generations.current + 1)
        ]
        return None not in answers

    def _key(self, generation: int) -> bytes:
        return self.prefix + b"%d" % generation
