"""The part of AsyncClient that takes ranges of keys: scans, counts and deletes them."""

from __future__ import annotations

import contextlib
from asyncio import get_running_loop
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from kvstore.client.counting import count_keys
from kvstore.client.dispatch import Dispatcher
from kvstore.client.group_operations import GroupOperations
from kvstore.client.level_sections import scan_class_of
from kvstore.client.levels import Consistency, Level
from kvstore.client.range_delete import DeleteProgress, check_bounded, delete_keys
from kvstore.client.ranges import Range, asked_range, asked_scan, checked_flag, pinned_view
from kvstore.client.receipts import Receipt, checked_receipts
from kvstore.client.scan import Asking, close_views
from kvstore.client.scanning import (
    AsyncScan,
    key_and_record,
    key_and_value,
    only_key,
)
from kvstore.codec.cursor import Cursor
from kvstore.codec.record import Record

T = TypeVar("T")

_LINEARIZABLE: Final = Consistency.LINEARIZABLE


class RangeOperations(GroupOperations):
    """See AsyncClient."""

    def scan(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        consistency: Level = _LINEARIZABLE,
        cursor: str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> AsyncScan[tuple[bytes, bytes]]:
        """Keys and values in byte order: start ≤ key < end, and beginning with `prefix`.

        At most `limit` of them; with `reverse` from the last one down. `timeout_s` is for each page
        that is fetched, not for the whole. Each page is linearizable, or of the level that
        `consistency` names; the whole is not one moment's picture, unless `consistent`: then each
        partition is as it was at one moment after the call, at the revision that the scan's
        `revisions` say, and ScanExpired is raised where that cannot be kept up: when the leadership
        of a partition moves, or nothing was read for 30 s. Such a scan is linearizable; a lesser
        `consistency` beside it is refused. A list that is given as `receipts` grows by one of each
        page that is fetched, and may be emptied at any time.

        The scan's `cursor` says where it stands; `cursor` goes on there, in this client or in any
        other of the cluster. Who leaves the loop early may close the scan (`contextlib.aclosing`)
        to let go of pages fetched ahead.
        """
        wanted, since = asked_scan(
            prefix, start, end, limit, cursor, keys_only=False, reverse=reverse
        )
        asking = self._asking(since, consistency, receipts, timeout_s, consistent=consistent)
        return self._scan(wanted, since, asking, key_and_value, consistent=consistent)

    def scan_keys(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        consistency: Level = _LINEARIZABLE,
        cursor: str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> AsyncScan[bytes]:
        """Like `scan`, without fetching the values."""
        wanted, since = asked_scan(
            prefix, start, end, limit, cursor, keys_only=True, reverse=reverse
        )
        asking = self._asking(since, consistency, receipts, timeout_s, consistent=consistent)
        return self._scan(wanted, since, asking, only_key, consistent=consistent)

    def scan_records(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        limit: int | None = None,
        reverse: bool = False,
        consistent: bool = False,
        consistency: Level = _LINEARIZABLE,
        cursor: str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> AsyncScan[tuple[bytes, Record]]:
        """Like `scan`, with each value's version and revisions."""
        wanted, since = asked_scan(
            prefix, start, end, limit, cursor, keys_only=False, reverse=reverse
        )
        asking = self._asking(since, consistency, receipts, timeout_s, consistent=consistent)
        return self._scan(wanted, since, asking, key_and_record, consistent=consistent)

    def _scan(
        self,
        wanted: Range,
        since: Cursor | None,
        asking: Asking,
        convert: Callable[[bytes, bytes], T],
        *,
        consistent: bool = False,
    ) -> AsyncScan[T]:
        views = self._random if consistent else None
        begun = partial(self._begun, asking.timeout_s)
        return AsyncScan(begun, wanted, since, asking, convert, views=views)

    def _asking(
        self,
        since: Cursor | None,
        consistency: Level,
        receipts: list[Receipt] | None,
        timeout_s: float | None,
        *,
        consistent: bool,
    ) -> Asking:
        pinned = since is not None and since.view != 0
        kind, bound = scan_class_of(
            consistency, consistent=checked_flag("consistent", consistent) or pinned
        )
        return Asking(self._timeout(timeout_s), kind, bound, checked_receipts(receipts))

    async def unpin(self, cursor: str, *, timeout_s: float | None = None) -> None:
        """Lets go of what a consistent scan reads from that was pinned (AsyncScan.pin): for those
        who do not go on. `cursor` can then not be used any more."""
        dispatcher = await self._begun(self._timeout(timeout_s))
        await close_views(dispatcher, pinned_view(cursor, dispatcher.board.header[0]))

    async def _begun(self, timeout_s: float) -> Dispatcher:
        loop = get_running_loop()
        return await self._start(loop, loop.time() + timeout_s)

    async def count(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        receipts: list[Receipt] | None = None,
        timeout_s: float | None = None,
    ) -> int:
        """How many keys there are with start ≤ key < end that begin with `prefix`.

        Counted on the nodes, in pages, each of which is linearizable; the whole is not one moment's
        picture. `timeout_s` is for each page; a list that is given as `receipts` grows by one of
        each.
        """
        wanted = asked_range(prefix, start, end)
        asking = Asking(self._timeout(timeout_s), receipts=checked_receipts(receipts))
        return await count_keys(await self._begun(asking.timeout_s), wanted, asking)

    async def delete_range(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        timeout_s: float | None = None,
        progress: DeleteProgress = lambda _deleted: None,
    ) -> int:
        """Deletes the keys with start ≤ key < end that begin with `prefix`; says how many.

        At least one of them has to be given. Not atomic: keys go page by page, in order, and
        `progress` is told after each page how many are gone. Where it fails, those stay gone, and
        it can be called again. A key that is put meanwhile may be deleted or stay. `timeout_s` is
        for each page.
        """
        check_bounded(prefix, start, end)
        wanted = asked_range(prefix, start, end)
        wait_s = self._timeout(timeout_s)
        dispatcher = await self._begun(wait_s)
        async with contextlib.aclosing(self._scan(wanted, None, Asking(wait_s), only_key)) as keys:
            return await delete_keys(dispatcher, keys, wait_s, progress)
