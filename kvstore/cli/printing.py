"""Standard output, where results go and nothing else, and standard error for all the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from kvstore.cli.text import json_line


def write(data: bytes) -> None:
    """Writes `data` to standard output as it is."""
    sys.stdout.buffer.write(data)


def write_line(text: str) -> None:
    """Writes a line of text to standard output."""
    write(text.encode(errors="surrogateescape") + b"\n")


def write_json(record: Mapping[str, object]) -> None:
    """Writes an object and the end of the line to standard output."""
    write(json_line(record))


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Draws a table on standard output."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only tables need it
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(*columns, box=SIMPLE_HEAD)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(str, row))
    # Cells hold users' bytes: nothing in them is markup. A file has no width to respect.
    width = None if sys.stdout.isatty() else 200
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    if title:
        console.print(title)
    console.print(table)


def say(text: str) -> None:
    """Tells the user something that is no result."""
    sys.stderr.write(f"kvstore: {text}\n")
    sys.stderr.flush()


class Waiting:
    """One line on a terminal that says what is being waited for, and is gone afterwards."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, text: str) -> None:
        """Shows `text` in place of what was shown before; silent when nobody watches."""
        if text != self._shown and sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[2K{text}" if text else "\r\x1b[2K")
            sys.stderr.flush()
            self._shown = text

    def clear(self) -> None:
        """Takes the line away."""
        self("")
