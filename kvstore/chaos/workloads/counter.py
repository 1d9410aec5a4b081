"""Counters: each increment is to be applied once, and none is to be lost."""

from __future__ import annotations

from random import Random
from typing import Final

from kvstore.chaos.session import DONE, Answer, Session
from kvstore.chaos.workloads.base import Workload, draw_how_to_read, get
from kvstore.verify.operation import Kind

_COUNTERS: Final = 4


class Counters(Workload):
    """See the module."""

    name = "counter"

    async def step(self, session: Session, random: Random) -> None:
        """See Workload."""
        key = self._key(random.randrange(_COUNTERS))
        if random.random() < 0.3:
            await get(session, key, draw_how_to_read(random))
            return
        by = random.randint(1, 3)

        async def asked() -> Answer:
            await session.client.increment(key, by)
            return DONE

        await session.ask(Kind.INCREMENT, key, asked(), b"%d" % by)

    async def read_back(self, session: Session) -> bool:
        """See Workload."""
        answers = [await get(session, self._key(number)) for number in range(_COUNTERS)]
        return None not in answers

    def _key(self, number: int) -> bytes:
        return self.prefix + b"%d" % number
