"""A cluster that is none: it notes what is done to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kvstore.chaos.schedule import FaultKind
from kvstore.chaos.target import ClockMove
from kvstore.chaos.target_base import BareTarget
from kvstore.errors import Unavailable


class FakeTarget(BareTarget):
    """Three nodes; `fails_at` is what is not done, but raises Unavailable."""

    name = "local"
    is_shared = False
    endpoints = "127.0.0.1:1"

    def __init__(self, fails_at: str = "") -> None:
        self._nodes = ("n1", "n2", "n3")
        self._fails_at = fails_at
        self.done: list[str] = []
        self.moves: list[tuple[str, ClockMove]] = []
        self.fell: str | None = None

    def refusal(self, kind: FaultKind) -> str | None:
        return None

    async def open(self, kinds: Sequence[FaultKind], folder: Path) -> None:
        self._note("open")

    async def close(self) -> None:
        self._note("close")

    def end_now(self) -> None:
        self._note("end_now")

    async def kill(self, node: str) -> None:
        self._note(f"kill {node}")

    async def start(self, node: str) -> None:
        self._note(f"start {node}")

    async def start_all(self) -> None:
        self._note("start all")

    async def pause(self, node: str) -> None:
        self._note(f"pause {node}")

    async def resume(self, node: str) -> None:
        self._note(f"resume {node}")

    async def move_clocks(self, node: str, move: ClockMove) -> None:
        self.moves.append((node, move))

    async def fallen(self) -> str | None:
        return self.fell

    def _note(self, what: str) -> None:
        self.done.append(what)
        if what == self._fails_at:
            raise Unavailable(f"{what} did not work")
