"""Many keys in one call: queued in one pass, without a task for each."""

from __future__ import annotations

from asyncio import Future, gather
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from kvstore.client.operations import OPERATION_COST_BYTES
from kvstore.client.outbox import OUTBOX_BYTES_MAX
from kvstore.errors import BatchFailed, InvalidArgument, KVStoreError, Outcome

T = TypeVar("T")

AT_ONCE_BYTES: Final = OUTBOX_BYTES_MAX // 8
"""Of keys and values that one call has under way: it leaves room for others."""

Outcomes = dict[bytes, T | KVStoreError]


def checked_keys(keys: object) -> Iterable[bytes | str]:
    """`keys` as something to go through; a single key in its place is InvalidArgument."""
    if isinstance(keys, bytes | str) or not isinstance(keys, Iterable):
        raise InvalidArgument(
            f"keys must be several, in a list or the like, not {type(keys).__name__}"
        )
    return keys


async def for_each(
    keys: Sequence[bytes],
    arguments: Sequence[bytes],
    ask: Callable[[bytes, bytes], Future[T]],
) -> Outcomes[T]:
    """Asks for each key, a part of them at a time, and gives what came of each, in order."""
    outcomes: Outcomes[T] = {}
    position = 0
    while position < len(keys):
        futures: list[Future[T]] = []
        first, room = position, AT_ONCE_BYTES
        refused: KVStoreError | None = None
        while position < len(keys) and room > 0:
            key, argument = keys[position], arguments[position]
            room -= len(key) + len(argument) + OPERATION_COST_BYTES
            try:
                futures.append(ask(key, argument))
            except KVStoreError as problem:
                refused = problem
                break
            position += 1
        answers: list[Any] = await gather(*futures, return_exceptions=True)
        for key, answer in zip(keys[first:position], answers, strict=True):
            if isinstance(answer, BaseException) and not isinstance(answer, KVStoreError):
                raise answer
            outcomes[key] = answer
        if refused is not None:
            # The queue is full of what others do: the rest would fare no better.
            outcomes.update(dict.fromkeys(keys[position:], refused))
            break
    return outcomes


def all_or_raise(outcomes: Outcomes[int]) -> dict[bytes, int]:
    """The revisions where all keys were written; else raises BatchFailed."""
    done: dict[bytes, int] = {}
    failed: dict[bytes, KVStoreError] = {}
    for key, outcome in outcomes.items():
        if isinstance(outcome, KVStoreError):
            failed[key] = outcome
        else:
            done[key] = outcome
    if not failed:
        return done
    unknown = sum(each.outcome is Outcome.UNKNOWN for each in failed.values())
    key, problem = next(iter(failed.items()))
    raise BatchFailed(
        f"{len(done)} keys were written, {len(failed) - unknown} were not and {unknown} may have "
        f"been; the first of these, {key!r}: {problem}",
        done,
        failed,
    ) from problem
