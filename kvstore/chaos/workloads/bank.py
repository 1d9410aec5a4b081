"""Banks: money moves between the accounts of one bank in transactions, and none is made or lost."""

from __future__ import annotations

from random import Random
from typing import Final

from kvstore.chaos.session import DONE, Answer, Session
from kvstore.chaos.workloads.base import Workload
from kvstore.client import Get, Increment, Put
from kvstore.codec.record import Record
from kvstore.verify.operation import Kind

_BANKS: Final = 2
_ACCOUNTS: Final = 5
_OPENING_BALANCE: Final = 100
"""Of each account."""
BANK_TOTAL: Final = _ACCOUNTS * _OPENING_BALANCE
"""What the accounts of a bank hold together, always."""


class Banks(Workload):
    """See the module. The accounts of a bank have its name in braces: they are in one partition."""

    name = "bank"

    async def prepare(self, session: Session) -> None:
        """Opens the accounts; no part of the history, which begins with what they hold."""
        for bank in range(_BANKS):
            puts = [Put(key, b"%d" % _OPENING_BALANCE) for key in self._accounts(bank)]
            await session.client.transaction(then=puts)

    async def step(self, session: Session, random: Random) -> None:
        """See Workload."""
        bank = random.randrange(_BANKS)
        if random.random() < 0.4:
            await self._read(session, bank)
            return
        one, other = random.sample(range(_ACCOUNTS), 2)
        amount = random.randint(1, 20)
        accounts = self._accounts(bank)
        moves = [Increment(accounts[one], -amount), Increment(accounts[other], amount)]

        async def asked() -> Answer:
            await session.client.transaction(then=moves)
            return DONE

        said = b"%d from %d to %d" % (amount, one, other)
        await session.ask(Kind.TRANSFER, self._key(bank), asked(), said)

    async def read_back(self, session: Session) -> bool:
        """See Workload."""
        answers = [await self._read(session, bank) for bank in range(_BANKS)]
        return None not in answers

    async def _read(self, session: Session, bank: int) -> Answer | None:
        async def asked() -> Answer:
            gets = [Get(key) for key in self._accounts(bank)]
            found = await session.client.transaction(then=gets)
            # An account that is gone holds nothing, and the sum will say so.
            held = [each.value if isinstance(each, Record) else b"0" for each in found.results]
            return Answer(outputs=tuple(held))

        return await session.ask(Kind.BALANCES, self._key(bank), asked())

    def _key(self, bank: int) -> bytes:
        return self.prefix + b"{%d}" % bank

    def _accounts(self, bank: int) -> list[bytes]:
        return [self._key(bank) + b"/%d" % account for account in range(_ACCOUNTS)]
