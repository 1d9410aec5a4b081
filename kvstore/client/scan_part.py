"""One partition's part of a scan: the page in use and the one that is fetched ahead."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from dataclasses import replace

from kvstore.client.ranges import Range
from kvstore.codec.scan import Page, Scan, ViewAction
from kvstore.errors import ScanExpired

Ask = Callable[[Scan], Future[Page]]
"""Asks the partition."""

EMPTY = Page((), (), more=False)


class PartView:
    """The view that a consistent scan has of one partition. Time is in seconds."""

    __slots__ = ("_asked_s", "_now_s", "is_open", "number", "revision")

    def __init__(
        self, number: int, now_s: Callable[[], float], revision: int | None = None
    ) -> None:
        """`revision` is that of a view which is open; None: it is to be opened."""
        self.number = number
        self.revision = revision
        """None until the first page has come."""
        self.is_open = True
        """It was asked for, and has more than what has come."""
        self._now_s = now_s
        self._asked_s = now_s()

    @property
    def idle_s(self) -> float:
        """For how long the node was not asked."""
        return self._now_s() - self._asked_s

    def on(self, question: Scan) -> Scan:
        """`question`, asked of the view."""
        self._asked_s = self._now_s()
        action = ViewAction.OPEN if self.revision is None else ViewAction.READ
        return replace(question, view_action=action, view=self.number)

    def about(self, action: ViewAction) -> Scan:
        """A question that reads nothing."""
        self._asked_s = self._now_s()
        return Scan(b"", None, 0, 0, view_action=action, view=self.number)

    def take(self, page: Page) -> None:
        """Notes what a page says; raises ScanExpired where it is of another moment."""
        if self.revision is None:
            self.revision = page.revision
        elif page.revision != self.revision:
            raise ScanExpired(
                f"the partition was at revision {self.revision} when the scan began, and the next "
                f"page is of revision {page.revision}: begin the scan anew"
            )
        self.is_open = page.more


class Part:
    """See the module; `question` is asked again and again, for what is left of `wanted`."""

    __slots__ = ("_ask", "_next", "_page", "_position", "_question", "_wanted", "view")

    def __init__(self, ask: Ask, wanted: Range, question: Scan, view: PartView | None) -> None:
        self._ask = ask
        self._wanted = wanted
        self._question = question
        self.view = view
        self._page = EMPTY
        self._position = 0
        self._next: Future[Page] | None = self._fetch(wanted)

    @property
    def key(self) -> bytes:
        """The next key."""
        return self._page.keys[self._position]

    @property
    def record(self) -> bytes:
        """What is stored under it; empty when only keys were asked for."""
        return self._page.records[self._position] if self._page.records else b""

    def step(self) -> bool:
        """Goes to the next key; False when that takes `load` first."""
        self._position += 1
        return self._position < len(self._page.keys)

    async def load(self) -> bool:
        """Goes to the first key of the next page; False when there are no more keys."""
        while self._next is not None:
            self._page = EMPTY  # the next one takes its place, not a place beside it
            page = await self._next
            self._next = None
            if self.view is not None:
                self.view.take(page)
            self._page, self._position = page, 0
            if page.more and page.keys:
                self._next = self._fetch(self._wanted.beyond(page.keys[-1]))
            if page.keys:
                return True
        return False

    def close(self) -> None:
        """Lets go of the page that is fetched ahead."""
        if self._next is not None:
            let_go(self._next)

    def _fetch(self, rest: Range) -> Future[Page]:
        question = replace(self._question, start=rest.start, end=rest.end)
        return self._ask(question if self.view is None else self.view.on(question))


def let_go(future: Future[Page]) -> None:
    """Nobody waits for `future` any more."""
    if not future.cancel() and not future.cancelled():
        future.exception()  # looked at, so that nobody reports it as overlooked
