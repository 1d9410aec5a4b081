"""Disks without room."""

from __future__ import annotations

from kvstore.chaos.faults.base import Begun, Fault


class DiskFull(Fault):
    """See FaultKind.DISK_FULL."""

    _victim: str | None = None

    async def begin(self) -> Begun:
        """See Fault."""
        self._victim = victim = self.round.nodes[0]
        await self.target.fill_disk(victim)
        return Begun((victim,), "not a byte is left")

    async def heal(self) -> None:
        """See Fault."""
        if self._victim is not None:
            await self.target.make_room(self._victim)
