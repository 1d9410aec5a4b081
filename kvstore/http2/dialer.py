"""A connection to one address that is made when it is wanted, and anew when it was lost."""

from __future__ import annotations

import asyncio

from kvstore.http2.calls import ClientLink


class Dialer:
    """See the module. After an attempt that failed it waits a while before the next one, up to
    `backoff_s_max` (twice as long each time, from `backoff_s_min` on)."""

    def __init__(
        self,
        address: str,
        *,
        connect_timeout_s: float,
        backoff_s_min: float,
        backoff_s_max: float,
        idle_s: float,
        answer_s: float,
    ) -> None:
        """For `idle_s` and `answer_s` see Link.keep_alive."""
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._backoff_s_min = backoff_s_min
        self._backoff_s_max = backoff_s_max
        self._idle_s = idle_s
        self._answer_s = answer_s
        self._link: ClientLink | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._retiring: dict[ClientLink, None] = {}
        self._failures = 0
        self._retry_s = 0.0
        self._is_closed = False
        self.problem = ""
        """Why the last attempt failed."""

    @property
    def link(self) -> ClientLink | None:
        """The connection, if it is open."""
        link = self._link
        return link if link is not None and link.is_open else None

    @property
    def is_down(self) -> bool:
        """Whether an attempt failed, so lately that it is too early for the next one."""
        if not self._failures or self._connecting is not None:
            return False
        return asyncio.get_running_loop().time() < self._retry_s

    def start(self) -> None:
        """Begins to connect, if it is time for it."""
        if self._connecting is None and not self._is_closed:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._retry_s:
                self._connecting = loop.create_task(self._connect())

    async def connected(self, timeout_s: float) -> bool:
        """Whether there is a connection now, or within `timeout_s`; False as soon as an attempt
        has failed."""
        if self.link is not None:
            return True
        self.start()
        if self._connecting is None:
            return False
        await asyncio.wait((self._connecting,), timeout=timeout_s)
        return self.link is not None

    async def close(self) -> None:
        """Ends the connection; calls under way on it are cancelled."""
        self._is_closed = True
        connecting = self._connecting
        if connecting is not None:
            connecting.cancel()
            await asyncio.wait((connecting,))
            self._connecting = None
        for link in (*self._retiring, self._link):
            if link is not None:
                link.cancel_all()
                link.lose("the connection was closed here")
        self._link = None
        self._retiring.clear()

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                link = await self._open()
        except (OSError, TimeoutError, ValueError, OverflowError) as problem:
            self._failed(str(problem) or f"no answer within {self._connect_timeout_s:g} s")
        else:
            self._retire()
            self._link = link
            self._failures = 0
            self._retry_s = 0.0
            link.keep_alive(self._idle_s, self._answer_s)
        finally:
            self._connecting = None

    async def _open(self) -> ClientLink:
        host, _, port = self._address.rpartition(":")
        loop = asyncio.get_running_loop()
        transport, link = await loop.create_connection(
            lambda: ClientLink(self._address), host.strip("[]"), int(port)
        )
        try:
            if _is_own_end(transport):
                transport.abort()
                raise ConnectionRefusedError("nobody listens there")
            await link.opened
        except BaseException:
            link.lose("it was not wanted any more")
            raise
        return link

    def _failed(self, problem: str) -> None:
        self.problem = f"cannot connect to {self._address}: {problem}"
        self._failures += 1
        wait_s = self._backoff_s_min * 2.0 ** min(self._failures - 1, 16)
        loop = asyncio.get_running_loop()
        self._retry_s = loop.time() + min(wait_s, self._backoff_s_max)

    def _retire(self) -> None:
        """A connection on which no call may begin keeps those that are under way."""
        if self._link is not None:
            self._link.is_retired = True
            self._retiring[self._link] = None
        for link in list(self._retiring):
            if link.is_spent():
                link.lose("another connection has taken its place")
            if link.is_closed:
                del self._retiring[link]


def _is_own_end(transport: asyncio.Transport) -> bool:
    """Whether a connection has its own end at the other end: so TCP connects, now and then, to a
    port that nobody listens at and that it chooses for itself."""
    name = transport.get_extra_info("sockname")
    return name is not None and name == transport.get_extra_info("peername")
