"""The data of one partition as they were at one moment, for reading them at leisure."""

from __future__ import annotations

from typing import Final

from cluster.ids import Index, Term
from kvstore.codec.scan import Page
from kvstore.storage.engine import EngineView

_PAGE_KEYS_MAX: Final = 4096


class PartitionView:
    """All keys and records in byte order, page by page. Failures are those of EngineView."""

    __slots__ = ("_next", "_prefix", "_view", "applied_index", "revision", "term")

    def __init__(
        self, view: EngineView, prefix: bytes, applied_index: Index, term: Term, revision: int
    ) -> None:
        """`view` is of the range of all keys that begin with `prefix`."""
        self._view = view
        self._prefix = prefix
        self._next = prefix
        self.applied_index = applied_index
        """The last log entry whose effects are in it."""
        self.term = term
        self.revision = revision

    def next_page(self, bytes_max: int) -> Page:
        """The page after the last one; `more` is exact, and nothing follows where it is false."""
        page = self._view.scan(self._next, limit=_PAGE_KEYS_MAX, bytes_max=bytes_max)
        if page.keys:
            self._next = page.keys[-1] + b"\0"
        cut = len(self._prefix)
        return Page([key[cut:] for key in page.keys], page.values, page.more)

    def close(self) -> None:
        """Lets go of it; a second call does nothing. To be called before the engine's `close`."""
        self._view.close()
