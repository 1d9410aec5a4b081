"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Coroutine, Generator
from typing import Any, Final, TypeVar

from kvstore.client.scanning import AsyncScan
from kvstore.errors import ClientClosed

T = TypeVar("T")

SCAN_STEP: Final = 256
"""Entries of a scan that cross from the event loop's thread to the caller's at a time."""
_CLOSE_TIMEOUT_S: Final = 5.0


class Background:
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

    def iterate(self, source: AsyncScan[T]) -> Generator[T, None, None]:
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


async def _next_of(source: AsyncScan[T]) -> list[T]:
    step: list[T] = []
    async for item in source:
        step.append(item)
        if len(step) == SCAN_STEP:
            break
    return step


async def _close(source: AsyncScan[T]) -> None:
    await source.aclose()


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Loops of one process share gRPC's wake-up socket, and one may find it emptied by another.
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)
