"""Looks after the disk: whether it has room, whether it answers, and who should lead instead.

A node whose disk is short of space refuses writes; one whose disk does not answer could not take
any. In both cases its groups are better led elsewhere, so it hands them over to voters that can
(`cluster.disk_watch`), and says so to the others, that they hand nothing to it meanwhile. It cannot
win anything back while its disk hangs: a vote that is not persisted is never asked for. What is
measured is measured in the log thread: a disk that hangs must not hold the event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import structlog

from cluster.disk_watch import DiskPatience, DiskState, DiskWatch, HandOver, StepDown, way_out
from cluster.ids import ReplicaId
from cluster.partition.placement import CAUGHT_UP_LAG_ENTRIES
from cluster.raft.quorum import is_majority
from kvstore.environment import Worker
from kvstore.replica.host import Host
from kvstore.replica.replica import Replica
from kvstore.replica.space import Space
from kvstore.replica.stewardship import led_replica

_LOOK_TICKS: Final = 20
"""How often the room is looked at."""
_DECLARE_TICKS: Final = 5
"""How often the others are told: several times within what they believe it for."""
_ENGINE_REFUSED_TICKS: Final = 20
"""How long the engine may refuse what is to be applied before that counts as no room: it may also
be that it only cannot keep up."""

_log = structlog.get_logger("kvstore.node")


class RoomyLog(Protocol):
    """The part of the commit log that is used here."""

    @property
    def has_room(self) -> bool:
        """Whether it is sure of room for its next segment."""
        ...

    def prepare(self) -> None:
        """Keeps a file ready, once there will be need of one."""
        ...


class DiskGuard:
    """See the module. Works by ticks."""

    __slots__ = (
        "_free_bytes",
        "_hasten",
        "_host",
        "_is_looking",
        "_log",
        "_log_worker",
        "_patience",
        "_tries",
        "_watch",
        "_were",
    )

    def __init__(
        self,
        host: Host,
        *,
        log: RoomyLog,
        log_worker: Worker,
        free_bytes: Callable[[], int],
        hasten: Callable[[], None],
    ) -> None:
        """`free_bytes`: on the disk; asked in the log thread, where it may raise OSError. `hasten`
        is the compactor's."""
        self._hasten = hasten
        self._host = host
        self._log = log
        self._log_worker = log_worker
        self._free_bytes = free_bytes
        self._patience = DiskPatience.of_elections(host.config.election_ticks_max)
        self._watch = DiskWatch(self._patience)
        self._is_looking = False
        self._tries = 0
        self._were = (Space.ENOUGH, DiskState.QUICK)

    @property
    def unfit_reason(self) -> str:
        """Why this node should not lead; empty where nothing is wrong with its disk."""
        if self._watch.state is DiskState.STUCK:
            return "a write to the commit log does not return: the disk does not answer"
        if self._host.space.space is not Space.ENOUGH:
            return self._host.space.reason
        if self._watch.state is DiskState.SLOW:
            return "a write to the commit log took very long a moment ago"
        return ""

    @property
    def is_stuck(self) -> bool:
        """Whether the disk does not answer."""
        return self._watch.state is DiskState.STUCK

    def tick(self) -> None:
        """To be called after the host's own tick."""
        host = self._host
        if host.is_stopped:
            return
        self._watch.tick(host.pipeline.write_under_way)
        host.space.refused(self._refused_by())
        if host.ticks % _LOOK_TICKS == 0 and not self._is_looking:
            self._is_looking = True
            self._log_worker.submit(self._look, self._on_looked)
        self._note_changes()
        if self.unfit_reason:
            if host.ticks % _DECLARE_TICKS == 0:
                host.declare_unfit()
            # A transfer is given up after so long; the next voter may take it.
            if host.ticks % (host.config.election_ticks_min + 1) == 0:
                self._tries += 1
                for replica in list(host.replicas.values()):
                    if replica.is_leader:
                        self._leave(replica)

    def _refused_by(self) -> str | None:
        if self._host.pipeline.is_refused:
            return "the commit log"
        return "the engine" if self._host.applies.refused_ticks >= _ENGINE_REFUSED_TICKS else None

    def _look(self) -> tuple[int, bool]:
        self._log.prepare()
        return self._free_bytes(), self._log.has_room

    def _on_looked(self, outcome: tuple[int, bool] | BaseException) -> None:
        self._is_looking = False
        if isinstance(outcome, BaseException):
            self._host.fail(outcome)
            return
        free_bytes, log_has_room = outcome
        self._host.space.measured(free_bytes, log_has_room=log_has_room)

    def _note_changes(self) -> None:
        """Says on the log what has changed, and refuses what there is no room for any more."""
        (had, was), now = self._were, (self._host.space.space, self._watch.state)
        self._were = now
        space, state = now
        if space is not had:
            if space is Space.ENOUGH:
                _log.info("there is room again: writes are taken")
            else:
                self._host.refuse_writes()
                if space is Space.SHORT:
                    self._hasten()
                _log.warning("writes are refused", reason=self._host.space.reason)
        if state is not was and DiskState.STUCK in (state, was):
            _log.warning("the disk does not answer" if self.is_stuck else "the disk answers again")

    def _leave(self, replica: Replica) -> None:
        move = way_out(
            self._patience,
            writing_ticks=self._watch.writing_ticks,
            heirs=led_replica(self._host, replica).caught_up(CAUGHT_UP_LAG_ENTRIES),
            attempt=self._tries,
            others_can_elect=self._others_can_elect(replica),
        )
        if isinstance(move, HandOver):
            self._host.transfer(replica.group, move.to)
        elif isinstance(move, StepDown):
            self._host.step_down(replica.group)

    def _others_can_elect(self, replica: Replica) -> bool:
        me = self._host.admission.me
        return is_majority(
            replica.core.configuration, lambda voter: voter != me and self._is_there(voter)
        )

    def _is_there(self, peer: ReplicaId) -> bool:
        return self._host.admission.silence_ticks(peer) < self._host.config.election_ticks_min
