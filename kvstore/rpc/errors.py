"""Errors as gRPC statuses. Trailing metadata say whether a write may have been applied."""

from __future__ import annotations

from typing import Final, NoReturn

import grpc
from grpc.aio import ServicerContext

from kvstore.errors import (
    DeadlineExceeded,
    InvalidArgument,
    KVStoreError,
    Outcome,
    OutcomeUnknown,
    ResourceExhausted,
    Unavailable,
)

OUTCOME_KEY: Final = "kvstore-outcome"

# The first that fits counts: narrower classes stand before wider ones.
_STATUS: Final[tuple[tuple[type[KVStoreError], grpc.StatusCode], ...]] = (
    (InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (DeadlineExceeded, grpc.StatusCode.UNAVAILABLE),
    (Unavailable, grpc.StatusCode.UNAVAILABLE),
    (OutcomeUnknown, grpc.StatusCode.DEADLINE_EXCEEDED),
    (ResourceExhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
)


async def refuse(
    context: ServicerContext[object, object],
    code: grpc.StatusCode,
    sentence: str,
    outcome: Outcome = Outcome.DEFINITE,
) -> NoReturn:
    """Ends the call with `code` and says what is known of the outcome."""
    await context.abort(code, sentence, ((OUTCOME_KEY, outcome.value),))
    raise AssertionError("abort returned")


async def refuse_with(context: ServicerContext[object, object], problem: KVStoreError) -> NoReturn:
    """Ends the call with the status that fits `problem`."""
    for kind, code in _STATUS:
        if isinstance(problem, kind):
            await refuse(context, code, str(problem), problem.outcome)
    await refuse(context, grpc.StatusCode.INTERNAL, str(problem), problem.outcome)
