"""The data of one partition as they were at one moment, for reading them at leisure."""

from __future__ import annotations

from typing import Final

from cluster.ids import Index, Term
from kvstore.codec.scan import Page
from kvstore.storage.engine import EngineView
from kvstore.storage.view_pages import ViewPages

_PAGE_KEYS_MAX: Final = 4096


class PartitionView:
    """All keys and records in byte order, page by page. Failures are those of EngineView."""

    __slots__ = ("_pages", "applied_index", "revision", "term")

    def __init__(
        self, view: EngineView, prefix: bytes, applied_index: Index, term: Term, revision: int
    ) -> None:
        """`view` is of the range of all keys that begin with `prefix`."""
        self._pages = ViewPages(view, prefix, _PAGE_KEYS_MAX)
        self.applied_index = applied_index
        """The last log entry whose effects are in it."""
        self.term = term
        self.revision = revision

    def next_page(self, bytes_max: int) -> Page:
        """The page after the last one; `more` is exact, and nothing follows where it is false."""
        page = self._pages.next(bytes_max)
        cut = len(self._pages.prefix)
        return Page([key[cut:] for key in page.keys], page.values, page.more)

    def close(self) -> None:
        """Lets go of it; a second call does nothing. To be called before the engine's `close`."""
        self._pages.close()
