"""The cluster that a run is about, whatever it is made of: what can be done to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Final, Protocol

from kvstore.chaos.mesh import Mesh
from kvstore.chaos.schedule import FaultKind
from kvstore.client.channel import OpenChannel
from kvstore.errors import ConfigurationError

ELECTION_TIMEOUT_MS_DEFAULT: Final = 1200
"""The longest that a node waits, unless it is told otherwise (`--election-timeout-ms`)."""


@unique
class NodeState(Enum):
    """What a fault has made of a node; the values stand in events.jsonl."""

    RUNNING = "running"
    DOWN = "down"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class ClockMove:
    """What is done to the clocks of a node, at once and until the next move."""

    ahead_s: float = 0.0
    """Its monotonic clock jumps so far; it never goes back."""
    rate: float = 1.0
    """Its seconds in a second."""
    wall_s: float = 0.0
    """How far its wall clock is from the machine's; below 0: behind it."""

    def text(self) -> str:
        """For people."""
        parts = [f"{self.ahead_s:.1f} s ahead"] if self.ahead_s else []
        parts += [f"at {self.rate:.2f} of its rate"] if self.rate != 1.0 else []
        parts += [f"wall clock {self.wall_s:+.0f} s"] if self.wall_s else []
        return ", ".join(parts) or "as it is"


class Target(Protocol):
    """A cluster. Faults ask only for what `refusal` does not refuse.

    Methods are awaited one at a time, those that harm by the fault that is on. They raise
    ConfigurationError and Unavailable.
    """

    name: str
    """ "local", "compose" or "running"."""

    is_shared: bool
    """Others may have data in it: what is not the run's own is left alone."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes' names; known once it is open."""
        ...

    @property
    def endpoints(self) -> str:
        """Where clients begin."""
        ...

    @property
    def mesh(self) -> Mesh | None:
        """What is between the nodes, where it can be broken; None: it cannot."""
        ...

    @property
    def open_channel(self) -> OpenChannel:
        """How clients connect."""
        ...

    @property
    def election_timeout_ms(self) -> int:
        """The longest time that a node waits for its leader."""
        ...

    def refusal(self, kind: FaultKind) -> str | None:
        """Why this fault cannot be made here, in a clause; None: it can."""
        ...

    async def open(self, kinds: Sequence[FaultKind], folder: Path) -> None:
        """Makes it ready for the faults of `kinds`; a cluster of its own is started, with its data
        in `folder`, which is made and is gone after `close`."""
        ...

    async def close(self) -> None:
        """Ends what `open` began, and leaves nothing behind."""
        ...

    def end_now(self) -> None:
        """As `close`, at once and without waiting: the program is about to end."""
        ...

    async def kill(self, node: str) -> None:
        """Ends a node without warning."""
        ...

    async def stop(self, node: str) -> None:
        """Asks a node to end, and waits until it has."""
        ...

    async def start(self, node: str) -> None:
        """Starts a node that is down; whether it serves is seen by its status."""
        ...

    async def start_all(self) -> None:
        """Starts all nodes that were ended; as above."""
        ...

    async def rejoin(self, node: str) -> None:
        """Deletes the data of a node that is down, and lets it take its place anew."""
        ...

    async def pause(self, node: str) -> None:
        """Freezes a node."""
        ...

    async def resume(self, node: str) -> None:
        """Lets it go on."""
        ...

    async def cut_off(self, node: str) -> None:
        """Takes a node from the network."""
        ...

    async def connect(self, node: str) -> None:
        """Puts it back."""
        ...

    async def fill_disk(self, node: str) -> None:
        """Takes all room on a node's disk."""
        ...

    async def make_room(self, node: str) -> None:
        """Gives it back."""
        ...

    async def move_clocks(self, node: str, move: ClockMove) -> None:
        """Moves the clocks of a node, from where they are."""
        ...

    async def fallen(self) -> str | None:
        """What happened to a node that has ended though no fault ended it; None: nothing."""
        ...

    def logs(self) -> Sequence[Path]:
        """Where the nodes' logs are, as far as they are files."""
        ...


def chosen_kinds(target: Target, asked: Sequence[FaultKind] | None) -> tuple[FaultKind, ...]:
    """The kinds to make: those asked for, or, None, all that `target` allows.

    Raises ConfigurationError for the first one asked for that cannot be made there.
    """
    if asked is None:
        return tuple(kind for kind in FaultKind if target.refusal(kind) is None)
    for kind in asked:
        refusal = target.refusal(kind)
        if refusal is not None:
            raise ConfigurationError(f"fault {kind.value} cannot be made here: {refusal}")
    return tuple(asked)
