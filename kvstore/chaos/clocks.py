"""The clocks of a local cluster's nodes: each follows a file of its own, while the nodes run."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from kvstore.chaos.target import ClockMove
from kvstore.clock_file import MILLION, ClockWriter

_NS_PER_S: Final = 1_000_000_000


class Clocks:
    """The files of one run."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._writers: dict[str, ClockWriter] = {}

    def make(self, nodes: Iterable[str], folder: Path) -> dict[str, Path]:
        """A file for each of `nodes`, whose clocks are the machine's for now, in `folder`, which is
        made; raises OSError."""
        folder.mkdir(parents=True)
        self._folder = folder
        self._writers = {node: ClockWriter(folder / node) for node in nodes}
        return {node: writer.path for node, writer in self._writers.items()}

    def move(self, node: str, move: ClockMove) -> None:
        """Moves those of `node`; raises OSError."""
        self._writers[node].move(
            ahead_ns=round(move.ahead_s * _NS_PER_S),
            rate_ppm=round(move.rate * MILLION),
            wall_offset_ns=round(move.wall_s * _NS_PER_S),
        )

    def remove(self) -> None:
        """Takes the files away; nodes that still run keep what they show."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
