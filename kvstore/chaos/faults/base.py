"""What every fault has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kvstore.chaos.mesh import Mesh
from kvstore.chaos.schedule import Round
from kvstore.chaos.target import NodeState, Target
from kvstore.errors import InvariantViolation


@dataclass(frozen=True, slots=True)
class Begun:
    """What was done, to whom."""

    targets: tuple[str, ...]
    detail: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault happens, and what was drawn for it."""

    target: Target
    round: Round
    leading: Callable[[], Awaitable[str | None]]
    """The node that leads most partitions now; None: nobody says that it leads."""
    whole: Callable[[], Awaitable[None]]
    """Returns when all nodes serve and have what they missed; raises Unavailable."""
    note: Callable[[str, NodeState], None]
    """Is told what becomes of a node."""

    @property
    def mesh(self) -> Mesh:
        """What is between the nodes; only where network faults are not refused."""
        mesh = self.target.mesh
        if mesh is None:
            raise InvariantViolation(
                f"{self.round.kind.value} was begun where nothing is between nodes"
            )
        return mesh


class Fault(ABC):
    """One fault: begun once, then healed once, even when it was begun only in part."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.target = scene.target
        self.round = scene.round

    @abstractmethod
    async def begin(self) -> Begun:
        """Returns when it is on."""

    @abstractmethod
    async def heal(self) -> None:
        """Undoes it; whether the cluster is whole again is another question."""
