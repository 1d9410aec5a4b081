"""How far a long command has come, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from kvstore.cli.printing import say

Advance = Callable[[int, int], None]
"""Told how many bytes of the file (or other units of the whole) and how many records are done."""

_BAR_EVERY_S: Final = 0.1
_LINE_EVERY_S: Final = 5.0


@contextmanager
def progress(total: int | None, *, lines: str = "") -> Iterator[Advance]:
    """A bar when somebody watches; of unknown length when `total` is None. Else, where `lines`
    says what is being done, a line now and then."""
    if not sys.stderr.isatty():
        yield _lines(total, lines) if lines else lambda _position, _count: None
        return
    from rich.console import Console  # noqa: PLC0415 - only bars need it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[records]} records"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(lines, total=total, records=0)

        def draw(position: int, count: int) -> None:
            shown.update(task, completed=position, records=count)

        yield _now_and_then(draw, _BAR_EVERY_S)


def _lines(total: int | None, what: str) -> Advance:
    def write(position: int, count: int) -> None:
        share = f", {position / total:.0%}" if total and position else ""
        say(f"{what}: {count} records{share}")

    return _now_and_then(write, _LINE_EVERY_S)


def _now_and_then(advance: Advance, interval_s: float) -> Advance:
    last_s = time.monotonic()

    def maybe(position: int, count: int) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s > interval_s:
            last_s = now_s
            advance(position, count)

    return maybe
