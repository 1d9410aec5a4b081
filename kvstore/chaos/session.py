"""One client of the load: what it asks, and what it is answered, goes into the history."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

from kvstore.chaos.recorder import Recorder
from kvstore.client import AsyncClient, Receipt
from kvstore.errors import InvalidArgument, KVStoreError, Outcome
from kvstore.verify.operation import READS, Ending, Kind, Operation
from kvstore.verify.operation import Receipt as Told

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation that was done came to, as the history has it."""

    output: bytes | None = None
    outputs: tuple[bytes, ...] | None = None
    applied: bool | None = None
    receipt: Receipt | None = None
    """Who gave it, and from where in the history of its partition; None: not known."""


DONE: Final = Answer()


class Session:
    """A client with sessions of its own, which asks for one thing after another."""

    def __init__(self, number: int, client: AsyncClient, recorder: Recorder) -> None:
        self.number: Final = number
        self.client: Final = client
        self._recorder = recorder
        self._values = 0

    def new_value(self) -> bytes:
        """One that nobody else writes, and this client not again."""
        self._values += 1
        return b"%d.%d" % (self.number, self._values)

    async def ask(
        self,
        op: Kind,
        key: bytes,
        answer: Awaitable[Answer],
        value: bytes | None = None,
        *,
        expected: bytes | None = None,
    ) -> Answer | None:
        """Waits for `answer` and records it; None: it was not done, or may not have been."""
        invoked_ns = self._recorder.now_ns()
        ending, error = Ending.UNKNOWN, None
        found: Answer | None = None
        try:
            found = await answer
            ending = Ending.OK
        except InvalidArgument:
            raise  # The load breaks no rule.
        except KVStoreError as problem:
            error = type(problem).__name__
            if problem.outcome is Outcome.DEFINITE:
                ending = Ending.FAIL
        except asyncio.CancelledError:
            error = "Cancelled"
            raise
        finally:
            told = found or DONE
            receipt = told.receipt
            self._recorder.add(
                Operation(
                    client=self.number,
                    op=op,
                    key=key,
                    invoked_ns=invoked_ns,
                    returned_ns=None if ending is Ending.UNKNOWN else self._recorder.now_ns(),
                    outcome=ending,
                    input=value,
                    expected=expected,
                    output=told.output,
                    outputs=told.outputs,
                    applied=told.applied,
                    node=None if receipt is None else receipt.node,
                    partition=None if receipt is None else receipt.partition,
                    receipt=None if receipt is None else _told(op, receipt),
                ),
                error,
            )
        return found


def _told(op: Kind, receipt: Receipt) -> Told:
    """`receipt` as the history has it."""
    level = receipt.level.value if op in READS else None
    return Told(receipt.revision, receipt.term, level)
