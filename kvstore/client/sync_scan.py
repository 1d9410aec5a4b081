"""What a caller of a scan holds in a program without asyncio."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, Self, TypeVar

from kvstore.client.scanning import AsyncScan

E = TypeVar("E", bound="bytes | tuple[bytes, Any]")


class SyncScan(Generic[E]):
    """The entries of a scan, in order: `for`. Made by Client's methods; see AsyncScan.

    Entries are fetched some at a time, and `cursor` is behind the last one that was given, whatever
    was fetched beyond it.
    """

    def __init__(
        self, source: AsyncScan[E], iterate: Callable[[AsyncScan[E]], Generator[E, None, None]]
    ) -> None:
        self._source = source
        self._entries = iterate(source)
        self._last: bytes | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        entry = next(self._entries)
        self._last = entry if isinstance(entry, bytes) else entry[0]
        return entry

    def close(self) -> None:
        """Ends it; may be called twice (`contextlib.closing`)."""
        self._entries.close()

    @property
    def cursor(self) -> str:
        """See AsyncScan.cursor."""
        last = self._last
        return self._source.cursor if last is None else self._source.cursor_behind(last)

    @property
    def revisions(self) -> dict[int, int]:
        """See AsyncScan.revisions."""
        return self._source.revisions
