"""What is seen of a run while it goes on: a live view on a terminal, else a line now and then."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from kvstore.chaos.run import Run
from kvstore.chaos.target import NodeState
from kvstore.cli.printing import say

if TYPE_CHECKING:
    from rich.console import RenderableType

_DRAW_EVERY_S: Final = 0.25
_LINE_EVERY_S: Final = 5.0
_STYLES: Final = {NodeState.RUNNING: "green", NodeState.DOWN: "red", NodeState.PAUSED: "yellow"}
_ERRORS_SHOWN: Final = 6


@asynccontextmanager
async def watching(run: Run) -> AsyncIterator[None]:
    """Shows `run` on standard error as long as the block lasts."""
    show = _draw if sys.stderr.isatty() else _tell
    task = asyncio.create_task(show(run))
    try:
        yield
    finally:
        task.cancel()
        # A terminal that has gone away is no reason to lose the run.
        with suppress(asyncio.CancelledError, OSError):
            await task


def leave_terminal() -> None:
    """Makes the cursor visible again where the live view has no time to."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")


async def _draw(run: Run) -> None:
    from rich.console import Console  # noqa: PLC0415 - only the live view needs it
    from rich.live import Live  # noqa: PLC0415

    rate = _Rate(run)
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(_picture(run, rate.per_s()), refresh=True)
            await asyncio.sleep(_DRAW_EVERY_S)


async def _tell(run: Run) -> None:
    rate = _Rate(run)
    said, at_s = "", 0.0
    while True:
        await asyncio.sleep(_DRAW_EVERY_S)
        line = _doing(run)
        if line == said and time.monotonic() < at_s + _LINE_EVERY_S:
            continue
        said, at_s = line, time.monotonic()
        say(
            f"{line}; {run.recorder.operations} operations, {rate.per_s():.0f}/s,"
            f" {run.recorder.errors.total()} errors, {run.left_s:.0f} s left"
        )


class _Rate:
    """Operations a second since it was last asked."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._at_s = time.monotonic()
        self._operations = run.recorder.operations

    def per_s(self) -> float:
        """The rate."""
        now_s, operations = time.monotonic(), self._run.recorder.operations
        elapsed_s, done = now_s - self._at_s, operations - self._operations
        self._at_s, self._operations = now_s, operations
        return done / elapsed_s if elapsed_s > 0 else 0.0


def _doing(run: Run) -> str:
    now = "" if run.rounds is None else run.rounds.now
    return now or run.phase


def _picture(run: Run, per_s: float) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    nodes = Table("node", "state", "leads", box=None, padding=(0, 2))
    states = {} if run.rounds is None else run.rounds.states
    leads = {} if run.watcher is None else run.watcher.leads
    for node in run.target.nodes:
        state = states.get(node, NodeState.RUNNING)
        nodes.add_row(node, Text(state.value, _STYLES[state]), str(leads.get(node, "-")))
    fault = "" if run.rounds is None else run.rounds.now
    errors = ", ".join(
        f"{count} {kind}" for kind, count in run.recorder.errors.most_common(_ERRORS_SHOWN)
    )
    return Group(
        Text(f"seed {run.plan.seed}: {run.phase}, {run.left_s:.0f} s left", "bold"),
        nodes,
        Text(f"fault: {fault or 'none'}", "red" if fault else "green"),
        Text(
            f"{per_s:.0f} operations/s, {run.recorder.operations} so far,"
            f" {run.summary.faults.total()} faults"
        ),
        Text(f"errors: {errors or 'none'}"),
    )
