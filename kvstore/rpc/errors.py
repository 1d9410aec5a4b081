"""Errors as gRPC statuses. Trailing metadata say whether a write may have been applied."""

from __future__ import annotations

from typing import Final, NoReturn

import grpc
from grpc.aio import ServicerContext

from kvstore.codec.trailers import NUMBER_KEY, OUTCOME_KEY, REASON_KEY
from kvstore.errors import (
    ConditionFailed,
    CounterOverflow,
    DeadlineExceeded,
    Fenced,
    InvalidArgument,
    KVStoreError,
    NotANumber,
    Outcome,
    OutcomeUnknown,
    ResourceExhausted,
    ScanExpired,
    Unavailable,
)

Metadata = tuple[tuple[str, str], ...]

# The first that fits counts: narrower classes stand before wider ones.
_STATUS: Final[tuple[tuple[type[KVStoreError], grpc.StatusCode], ...]] = (
    (InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (DeadlineExceeded, grpc.StatusCode.UNAVAILABLE),
    (Unavailable, grpc.StatusCode.UNAVAILABLE),
    (OutcomeUnknown, grpc.StatusCode.DEADLINE_EXCEEDED),
    (ResourceExhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (ConditionFailed, grpc.StatusCode.FAILED_PRECONDITION),
    (Fenced, grpc.StatusCode.FAILED_PRECONDITION),
    (NotANumber, grpc.StatusCode.FAILED_PRECONDITION),
    (CounterOverflow, grpc.StatusCode.OUT_OF_RANGE),
    (ScanExpired, grpc.StatusCode.ABORTED),
)


async def refuse(
    context: ServicerContext[object, object],
    code: grpc.StatusCode,
    sentence: str,
    outcome: Outcome = Outcome.DEFINITE,
    more: Metadata = (),
) -> NoReturn:
    """Ends the call with `code` and says what is known of the outcome."""
    await context.abort(code, sentence, ((OUTCOME_KEY, outcome.value), *more))
    raise AssertionError("abort returned")


async def refuse_with(context: ServicerContext[object, object], problem: KVStoreError) -> NoReturn:
    """Ends the call with the status that fits `problem`."""
    for kind, code in _STATUS:
        if isinstance(problem, kind):
            await refuse(context, code, str(problem), problem.outcome, _reason(problem))
    await refuse(context, grpc.StatusCode.INTERNAL, str(problem), problem.outcome)


def _reason(problem: KVStoreError) -> Metadata:
    """For programs: why a write was refused for what is there."""
    match problem:
        case ConditionFailed():
            return ((REASON_KEY, "condition-failed"), (NUMBER_KEY, str(problem.revision)))
        case Fenced():
            return ((REASON_KEY, "fenced"), (NUMBER_KEY, str(problem.token)))
        case NotANumber():
            return ((REASON_KEY, "not-a-number"),)
        case CounterOverflow():
            return ((REASON_KEY, "overflow"), (NUMBER_KEY, str(problem.number)))
    return ()
