"""Deletes a range of keys: in pages, each read as keys and then deleted as any keys are.

Not atomic: who reads meanwhile sees some of them gone; a key that is put into the range meanwhile
is deleted or stays. That is also why a delete whose outcome is unknown is simply made again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from kvstore.client.dispatch import Dispatcher
from kvstore.client.scanning import AsyncScan
from kvstore.codec.command import OperationKind
from kvstore.errors import InvalidArgument, OutcomeUnknown

PAGE_KEYS_MAX: Final = 1000
TRIES_MAX: Final = 5
"""Of a page in which deletes had an unknown outcome."""

DeleteProgress = Callable[[int], None]
"""Told how many keys are deleted so far."""

_DELETE: Final = int(OperationKind.DELETE)


def check_bounded(prefix: object, start: object, end: object) -> None:
    """Raises InvalidArgument where nothing says what is to be deleted."""
    if prefix is None and start is None and end is None:
        raise InvalidArgument(
            "delete_range needs prefix, start or end; start=b'' is for all keys there are"
        )


async def delete_keys(
    dispatcher: Dispatcher,
    keys: AsyncScan[bytes],
    timeout_s: float,
    progress: DeleteProgress,
) -> int:
    """Deletes what `keys` gives, and says how many were there; `timeout_s` is for each page.

    Raises what a delete raises. Keys before those of which `progress` was told last are gone then.
    """
    deleted = 0
    page: list[bytes] = []
    async for key in keys:
        page.append(key)
        if len(page) == PAGE_KEYS_MAX:
            deleted += await _delete_page(dispatcher, page, timeout_s)
            progress(deleted)
            page = []
    if page:
        deleted += await _delete_page(dispatcher, page, timeout_s)
        progress(deleted)
    return deleted


async def _delete_page(dispatcher: Dispatcher, page: Sequence[bytes], timeout_s: float) -> int:
    deleted = 0
    for turn in range(1, TRIES_MAX + 1):
        deadline_s = dispatcher.loop.time() + timeout_s
        writes = [dispatcher.write(_DELETE, key, b"", deadline_s) for key in page]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        unknown: list[bytes] = []
        for key, outcome in zip(page, outcomes, strict=True):
            if isinstance(outcome, OutcomeUnknown) and turn < TRIES_MAX:
                unknown.append(key)
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                # What is not there the second time was deleted the first time.
                deleted += outcome != 0 or turn > 1
        if not unknown:
            break
        page = unknown
    return deleted
