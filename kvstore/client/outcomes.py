"""What a failed gRPC call says of the operations that it carried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Final, cast

import grpc
import grpc.aio

OUTCOME_KEY: Final = "kvstore-outcome"
_OUTCOME_DEFINITE: Final = "definite"


@unique
class Verdict(Enum):
    """What is to be done with the operations of a failed call."""

    UNKNOWN = auto()
    """Writes may have been applied, and may only be sent again as they were, under their stamp."""
    AGAIN = auto()
    """Nothing was applied; another node, or this one later, may do it."""
    OVERLOADED = auto()
    """Nothing was applied; a queue was full."""
    INVALID = auto()
    """Nothing was applied; the request breaks a rule."""
    EXPIRED = auto()
    """What a consistent scan reads from is gone."""
    REFUSED = auto()
    """Nothing was applied, and trying again would not help."""


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A failed call, judged."""

    verdict: Verdict
    detail: str
    too_large: bool = False
    """The answer may have been larger than a message can be."""


_DEFINITE: Final = {
    grpc.StatusCode.UNAUTHENTICATED: Verdict.REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: Verdict.REFUSED,
    grpc.StatusCode.INVALID_ARGUMENT: Verdict.INVALID,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Verdict.OVERLOADED,
}
"""What a status means when the node says that it is definite; AGAIN where not listed."""


def judge(error: BaseException, where: str) -> CallFailure:
    """The meaning of what a call to `where` raised.

    Definite only where the node said so in the trailing metadata, or where gRPC answers by itself
    that there is no such method: in all other cases the request may have been read.
    """
    if not isinstance(error, grpc.aio.AioRpcError):
        return CallFailure(Verdict.UNKNOWN, f"{where}: {type(error).__name__}: {error}")
    code = error.code()
    detail = f"{where}: {code.name}: {error.details() or 'no details'}"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return CallFailure(Verdict.REFUSED, f"{detail} (is this a kvstore node?)")
    if _said_definite(error):
        return CallFailure(_DEFINITE.get(code, Verdict.AGAIN), detail)
    return CallFailure(Verdict.UNKNOWN, detail, code is grpc.StatusCode.RESOURCE_EXHAUSTED)


def _said_definite(error: grpc.aio.AioRpcError) -> bool:
    metadata = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    return (OUTCOME_KEY, _OUTCOME_DEFINITE) in [tuple(each) for each in metadata]
