"""What a caller of a scan holds: the entries to come, and where it stands."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from random import Random
from typing import Any, Generic, Self, TypeVar

from kvstore.client.dispatch import Dispatcher
from kvstore.client.ranges import Range
from kvstore.client.records import record_of, value_of
from kvstore.client.scan import Asking, Merge, View, view_number
from kvstore.codec.cursor import Cursor, encode_cursor
from kvstore.codec.record import Record
from kvstore.errors import InvalidArgument

T = TypeVar("T")


class _Standing:
    """Where a scan stands. Apart from the scan, so that it and its generator make no cycle: one
    that nobody holds any more ends at once."""

    __slots__ = ("cluster_id", "last", "merge", "revisions", "view", "wanted")

    def __init__(self, wanted: Range, since: Cursor | None, views: Random | None) -> None:
        self.wanted = wanted
        self.cluster_id = "" if since is None else since.cluster_id
        self.last = None if since is None else since.last
        self.revisions: dict[int, int] = {}
        self.merge: Merge | None = None
        """None: it has not begun."""
        self.view: View | None = None
        """None: it is not consistent."""
        if since is not None and since.view:
            self.view = View(since.view, since.revisions)
        elif views is not None:
            self.view = View(view_number(views))

    def begin(self, cluster_id: str) -> Range:
        """What is to be read from `cluster_id`; raises InvalidArgument where it is another one than
        the cursor's."""
        if self.cluster_id not in ("", cluster_id):
            raise InvalidArgument(
                f"the cursor is of cluster {self.cluster_id}, not {cluster_id}: it says nothing "
                "about where a scan of this one stands"
            )
        self.cluster_id = cluster_id
        return self.wanted if self.last is None else self.wanted.beyond(self.last)

    def cursor(self, last: bytes | None) -> str:
        wanted = self.wanted
        cursor = Cursor(self.cluster_id, wanted.start, wanted.end, wanted.reverse, last)
        return encode_cursor(cursor)

    def pin(self) -> str:
        view, merge, wanted = self.view, self.merge, self.wanted
        if view is None or merge is None or not self.revisions or merge.is_over:
            raise InvalidArgument(
                "only a consistent scan can be pinned, while it is under way: after its first "
                "entry and before its end"
            )
        merge.is_pinned = True
        cursor = Cursor(
            self.cluster_id,
            wanted.start,
            wanted.end,
            wanted.reverse,
            self.last,
            view.number,
            self.revisions,
        )
        return encode_cursor(cursor)


class AsyncScan(Generic[T]):
    """The entries of a scan, in order: `async for`. Made by AsyncClient's methods.

    `aclose` ends it early and lets go of pages fetched ahead and of views (`contextlib.aclosing`);
    one that was used up, or that nobody holds any more, does so by itself.
    """

    def __init__(
        self,
        start: Callable[[], Awaitable[Dispatcher]],
        wanted: Range,
        since: Cursor | None,
        asking: Asking,
        convert: Callable[[bytes, bytes], T],
        *,
        views: Random | None,
    ) -> None:
        """`since` is where it goes on; `views` draws a number for a consistent scan, None: it is
        none, unless the cursor is of one."""
        self._standing = _Standing(wanted, since, views)
        self._entries = _entries(start, self._standing, asking, convert)

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._entries.__anext__()

    async def aclose(self) -> None:
        """Ends it; may be called twice."""
        await self._entries.aclose()

    @property
    def cursor(self) -> str:
        """Where it stands, behind the last entry that was given: hand it to `scan(cursor=…)` of any
        client of the same cluster, at any time, and it goes on there. It holds range and direction,
        not the limit; what was written meanwhile is seen or not as its place in the order says."""
        return self._standing.cursor(self._standing.last)

    def cursor_behind(self, key: bytes) -> str:
        """`cursor`, as if `key` were the last one that was given."""
        return self._standing.cursor(key)

    def pin(self) -> str:
        """A cursor with which another scan goes on in this one, of the same revisions.

        For consistent scans, after an entry and before the end. The nodes then keep what is read
        from when this scan ends; they let go of it when nobody went on for 30 s, which is
        ScanExpired for who comes later, when the other scan ends, or by `unpin`. Raises
        InvalidArgument where there is nothing to be kept.
        """
        return self._standing.pin()

    @property
    def is_consistent(self) -> bool:
        """Whether it was asked to be, or goes on in one that is."""
        return self._standing.view is not None

    @property
    def revisions(self) -> dict[int, int]:
        """As of which revision a consistent scan shows each partition; known from the first entry
        on, and empty for other scans."""
        return dict(self._standing.revisions)


async def _entries(
    start: Callable[[], Awaitable[Dispatcher]],
    standing: _Standing,
    asking: Asking,
    convert: Callable[[bytes, bytes], T],
) -> AsyncGenerator[T, None]:
    dispatcher = await start()
    rest = standing.begin(dispatcher.board.header[0])
    merge = standing.merge = Merge(dispatcher, rest, asking, standing.view)
    async with aclosing(merge.records()) as records:
        async for key, record in records:
            standing.revisions = merge.revisions
            entry = convert(key, record)
            standing.last = key
            yield entry
        standing.revisions = merge.revisions


def only_key(key: bytes, _record: bytes) -> bytes:
    """What `scan_keys` gives."""
    return key


def key_and_value(key: bytes, record: bytes) -> tuple[bytes, bytes]:
    """What `scan` gives; raises CorruptionError."""
    return key, value_of(key, record)


def key_and_record(key: bytes, record: bytes) -> tuple[bytes, Record]:
    """What `scan_records` gives; raises CorruptionError."""
    return key, record_of(key, record)
