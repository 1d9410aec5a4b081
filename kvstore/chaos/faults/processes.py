"""Nodes that die, freeze, are restarted or lose their data."""

from __future__ import annotations

from kvstore.chaos.faults.base import Begun, Fault
from kvstore.chaos.target import NodeState


class Kill(Fault):
    """See FaultKind.KILL."""

    _victim: str | None = None

    async def choose(self) -> str:
        """Whom it meets."""
        return self.round.nodes[0]

    async def begin(self) -> Begun:
        """See Fault."""
        victim = await self.choose()
        self._victim = victim
        await self.target.kill(victim)
        self.scene.note(victim, NodeState.DOWN)
        return Begun((victim,), "SIGKILL")

    async def heal(self) -> None:
        """See Fault."""
        if self._victim is not None:
            await self.target.start(self._victim)
            self.scene.note(self._victim, NodeState.RUNNING)


class LeaderKill(Kill):
    """See FaultKind.LEADER_KILL."""

    async def choose(self) -> str:
        """The node that leads most; the first that was drawn where nobody leads."""
        return await self.scene.leading() or self.round.nodes[0]


class Pause(Fault):
    """See FaultKind.PAUSE."""

    _victim: str | None = None

    async def choose(self) -> str:
        """Whom it meets."""
        return self.round.nodes[0]

    async def begin(self) -> Begun:
        """See Fault."""
        victim = await self.choose()
        self._victim = victim
        await self.target.pause(victim)
        self.scene.note(victim, NodeState.PAUSED)
        timeouts = self.round.hold_s * 1000 / self.target.election_timeout_ms
        return Begun((victim,), f"for {timeouts:.2f} election timeouts")

    async def heal(self) -> None:
        """See Fault."""
        if self._victim is not None:
            await self.target.resume(self._victim)
            self.scene.note(self._victim, NodeState.RUNNING)


class LeaderPause(Pause):
    """See FaultKind.LEADER_PAUSE."""

    async def choose(self) -> str:
        """The node that leads most; the first that was drawn where nobody leads."""
        return await self.scene.leading() or self.round.nodes[0]


class RestartAll(Fault):
    """See FaultKind.RESTART_ALL."""

    async def begin(self) -> Begun:
        """See Fault."""
        for node in self.round.nodes:
            await self.target.kill(node)
            self.scene.note(node, NodeState.DOWN)
        return Begun(self.round.nodes, "SIGKILL of all")

    async def heal(self) -> None:
        """See Fault."""
        await self.target.start_all()
        for node in self.round.nodes:
            self.scene.note(node, NodeState.RUNNING)


class RollingRestart(Fault):
    """See FaultKind.ROLLING_RESTART: done when it has begun, unless it failed on the way."""

    async def begin(self) -> Begun:
        """See Fault."""
        for node in self.round.nodes:
            await self.target.stop(node)
            self.scene.note(node, NodeState.DOWN)
            await self.target.start(node)
            self.scene.note(node, NodeState.RUNNING)
            await self.scene.whole()
        return Begun(self.round.nodes, "SIGTERM and start, one after the other")

    async def heal(self) -> None:
        """See Fault."""
        await self.target.start_all()
        for node in self.round.nodes:
            self.scene.note(node, NodeState.RUNNING)


class Wipe(Kill):
    """See FaultKind.WIPE."""

    async def begin(self) -> Begun:
        """See Fault."""
        begun = await super().begin()
        return Begun(begun.targets, "SIGKILL, and its data are deleted")

    async def heal(self) -> None:
        """See Fault."""
        if self._victim is not None:
            await self.target.rejoin(self._victim)
            self.scene.note(self._victim, NodeState.RUNNING)
