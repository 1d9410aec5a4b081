"""What is between the nodes, and between them and the clients, as faults see it.

Directions that can be cut, slowed and broken, whatever they are made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from kvstore.chaos.schedule import FaultKind
from kvstore.local import Place

CLIENTS: Final = "clients"
"""The name of the load among the nodes: it dials nodes, and is dialled by none."""

Pair = tuple[str, str]
"""A direction: who says something, and who is to hear it."""


class Mesh(Protocol):
    """All directions between nodes, and between a node and the clients.

    Methods are awaited one at a time, and raise Unavailable where something could not be done.
    """

    async def cut(self, pairs: Sequence[Pair]) -> None:
        """Nothing that is said in these directions is heard."""
        ...

    async def slow(self, pairs: Sequence[Pair], *, delay_s: float, bytes_per_s: float) -> None:
        """It is heard late, and so much of it in a second."""
        ...

    async def reset(self, one: str, other: str) -> None:
        """Breaks the connections between two of them; new ones can be made."""
        ...

    async def clear(self, pairs: Sequence[Pair] | None = None) -> None:
        """Nothing is in the way in these directions; None: in any."""
        ...


class LocalNetwork(Mesh, Protocol):
    """A mesh of nodes on this machine, which are started so that they are in it."""

    def refusal(self, kind: FaultKind) -> str | None:
        """Why it cannot make this fault, in a clause; None: it can."""
        ...

    async def open(self) -> None:
        """Makes it ready for nodes to be started; raises ConfigurationError and Unavailable."""
        ...

    @property
    def places(self) -> Mapping[str, Place]:
        """Where nodes run, as far as that is not simply on this machine; known once it is open."""
        ...

    def ways(self, dialler: str) -> dict[str, str]:
        """Where `dialler` has to connect instead, by the names of the nodes it means."""
        ...

    async def close(self) -> None:
        """Takes it away; all nodes have ended."""
        ...

    def end_now(self) -> None:
        """As `close`, at once: the program is about to end."""
        ...


def both_ways(one: str, other: str) -> tuple[Pair, Pair]:
    """What each says to the other."""
    return (one, other), (other, one)
