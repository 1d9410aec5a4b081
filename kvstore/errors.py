"""One tree of errors. Every error that a client sees says whether the write may have been applied.

```
KVStoreError
├── InvalidArgument        the call breaks a rule or a limit            exit 5 / usage 2
├── Unavailable            no majority, no leader, no connection        exit 3
│   └── DeadlineExceeded   the time ran out, nothing was applied        exit 3
├── OutcomeUnknown         the write may have been applied              exit 4
│   └── SessionExpired     and can no longer be tried again             exit 4
├── ResourceExhausted      a queue or the disk is full: try later       exit 5
├── ConditionFailed        the condition of a write does not hold       exit 6
├── Fenced                 a later holder of the lock has written       exit 6
├── NotANumber             the value cannot be counted up               exit 5
├── CounterOverflow        the sum does not fit in 64 bits              exit 5
├── BatchFailed            some keys of many were not written           exit 4 or 3
├── LockTimeout            another held the lock all the time
├── LockLost               the lock is held no more
├── ScanExpired            a consistent scan lost the view it read from  exit 3
├── ClientClosed           the client was closed
├── ConfigurationError     the node cannot start as it was asked to     exit 2
├── LifeOver               the cluster knows the node by other data     exit 70
└── CorruptionError        bytes on disk are not what was written       exit 2
```

A broken invariant is no operating error: `InvariantViolation` stops the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique

from cluster.errors import InvariantViolation

__all__ = [
    "BatchFailed",
    "ClientClosed",
    "ConditionFailed",
    "ConfigurationError",
    "CorruptionError",
    "CounterOverflow",
    "DeadlineExceeded",
    "Fenced",
    "InvalidArgument",
    "InvariantViolation",
    "KVStoreError",
    "LifeOver",
    "LockLost",
    "LockTimeout",
    "NotANumber",
    "Outcome",
    "OutcomeUnknown",
    "ResourceExhausted",
    "ScanExpired",
    "SessionExpired",
    "Unavailable",
]


@unique
class Outcome(Enum):
    """What an error says of the write that failed."""

    DEFINITE = "definite"
    """Nothing was applied, and nothing will be."""
    UNKNOWN = "unknown"
    """It may have been applied, or may yet be."""


class KVStoreError(Exception):
    """The root of all operating errors."""

    outcome: Outcome = Outcome.DEFINITE


class InvalidArgument(KVStoreError, ValueError):
    """An argument breaks a rule or a limit; the message names it, its value and the limit."""


class Unavailable(KVStoreError):
    """No majority, no leader or no node could be reached. Nothing was applied."""


class DeadlineExceeded(Unavailable):
    """The caller's time ran out. Nothing was applied."""


class OutcomeUnknown(KVStoreError):
    """The write was sent and no answer settled it before the deadline: it may have been applied,
    once."""

    outcome = Outcome.UNKNOWN


class SessionExpired(OutcomeUnknown):
    """The partition has forgotten this client's writes while the outcome of one was open: it may
    have been applied, once, and could not be sent again without a risk of twice."""


class ResourceExhausted(KVStoreError):
    """A queue or a disk is full. Nothing was applied; try again later."""


class ConditionFailed(KVStoreError):
    """The condition of a write does not hold: nothing was applied."""

    def __init__(self, message: str, revision: int = 0) -> None:
        super().__init__(message)
        self.revision = revision
        """Of the key now; 0: there is no such key."""


class Fenced(KVStoreError):
    """A later holder of the lock has written here: nothing was applied, nor will it be."""

    def __init__(self, message: str, token: int = 0) -> None:
        super().__init__(message)
        self.token = token
        """Of the later holder."""


class NotANumber(KVStoreError):
    """The value is no decimal number of 64 bits, and cannot be added to. Nothing was applied."""


class CounterOverflow(KVStoreError):
    """The sum does not fit in 64 bits. Nothing was applied."""

    def __init__(self, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.number = number
        """What is there."""


class BatchFailed(KVStoreError):
    """Some of many keys were not written. `outcome` says whether one of those may have been."""

    def __init__(
        self,
        message: str,
        done: Mapping[bytes, int] | None = None,
        failed: Mapping[bytes, KVStoreError] | None = None,
    ) -> None:
        super().__init__(message)
        self.done = dict(done or {})
        """The keys that were written, with their revisions."""
        self.failed = dict(failed or {})
        """The others; each error says whether that key may have been written."""
        if any(each.outcome is Outcome.UNKNOWN for each in self.failed.values()):
            self.outcome = Outcome.UNKNOWN


class LockTimeout(KVStoreError):
    """Another held the lock until the time ran out."""


class LockLost(KVStoreError):
    """The lock is held no more: it could not be kept alive in time, or its key was changed."""


class ScanExpired(KVStoreError):
    """A consistent scan cannot go on as of the moment at which it began: a node let go of what it
    read from, or another one leads. What it gave so far holds; begin it anew for the rest."""


class ClientClosed(KVStoreError):
    """The client was closed before or during the call."""


class ConfigurationError(KVStoreError):
    """The node cannot start as it was asked to; one sentence says why and what to do."""


class LifeOver(KVStoreError):
    """The node's data are not those by which the cluster knows it, and never will be: they were
    lost, or others have taken their place. The message says what to do."""


class CorruptionError(KVStoreError):
    """Bytes on disk are not what was written; the message names the file and the place."""
