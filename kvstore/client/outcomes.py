"""What a failed gRPC call says of the operations that it carried."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Final, cast

import grpc
import grpc.aio

from kvstore.codec.trailers import OUTCOME_KEY, PUSHBACK_KEY
from kvstore.errors import Outcome

PUSHBACK_S_MAX: Final = 2.0
"""Whatever a node says, it is asked again after that."""
_DIGITS_MAX: Final = 9


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
    again_in_s: float = 0.0
    """Not before that, the node asks."""


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
    said = _metadata(error)
    if said.get(OUTCOME_KEY) == Outcome.DEFINITE.value:
        again_in_s = _pushback_s(said.get(PUSHBACK_KEY, ""))
        return CallFailure(_DEFINITE.get(code, Verdict.AGAIN), detail, again_in_s=again_in_s)
    return CallFailure(Verdict.UNKNOWN, detail, code is grpc.StatusCode.RESOURCE_EXHAUSTED)


def _metadata(error: grpc.aio.AioRpcError) -> dict[str, str | bytes]:
    metadata = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    return dict(iter(metadata))  # gRPC's Metadata has keys(), but yields pairs


def _pushback_s(said: str | bytes) -> float:
    """0 for what is no number of milliseconds, as gRPC writes "do not try again", too."""
    digits = said if isinstance(said, str) else ""
    if not digits.isdecimal() or len(digits) > _DIGITS_MAX:
        return 0.0
    return min(PUSHBACK_S_MAX, int(digits) / 1000)
