"""The data of one partition as they were at one moment, for reading them at leisure."""

from __future__ import annotations

from typing import Final

from cluster.ids import Index, Term
from kvstore.codec.scan import Page, Scan
from kvstore.storage.engine import EnginePage, EngineView
from kvstore.storage.view_pages import ViewPages

PAGE_KEYS_MAX: Final = 10_000
PAGE_BYTES_MAX: Final = 4 << 20
"""A page is read in one go on the node's only loop: these bound how long the others wait."""

_NEXT_PAGE_KEYS_MAX: Final = 4096


def page_of(page: EnginePage, prefix: bytes, *, revision: int = 0, count: bool = False) -> Page:
    """`page` with the users' keys, which follow `prefix`; with `count`, only how many there are and
    the last."""
    cut = len(prefix)
    if count:
        last = [key[cut:] for key in page.keys[-1:]]
        return Page(last, (), page.more, revision, len(page.keys))
    return Page([key[cut:] for key in page.keys], page.values, page.more, revision)


class PartitionView:
    """All keys and records, page by page. Failures are those of EngineView."""

    __slots__ = ("_pages", "_view", "applied_index", "clock_ms", "revision", "term")

    def __init__(
        self,
        view: EngineView,
        prefix: bytes,
        *,
        applied_index: Index,
        term: Term,
        revision: int,
        clock_ms: int,
    ) -> None:
        """`view` is of the range of all keys that begin with `prefix`."""
        self._view = view
        self._pages = ViewPages(view, prefix, _NEXT_PAGE_KEYS_MAX)
        self.applied_index = applied_index
        """The last log entry whose effects are in it."""
        self.term = term
        self.revision = revision
        self.clock_ms = clock_ms
        """Of the partition, as of the last entry that had a time."""

    def next_page(self, bytes_max: int) -> Page:
        """The page after the last one in byte order; `more` is exact, and nothing follows
        where it is false."""
        return page_of(self._pages.next(bytes_max), self._pages.prefix)

    def scan(self, scan: Scan) -> Page:
        """A page that answers `scan`, as `PartitionState.scan`, with the view's revision."""
        prefix = self._pages.prefix
        page = self._view.scan(
            prefix + scan.start,
            None if scan.end is None else prefix + scan.end,
            limit=min(scan.limit or PAGE_KEYS_MAX, PAGE_KEYS_MAX),
            bytes_max=min(scan.bytes_max, PAGE_BYTES_MAX),
            keys_only=scan.keys_only or scan.count,
            reverse=scan.reverse,
        )
        return page_of(page, prefix, revision=self.revision, count=scan.count)

    def close(self) -> None:
        """Lets go of it; a second call does nothing. To be called before the engine's `close`."""
        self._pages.close()
