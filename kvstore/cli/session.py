"""What commands share: where the cluster is, how long to try, how to print. Loads little."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Final, TypeVar

from kvstore.cli.text import positive
from kvstore.errors import ConfigurationError, InvalidArgument

if TYPE_CHECKING:
    from kvstore.cli.connection import Connection
    from kvstore.client import AsyncClient

T = TypeVar("T")

DEFAULT_ENDPOINTS: Final = "127.0.0.1:7001"
DEFAULT_TIMEOUT_S: Final = 5.0
TIMEOUT_S_MAX: Final = 3600.0


@unique
class Output(StrEnum):
    """How results are printed."""

    SIMPLE = "simple"
    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Options:
    """The shared options, as far as they are given; None: not given here."""

    endpoints: str | None = None
    timeout_s: float | None = None
    output: Output | None = None
    connection: Connection | None = None
    """That of the shell in which the command runs; None: it runs on its own."""

    def over(self, below: Options) -> Options:
        """These, and those of `below` where none is given here."""
        return Options(
            self.endpoints or below.endpoints,
            below.timeout_s if self.timeout_s is None else self.timeout_s,
            self.output or below.output,
            self.connection or below.connection,
        )

    def client(self) -> AsyncClient:
        """A client of the cluster, not yet connected; raises ConfigurationError."""
        from kvstore.client import AsyncClient  # noqa: PLC0415 - not for --help and usage errors

        timeout_s = DEFAULT_TIMEOUT_S if self.timeout_s is None else self.timeout_s
        positive("timeout", timeout_s, TIMEOUT_S_MAX)
        try:
            return AsyncClient(self.endpoints or DEFAULT_ENDPOINTS, timeout_s=timeout_s)
        except InvalidArgument as problem:
            raise ConfigurationError(str(problem)) from problem

    def run(self, work: Callable[[AsyncClient], Awaitable[T]]) -> T:
        """Runs `work` with a client in an event loop of its own, or with those of the shell."""
        if self.connection is not None:
            return self.connection.run(self, work)
        import asyncio  # noqa: PLC0415

        import uvloop  # noqa: PLC0415

        async def connected() -> T:
            async with self.client() as client:
                return await work(client)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(connected())


def options_from_environment() -> Options:
    """What KVSTORE_ENDPOINTS, KVSTORE_TIMEOUT and KVSTORE_OUTPUT say."""
    timeout, output = os.environ.get("KVSTORE_TIMEOUT"), os.environ.get("KVSTORE_OUTPUT")
    try:
        return Options(
            os.environ.get("KVSTORE_ENDPOINTS"),
            float(timeout) if timeout else None,
            Output(output) if output else None,
        )
    except ValueError as problem:
        raise ConfigurationError(f"KVSTORE_TIMEOUT or KVSTORE_OUTPUT: {problem}") from problem
