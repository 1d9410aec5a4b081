"""A node as a process: the real seams, the event loop, signals and exit codes."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Final, Literal

import structlog
import uvloop

from kvstore.client.direct_channel import DirectChannel
from kvstore.config import NodeSettings
from kvstore.environment import Clock
from kvstore.errors import CorruptionError
from kvstore.logs import configure_logging
from kvstore.node import Node
from kvstore.rpc.peer_transport import PeerTransport
from kvstore.rpc.server import NodeServer
from kvstore.seams import Seams
from kvstore.storage.rocks_engine import RocksEngine
from kvstore.system import SystemClock, SystemFileSystem, ThreadWorker

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 70
"""The node stopped itself: a disk failed, data are damaged or an invariant broke."""

_log = structlog.get_logger("kvstore.node")


def real_seams(loop: asyncio.AbstractEventLoop, clock: Clock, detours: Mapping[str, str]) -> Seams:
    """This machine, for a node on `loop`; `detours` are where it connects instead, by address."""
    return Seams(
        clock=clock,
        files=SystemFileSystem(),
        random=Random(SystemRandom().getrandbits(256)),
        process_id=os.getpid(),
        bind=NodeServer,
        open_engine=RocksEngine,
        start_log_worker=lambda: ThreadWorker(loop, name="kvstore-log"),
        start_flush_worker=lambda: ThreadWorker(loop, name="kvstore-flush"),
        open_peer_links=partial(PeerTransport, detours=detours),
        open_channel=lambda address: DirectChannel(detours.get(address, address)),
        call_soon=loop.call_soon,
    )


async def serve(settings: NodeSettings, clock: Clock) -> int:
    """Runs a node until SIGTERM or SIGINT, or until it has to stop itself; the exit code."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    waiting = loop.create_task(asked.wait())
    try:
        while True:
            code = await _live(settings, real_seams(loop, clock, settings.detours), waiting)
            if code is not None:
                return code
    finally:
        waiting.cancel()


async def _live(
    settings: NodeSettings, seams: Seams, asked: asyncio.Task[Literal[True]]
) -> int | None:
    """One life of the node, until it is `asked` to end; its exit code. None: its data turned out to
    be damaged and are marked so, and another life may begin."""
    starting = asyncio.ensure_future(Node.start(settings, seams))
    await asyncio.wait((asked, starting), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        # It may wait for the cluster to give it a place.
        starting.cancel()
        await asyncio.wait((starting,))
        return EXIT_STOPPED
    try:
        node = starting.result()
    except CorruptionError as problem:
        _log.critical("the node's data are damaged", reason=str(problem))
        return None
    _log.info("serving", node=settings.node_id, listen=settings.listen)
    # What start-up made stays: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    await asyncio.wait((asked, node.failed), return_when=asyncio.FIRST_COMPLETED)
    if node.failed.done():
        failure = node.failed.result()
        _log.critical("the node stops itself", reason=str(failure), exc_info=failure)
        await node.abandon()
        return None if isinstance(failure, CorruptionError) else EXIT_FAILED
    _log.info("stopping", node=settings.node_id)
    await node.stop()
    _log.info("stopped", node=settings.node_id)
    return EXIT_STOPPED


def run(settings: NodeSettings) -> int:
    """Runs a node in an event loop of its own; the process's exit code.

    Raises ConfigurationError; says other operating errors on the log.
    """
    configure_logging(settings.log_level, as_json=settings.log_json)
    clock, loop_factory = _time_of(settings.clock_file)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(serve(settings, clock))
    except OSError as problem:
        _log.critical("the node cannot start", reason=str(problem))
        return EXIT_FAILED


def _time_of(clock_file: Path | None) -> tuple[Clock, Callable[[], asyncio.AbstractEventLoop]]:
    """The node's clock, and how its event loop is made."""
    if clock_file is None:
        return SystemClock(), uvloop.new_event_loop
    from kvstore.moved_clock import MovedClock, MovedLoop  # noqa: PLC0415 - for faults only

    clock = MovedClock(clock_file)
    _log.warning("the clocks of this node are moved by a file", file=str(clock_file))
    return clock, partial(MovedLoop, clock)
