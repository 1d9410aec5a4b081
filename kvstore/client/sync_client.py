"""The client for programs without asyncio: the same words, and any number of threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from random import Random
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeVar

from cluster.partition.map import ClusterMap
from kvstore.client.async_client import ENDPOINTS_DEFAULT, TIMEOUT_S_DEFAULT, AsyncClient
from kvstore.client.scrub import GroupScrub, ScrubProgress
from kvstore.client.status import ClusterStatus, Location
from kvstore.codec.record import Record
from kvstore.errors import ClientClosed

T = TypeVar("T")

SCAN_STEP: Final = 256
"""Entries of a scan that cross from the event loop's thread to the caller's at a time."""
_CLOSE_TIMEOUT_S: Final = 5.0


class Client:
    """A kvstore cluster, for any number of threads.

    ```python
    with Client("127.0.0.1:7001,127.0.0.1:7002") as kv:
        kv.put("greeting", "hello")
        value = kv.get("greeting")  # b"hello"
    ```

    Says and raises what AsyncClient does. It runs one on an event loop in a thread of its own,
    which ends with `close`, with the client, or with the program.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str] = ENDPOINTS_DEFAULT,
        *,
        timeout_s: float = TIMEOUT_S_DEFAULT,
        random: Random | None = None,
    ) -> None:
        self._client = AsyncClient(endpoints, timeout_s=timeout_s, random=random)
        self._background = _Background()
        # Holds no reference to this object; also called when the program ends.
        self._finalizer = weakref.finalize(self, _shut_down, self._background, self._client)

    def __repr__(self) -> str:
        return repr(self._client).replace("AsyncClient", "Client", 1)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Client holds connections and cannot be pickled; make one there")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections and ends the thread; may be called twice.

        Calls that wait in other threads raise ClientClosed, or OutcomeUnknown where a write had
        been sent.
        """
        self._finalizer()

    def put(self, key: bytes | str, value: bytes | str, *, timeout_s: float | None = None) -> int:
        """See AsyncClient.put."""
        return self._background.run(self._client.put(key, value, timeout_s=timeout_s))

    def get(self, key: bytes | str, *, timeout_s: float | None = None) -> bytes | None:
        """See AsyncClient.get."""
        return self._background.run(self._client.get(key, timeout_s=timeout_s))

    def get_record(self, key: bytes | str, *, timeout_s: float | None = None) -> Record | None:
        """See AsyncClient.get_record."""
        return self._background.run(self._client.get_record(key, timeout_s=timeout_s))

    def delete(self, key: bytes | str, *, timeout_s: float | None = None) -> bool:
        """See AsyncClient.delete."""
        return self._background.run(self._client.delete(key, timeout_s=timeout_s))

    def scan(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        limit: int | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:
        """See AsyncClient.scan."""
        entries = self._client.scan(
            prefix=prefix, start=start, end=end, limit=limit, timeout_s=timeout_s
        )
        return self._background.iterate(entries)

    def scan_keys(
        self,
        *,
        prefix: bytes | str | None = None,
        start: bytes | str | None = None,
        end: bytes | str | None = None,
        limit: int | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[bytes]:
        """See AsyncClient.scan_keys."""
        keys = self._client.scan_keys(
            prefix=prefix, start=start, end=end, limit=limit, timeout_s=timeout_s
        )
        return self._background.iterate(keys)

    def locate(self, key: bytes | str, *, timeout_s: float | None = None) -> Location:
        """See AsyncClient.locate."""
        return self._background.run(self._client.locate(key, timeout_s=timeout_s))

    def status(self, *, timeout_s: float | None = None) -> ClusterStatus:
        """See AsyncClient.status."""
        return self._background.run(self._client.status(timeout_s=timeout_s))

    def scrub(
        self,
        partitions: Sequence[int] | None = None,
        *,
        timeout_s: float | None = None,
        progress: ScrubProgress = lambda _done, _of: None,
    ) -> tuple[GroupScrub, ...]:
        """See AsyncClient.scrub; `progress` is called in another thread."""
        return self._background.run(
            self._client.scrub(partitions, timeout_s=timeout_s, progress=progress)
        )

    def cluster_map(self, *, timeout_s: float | None = None) -> ClusterMap:
        """See AsyncClient.cluster_map."""
        return self._background.run(self._client.cluster_map(timeout_s=timeout_s))


class _Background:
    """An event loop in a daemon thread, started by the first call."""

    def __init__(self) -> None:
        # Taken again by the thread that has it when a scan is collected at that moment.
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, job: Coroutine[Any, Any, T]) -> T:
        """The result of `job`, run on the loop; cancels it when the caller is interrupted."""
        if threading.current_thread() is self._thread:
            job.close()
            raise RuntimeError("Client must not be called from its own thread; use AsyncClient")
        future = self._submit(job)
        try:
            return future.result()
        except concurrent.futures.CancelledError as problem:
            raise ClientClosed("the client was closed during the call") from problem
        except BaseException:
            future.cancel()
            raise

    def iterate(self, source: AsyncGenerator[T, None]) -> Iterator[T]:
        """The items of `source`, fetched in steps; closes it in the end."""
        try:
            more = True
            while more:
                step = self.run(_next_of(source))
                more = len(step) == SCAN_STEP
                yield from step
        finally:
            # Not waited for: a generator may be collected on any thread.
            with contextlib.suppress(ClientClosed):
                self._submit(_close(source))

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Runs `last` on the loop, then ends it and its thread."""
        with self._lock:
            first, self._closed = not self._closed, True
        loop, stop, thread = self._loop, self._stop, self._thread
        if not first or loop is None or stop is None or thread is None:
            last.close()
            return
        try:
            asyncio.run_coroutine_threadsafe(last, loop).result(_CLOSE_TIMEOUT_S)
        finally:
            loop.call_soon_threadsafe(stop.set)
            if threading.current_thread() is not thread:
                thread.join(_CLOSE_TIMEOUT_S)

    def _submit(self, job: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        with self._lock:
            if self._closed:
                job.close()
                raise ClientClosed("the client is closed; nothing was done")
            return asyncio.run_coroutine_threadsafe(job, self._started())

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            started: concurrent.futures.Future[asyncio.AbstractEventLoop]
            started = concurrent.futures.Future()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._live(started)), name="kvstore-client", daemon=True
            )
            self._thread.start()
            self._loop = started.result()
        return self._loop

    async def _live(self, started: concurrent.futures.Future[asyncio.AbstractEventLoop]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_quiet)
        self._stop = asyncio.Event()
        started.set_result(loop)
        await self._stop.wait()


async def _next_of(source: AsyncGenerator[T, None]) -> list[T]:
    step: list[T] = []
    async for item in source:
        step.append(item)
        if len(step) == SCAN_STEP:
            break
    return step


async def _close(source: AsyncGenerator[T, None]) -> None:
    await source.aclose()


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Loops of one process share gRPC's wake-up socket, and one may find it emptied by another.
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)


def _shut_down(background: _Background, client: AsyncClient) -> None:
    background.close(client.aclose())
