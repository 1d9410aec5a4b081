"""A fake cluster for tests that have no event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from tests.client.fake_cluster import FakeCluster, running


class Background:
    """A fake cluster on an event loop in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, cluster: FakeCluster) -> None:
        self.loop = loop
        self.cluster = cluster

    def on_loop(self, action: Callable[[], object]) -> None:
        async def act() -> None:
            action()

        asyncio.run_coroutine_threadsafe(act(), self.loop).result(10)


@contextmanager
def in_background() -> Iterator[Background]:
    """Runs one."""
    ready: Future[Background] = Future()
    stop = threading.Event()

    async def serve() -> None:
        # Loops of one process share gRPC's wake-up socket: one may find it emptied by another.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with running() as cluster:
            ready.set_result(Background(asyncio.get_running_loop(), cluster))
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    yield ready.result(10)
    stop.set()
    thread.join(10)
