"""When to try again, and what to say when there is no time left for it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from kvstore.errors import (
    DeadlineExceeded,
    KVStoreError,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
)

BACKOFF_S_FIRST: Final = 0.01
BACKOFF_S_MAX: Final = 0.5


def backoff_s(failures: int, random: Random) -> float:
    """How long to wait after the given number of failures in a row, which is at least 1.

    Exponential with full jitter (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015): clients that failed together do not come back together.
    """
    return random.uniform(0, min(BACKOFF_S_MAX, BACKOFF_S_FIRST * 2 ** min(failures - 1, 16)))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the operations of a partition are not done yet. Said of those that were not applied."""

    detail: str
    overloaded: bool = False
    """A queue was full, rather than nobody there to do it."""

    def at_deadline(self) -> KVStoreError:
        """The error of a caller whose time ran out while it was tried again and again."""
        kind = ResourceExhausted if self.overloaded else Unavailable
        return kind(f"{self.detail}; tried until the deadline, nothing was applied")


def expired_in_queue(failure: Failure | None) -> KVStoreError:
    """The error of a caller whose time ran out before its operation was under way."""
    if failure is not None:
        return failure.at_deadline()
    return DeadlineExceeded("the deadline passed before the operation was sent; nothing was done")


def expired_in_doubt(doubt: str) -> KVStoreError:
    """The error of a caller whose time ran out before a write that may have been applied could be
    sent again and was answered."""
    return OutcomeUnknown(
        f"{doubt}; the deadline passed before another try was answered; the write may have been "
        "applied"
    )
