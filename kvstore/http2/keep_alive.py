"""Notices a peer that has vanished without closing its connection."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Kept(Protocol):
    """A connection, as far as it is looked after: see Link."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """What runs it."""
        ...

    @property
    def transport(self) -> asyncio.Transport:
        """What carries it."""
        ...

    @property
    def has_heard(self) -> bool:
        """Whether the peer has said anything since the last look."""
        ...

    @property
    def has_calls(self) -> bool:
        """Whether there are calls under way."""
        ...

    def is_deaf(self) -> bool:
        """Whether an answer of the peer would not be read."""
        ...

    def is_spent(self) -> bool:
        """Whether it is needed no more."""
        ...

    def on_look(self) -> None:
        """It has been looked after."""
        ...

    def ping(self) -> None:
        """Asks the peer to say something."""
        ...

    def lose(self, reason: str, *, abort: bool = False) -> None:
        """Ends it."""
        ...


class KeepAlive:
    """See Link.keep_alive. Costs a timer for each connection, and nothing for a message."""

    __slots__ = (
        "_answer_s",
        "_idle_s",
        "_link",
        "_pinged",
        "_timer",
        "_unwritten_bytes",
        "_without_calls",
    )

    def __init__(self, link: Kept, idle_s: float, answer_s: float, *, without_calls: bool) -> None:
        self._link = link
        self._idle_s = idle_s
        self._answer_s = answer_s
        self._without_calls = without_calls
        self._pinged = False
        self._unwritten_bytes = 0
        self._timer = link.loop.call_later(idle_s, self._look)

    def end(self) -> None:
        """The connection is over."""
        self._timer.cancel()

    def _look(self) -> None:
        link = self._link
        if link.is_spent():
            link.lose("another connection has taken its place")
            return
        wait_s = self._idle_s
        if self._is_well():
            self._pinged = False
        elif self._pinged:
            link.lose(f"the peer did not answer within {self._answer_s:g} s", abort=True)
            return
        else:
            self._pinged = True
            link.ping()
            wait_s = self._answer_s
        link.on_look()
        self._timer = link.loop.call_later(wait_s, self._look)

    def _is_well(self) -> bool:
        """Whether there is nothing to ask: the peer has spoken, or takes what is written and may be
        too busy to answer; nobody needs it; or its answer would not be read."""
        link = self._link
        before = self._unwritten_bytes
        self._unwritten_bytes = link.transport.get_write_buffer_size()
        return (
            link.has_heard
            or self._unwritten_bytes < before
            or not (link.has_calls or self._without_calls)
            or link.is_deaf()
        )
