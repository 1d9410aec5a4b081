"""Nodes that die, freeze, are restarted or lose their data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kvstore.chaos.faults.base import Begun, Fault
from kvstore.chaos.target import NodeState


class _OneNode(Fault):
    """Meets one node."""

    _victim: str | None = None

    async def choose(self) -> str:
        """Whom it meets."""
        return self.round.nodes[0]

    async def _bring_back(self, bring: Callable[[str], Awaitable[None]]) -> None:
        """Has its victim run again, if there is one."""
        if self._victim is not None:
            await bring(self._victim)
            self.scene.note(self._victim, NodeState.RUNNING)


class _LeadingNode(_OneNode):
    """Meets a node because it leads."""

    async def choose(self) -> str:
        """The node that leads most; the first that was drawn where nobody leads."""
        return await self.scene.leading() or self.round.nodes[0]


class Kill(_OneNode):
    """See FaultKind.KILL."""

    async def begin(self) -> Begun:
        """See Fault."""
        victim = await self.choose()
        self._victim = victim
        await self.target.kill(victim)
        self.scene.note(victim, NodeState.DOWN)
        return Begun((victim,), "SIGKILL")

    async def heal(self) -> None:
        """See Fault."""
        await self._bring_back(self.target.start)


class LeaderKill(_LeadingNode, Kill):
    """See FaultKind.LEADER_KILL."""


class Pause(_OneNode):
    """See FaultKind.PAUSE."""

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
        await self._bring_back(self.target.resume)


class LeaderPause(_LeadingNode, Pause):
    """See FaultKind.LEADER_PAUSE."""


class _AllNodes(Fault):
    """Meets every node."""

    async def heal(self) -> None:
        """See Fault."""
        await self.target.start_all()
        for node in self.round.nodes:
            self.scene.note(node, NodeState.RUNNING)


class RestartAll(_AllNodes):
    """See FaultKind.RESTART_ALL."""

    async def begin(self) -> Begun:
        """See Fault."""
        for node in self.round.nodes:
            await self.target.kill(node)
            self.scene.note(node, NodeState.DOWN)
        return Begun(self.round.nodes, "SIGKILL of all")


class RollingRestart(_AllNodes):
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


class Wipe(Kill):
    """See FaultKind.WIPE."""

    async def begin(self) -> Begun:
        """See Fault."""
        begun = await super().begin()
        return Begun(begun.targets, "SIGKILL, and its data are deleted")

    async def heal(self) -> None:
        """See Fault."""
        await self._bring_back(self.target.rejoin)
