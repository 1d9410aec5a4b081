"""What nodes say to each other is not heard, late, little or broken off."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import permutations, product
from random import Random

from kvstore.chaos.faults.base import Begun, Fault
from kvstore.chaos.mesh import CLIENTS, both_ways

_DELAY_S = (0.02, 0.4)
_BYTES_PER_S = (64 << 10, 1 << 20)
_RESET_EVERY_S = (0.05, 0.5)


class Partition(Fault):
    """See FaultKind.PARTITION. Clients reach both sides."""

    async def begin(self) -> Begun:
        """See Fault."""
        nodes = self.round.nodes
        count = max(1, round(self.round.strength * ((len(nodes) - 1) // 2)))
        few, many = nodes[:count], nodes[count:]
        pairs = [pair for one, other in product(few, many) for pair in both_ways(one, other)]
        await self.scene.mesh.cut(pairs)
        return Begun(few, f"{_names(few)} | {_names(many)}")

    async def heal(self) -> None:
        """See Fault."""
        await self.scene.mesh.clear()


class OneWay(Fault):
    """See FaultKind.ONE_WAY."""

    async def begin(self) -> Begun:
        """See Fault."""
        mute, *others = self.round.nodes
        # Of one other node, or of all of them.
        deaf = others if self.round.strength < 0.5 else others[:1]
        await self.scene.mesh.cut([(mute, other) for other in deaf])
        return Begun((mute,), f"{mute} is not heard by {_names(deaf)}, and hears them")

    async def heal(self) -> None:
        """See Fault."""
        await self.scene.mesh.clear()


class Isolate(Fault):
    """See FaultKind.ISOLATE."""

    _victim: str | None = None

    async def begin(self) -> Begun:
        """See Fault."""
        self._victim = victim = self.round.nodes[0]
        await self.target.cut_off(victim)
        return Begun((victim,), "from the other nodes and from the clients")

    async def heal(self) -> None:
        """See Fault."""
        if self._victim is not None:
            await self.target.connect(self._victim)


class Bridge(Fault):
    """See FaultKind.BRIDGE."""

    async def begin(self) -> Begun:
        """See Fault."""
        bridge, *others = self.round.nodes
        half = len(others) // 2
        sides = product(others[:half], others[half:])
        await self.scene.mesh.cut([pair for sided in sides for pair in both_ways(*sided)])
        detail = f"{_names(others[:half])} | {_names(others[half:])}, and {bridge} hears both"
        return Begun((bridge,), detail)

    async def heal(self) -> None:
        """See Fault."""
        await self.scene.mesh.clear()


class Slow(Fault):
    """See FaultKind.SLOW."""

    async def begin(self) -> Begun:
        """See Fault."""
        victim, *others = self.round.nodes
        strength = self.round.strength
        delay_s = _DELAY_S[0] + strength * (_DELAY_S[1] - _DELAY_S[0])
        bytes_per_s = _BYTES_PER_S[1] - strength * (_BYTES_PER_S[1] - _BYTES_PER_S[0])
        pairs = [pair for other in others for pair in both_ways(victim, other)]
        await self.scene.mesh.slow(pairs, delay_s=delay_s, bytes_per_s=bytes_per_s)
        detail = f"{1000 * delay_s:.0f} ms late each way, {bytes_per_s / 1024:.0f} KiB/s"
        return Begun((victim,), detail)

    async def heal(self) -> None:
        """See Fault."""
        await self.scene.mesh.clear()


class Drop(Fault):
    """See FaultKind.DROP."""

    _task: asyncio.Task[None] | None = None

    async def begin(self) -> Begun:
        """See Fault."""
        random = Random(self.round.strength)
        longest_s = _RESET_EVERY_S[1] * max(0.2, self.round.strength)
        self._task = asyncio.create_task(self._reset(random, longest_s))
        return Begun(
            self.round.nodes, f"a pair of nodes, the next after at most {1000 * longest_s:.0f} ms"
        )

    async def heal(self) -> None:
        """See Fault."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _reset(self, random: Random, longest_s: float) -> None:
        pairs = list(permutations((*self.round.nodes, CLIENTS), 2))
        while True:
            await self.scene.mesh.reset(*random.choice(pairs))
            await asyncio.sleep(random.uniform(_RESET_EVERY_S[0], longest_s))


def _names(nodes: tuple[str, ...] | list[str]) -> str:
    return " ".join(nodes)
