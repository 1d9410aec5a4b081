"""What the commands of a shell share: one client, which stays connected, on one event loop.

The loop runs while a command does. Between commands nothing is under way, so nothing waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from kvstore.cli.session import Options
from kvstore.client import AsyncClient

T = TypeVar("T")


class Connection:
    """Used with `with`. Raises ConfigurationError where `options` cannot be."""

    def __init__(self, options: Options) -> None:
        self._settings = _settings(options)
        self._client = options.client()
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    def __enter__(self) -> Self:
        self._runner.get_loop().set_exception_handler(_quiet)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(KeyboardInterrupt), self._runner:
            self._runner.run(self._client.aclose())

    def run(self, options: Options, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
        """Runs `work` with the client, or where the command names other nodes or another timeout
        with one of its own. Ctrl-C ends it by KeyboardInterrupt, and nothing else."""

        async def with_ours() -> T:
            return await work(self._client)

        async def with_another() -> T:
            async with options.client() as client:
                return await work(client)

        is_ours = _settings(options) == self._settings
        return self._runner.run(with_ours() if is_ours else with_another())


def _settings(options: Options) -> tuple[str | None, float | None]:
    return (options.endpoints, options.timeout_s)


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Commands of `local` have a loop, too: they share gRPC's wake-up socket, and one may find it
    # emptied by another.
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)
