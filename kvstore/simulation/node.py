"""A simulated node: a machine with a disk and a clock, and the real node that lives on it.

The node's process may end and start again many times; the disk keeps what a disk would.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from enum import Enum, auto, unique
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from cluster.ids import GroupId, ReplicaId, partition_of
from cluster.raft.ready import Role
from kvstore.commitlog.commit_log import CommitLog, CommitLogFailed
from kvstore.config import NodeSettings
from kvstore.environment import GroupMessage
from kvstore.errors import (
    ConfigurationError,
    CorruptionError,
    KVStoreError,
    LifeOver,
    ResourceExhausted,
)
from kvstore.node import Node
from kvstore.replica.admission import Admission
from kvstore.replica.host import Host
from kvstore.seams import Seams
from kvstore.simulation.checkers.violation import Violation
from kvstore.simulation.disk import MemoryFileSystem
from kvstore.simulation.flush_worker import FlushWorker
from kvstore.simulation.log_worker import DiskSpeed, LogWorker
from kvstore.simulation.machine import Machine
from kvstore.simulation.peers import SimulatedLinks
from kvstore.simulation.process_loop import ProcessLoop
from kvstore.simulation.rpc import SimulatedServer
from kvstore.simulation.silent_damage import SilentDamage
from kvstore.storage.memory_engine import MemoryEngine
from kvstore.wire.peer import Introduction

if TYPE_CHECKING:
    from kvstore.simulation.cluster import Cluster

_PROCESS_ID: Final = 1
_FLUSH_S_MEAN: Final = 2.0
"""Between two flushes of the engine, as RocksDB has them when its memtables are full."""


@unique
class State(Enum):
    """Of a node's process."""

    RUNNING = auto()
    PAUSED = auto()
    DOWN = auto()
    """It can be started."""
    LOST = auto()
    """It will never be started again: what it had may have been the last copy."""


def _is_want_of_room(problem: BaseException | None) -> bool:
    """Whether it comes of a disk that is full to the last byte: its node cannot write down what it
    has to, not even that its data are damaged, and is started again later."""
    while problem is not None:
        if isinstance(problem, OSError) and problem.errno == errno.ENOSPC:
            return True
        if isinstance(problem, ResourceExhausted):
            return True
        problem = problem.__cause__
    return False


class SimulatedNode(Machine):
    """See the module. To checkers it is a `node`."""

    def __init__(self, cluster: Cluster, name: str, me: ReplicaId, settings: NodeSettings) -> None:
        super().__init__(cluster.kernel, name)
        self.replica_id = me
        """In the life that runs, or ran last."""
        self.settings: Final = settings
        self.files = MemoryFileSystem()
        self.engine = MemoryEngine()
        self.speed: Final = DiskSpeed()
        self.state = State.DOWN
        self.is_on = True
        """Whether the machine has power."""
        self.may_fail = False
        """Its disk was made to fail, so that it may stop itself."""
        self.is_rotten = False
        """Its disk has lost bits, so that it may find its data damaged."""
        self.has_failed_to_begin = False
        """It did not start for want of room, or as its disk failed."""
        self.is_stranger = False
        """It was wiped, and runs as if it were new: the others have to refuse it. It is not shown
        to checkers, who would take it for the one that it was."""
        self.rejoins = False
        """It was wiped, and is told so."""
        self.is_expendable = False
        """The others can do without what it has had: it has to be given a new place."""
        self.damage: SilentDamage | None = None
        """That was done to it in this life, so that a scrub may stop it."""
        self.server: SimulatedServer | None = None
        self._cluster = cluster
        self._random: Random = cluster.kernel.random(f"node {name}")
        self._disk_random: Random = cluster.kernel.random(f"disk {name}")
        self._node: Node | None = None
        self._worker: LogWorker | None = None
        self._roles: dict[GroupId, Role] = {}
        self._done = (0, 0, 0)
        """When roles were looked at last: messages sent, writes of the log, replicas."""
        self._streams = 0

    def __repr__(self) -> str:
        return f"<SimulatedNode {self.name}, {self.state.name}>"

    # What checkers see

    @property
    def host(self) -> Host:
        """The host of the node that runs."""
        node = self._node  # asked more often than all else
        return self._running.host if node is None else node.host

    @property
    def admission(self) -> Admission:
        """Its door."""
        return self._running.host.admission

    @property
    def commit_log(self) -> CommitLog:
        """Its commit log."""
        node = self._node
        return self._running.commit_log if node is None else node.commit_log

    @property
    def _running(self) -> Node:
        if self._node is None:
            raise ValueError(f"{self.name} does not run")
        return self._node

    @property
    def is_up(self) -> bool:
        """Whether a node runs here, paused or not, that has come up."""
        return self._node is not None and not self.is_stranger

    @property
    def is_damaged_in_silence(self) -> bool:
        """Whether it takes part with a state that nobody wrote."""
        return (
            self.damage is not None
            and self.is_damaged(self.damage.group)
            and not self.host.is_stopped
        )

    def is_damaged(self, group: GroupId) -> bool:
        """Whether it has a state of `group` that nobody wrote; it may be about to stop for that."""
        return (
            self.damage is not None
            and self.damage.group == group
            and self._node is not None
            and self.damage.is_in(self.engine)
        )

    # Its lives

    def start(self) -> None:
        """Starts the process; whether the node comes up is seen later."""
        if self.state is not State.DOWN:
            return
        self.note("start")
        self.state = State.RUNNING
        self.may_fail = False
        self.is_on = True
        loop = self.new_process()
        loop.spawn(self._live(loop))

    def crash(self) -> None:
        """The power goes: what was not synced is gone, but for what got through."""
        if self._end("crash", power_is_on=False):
            self.is_on = False
            self.server = None
            self.files.crash(self._disk_random)

    def kill(self) -> None:
        """Only the process ends: what was written stays, and the system closes its connections."""
        if self._end("kill", power_is_on=True):
            self._leave_to_system()

    def stop(self) -> None:
        """Asks the process to end, as SIGTERM does; it may take its time."""
        node, loop = self._node, self.loop
        if node is not None and loop is not None and self.state is State.RUNNING:
            self.note("stop")
            loop.spawn(self._stop(node, loop))

    def lose(self, reason: str) -> None:
        """The machine is gone for good."""
        self.wipe(reason)
        self.state = State.LOST
        self.is_on = False

    def wipe(self, reason: str) -> None:
        """Nothing is left of its data."""
        self.note("lose", reason)
        self.crash()
        self.is_rotten = False
        self.files = MemoryFileSystem()
        self.engine = MemoryEngine()

    def pause(self) -> None:
        """Holds the process, like SIGSTOP."""
        if self.state is State.RUNNING and self.loop is not None:
            self.note("pause")
            self.state = State.PAUSED
            self.loop.pause()

    def resume(self) -> None:
        """Lets it go on."""
        if self.state is State.PAUSED and self.loop is not None:
            self.note("resume")
            self.state = State.RUNNING
            self.loop.resume()

    def _end(self, how: str, *, power_is_on: bool) -> bool:
        """Ends the process without warning, if there is one."""
        if self.state not in (State.RUNNING, State.PAUSED):
            return False
        self.note(how)
        if self.is_up:
            self._cluster.observers.on_crash(self)
        if self._worker is not None:
            self._worker.break_off()
        self.end_process(power_is_on=power_is_on)
        self._node = None
        self.state = State.DOWN
        return True

    def _leave_to_system(self) -> None:
        """The process has ended; its system has not."""
        self.files.restart()
        server, self.server = self.server, None
        if server is not None:
            server.end_connections()

    async def _live(self, loop: ProcessLoop) -> None:
        """As a process does: where data are damaged, the next life begins at once."""
        while await self._live_once(loop):
            pass

    async def _live_once(self, loop: ProcessLoop) -> bool:
        """Whether its data turned out to be damaged."""
        settings = self.settings.model_copy(update={"rejoin": self.rejoins})
        try:
            node = await Node.start(settings, self._seams(loop))
        except (KVStoreError, OSError) as problem:
            return self._on_refused(problem)
        self._node = node
        self.has_failed_to_begin = False
        self._roles, self._done = {}, (0, 0, 0)
        self.note("up", node.me)
        if not self.is_stranger:
            # What is damaged in a log is found at each start, and nothing was.
            self.is_rotten = self.is_rotten and node.me == self.replica_id and self.engine.is_rotten
            if node.me != self.replica_id:
                self.replica_id, self.damage = node.me, None
            self.rejoins = False
            self._cluster.observers.on_start(self)
        self._cluster.kernel.after(self._flush_in_s(), partial(self._flush, node))
        failure = await node.failed
        self._on_stopped_itself(failure)
        await node.abandon()
        if isinstance(failure, CorruptionError):
            self._node = None
            return True
        self._exit(loop)
        return False

    async def _stop(self, node: Node, loop: ProcessLoop) -> None:
        await node.stop()
        self._exit(loop)

    def _exit(self, loop: ProcessLoop) -> None:
        """The process has ended by itself."""
        if self.loop is loop and self.state is State.RUNNING:
            self.note("exit")
            self.end_process()
            self._node = None
            self.state = State.DOWN
            self._leave_to_system()
            self._cluster.on_exit(self)

    def _on_refused(self, problem: Exception) -> bool:
        """It does not start: right where its data are damaged, or its disk fails, or where they may
        be the last copy. Whether the next life may begin."""
        self.note("refuse", type(problem).__name__)
        self.say("refuse", str(problem))
        is_last_copy = isinstance(problem, ConfigurationError) and "last copy" in str(problem)
        if isinstance(problem, CorruptionError) and (
            self.is_rotten or self._was_named(problem) or self._has_no_log_yet()
        ):
            return True
        self.has_failed_to_begin = self.may_fail or _is_want_of_room(problem)
        gives_up = self.is_rotten or self.rejoins or self.damage is not None
        if gives_up and is_last_copy and not self.is_expendable:
            self.lose("last copy")
        elif (self.may_fail or _is_want_of_room(problem)) and not isinstance(
            problem, CorruptionError
        ):
            if self.loop is not None:
                self._exit(self.loop)
        else:
            raise Violation("nodes start again", f"{self.name}: {problem!r}") from problem
        return False

    def _on_stopped_itself(self, problem: BaseException) -> None:
        """It stopped: right where its disk fails or its data are damaged."""
        self.note("stop itself", type(problem).__name__)
        self.say("stop itself", str(problem))
        fails = isinstance(problem, CommitLogFailed | ConfigurationError | KVStoreError | OSError)
        rots = isinstance(problem, CorruptionError)
        if isinstance(problem, LifeOver) and self.is_stranger:
            self.is_stranger, self.rejoins = False, True
            return
        if (
            not ((self.may_fail or _is_want_of_room(problem)) and fails and not rots)
            and not (self.is_rotten and rots)
            and not self._was_named(problem)
        ):
            raise Violation("nodes go on", f"{self.name}: {problem!r}") from problem
        if rots and self.name not in self._cluster.rebuilding:
            # Named for a damage that was written over meanwhile: it has given up its life all the
            # same.
            self._cluster.expect_rebuilding(self.name)

    def _has_no_log_yet(self) -> bool:
        """Whether a new life had begun when its log could not: to the next start that is a log that
        is gone, and it asks for another life."""
        return self.has_failed_to_begin and self.name in self._cluster.rebuilding

    def _was_named(self, problem: BaseException) -> bool:
        """Whether a scrub has named what is damaged here."""
        damage = self.damage
        return (
            damage is not None
            and isinstance(problem, CorruptionError)
            and f"a scrub has found the state of partition {partition_of(damage.group)} "
            in str(problem)
        )

    # Its world

    def _seams(self, loop: ProcessLoop) -> Seams:
        cluster = self._cluster
        return Seams(
            clock=self,
            files=self.files,
            random=self._random,
            process_id=_PROCESS_ID,
            bind=partial(self._bind, loop),
            open_engine=self._open_engine,
            start_log_worker=partial(self._start_log_worker, loop),
            start_flush_worker=lambda: FlushWorker(loop, self._disk_random),
            open_peer_links=partial(self._open_links, loop),
            open_channel=partial(self.open_channel, cluster),
            call_soon=partial(self._run_soon, loop),
            sessions_max=cluster.sessions_max,
        )

    def _bind(self, loop: ProcessLoop, _listen: str) -> SimulatedServer:
        self.server = SimulatedServer(loop, self.name)
        return self.server

    def _open_engine(self, folder: str) -> MemoryEngine:
        """What is on disk of it; a new one where the folder was set aside."""
        if self.files.exists(folder):
            self.engine = self.engine.after_crash()
        else:
            self.files.make_folder(folder)
            self.engine = MemoryEngine()
        return self.engine

    def _start_log_worker(self, loop: ProcessLoop) -> LogWorker:
        self._worker = LogWorker(
            loop, self.files, self.speed, self._disk_random, self._on_persisted
        )
        return self._worker

    def _open_links(
        self,
        loop: ProcessLoop,
        me: ReplicaId,
        introduce: Callable[[ReplicaId], Introduction],
        on_refused: Callable[[str], None],
        random: Random,
    ) -> SimulatedLinks:
        return SimulatedLinks(
            loop=loop,
            network=self._cluster.network,
            directory=self._cluster,
            machine=self.name,
            on_send=self._on_send,
            new_stream=self._new_stream,
            me=me,
            introduce=introduce,
            on_refused=on_refused,
            random=random,
        )

    def _new_stream(self) -> int:
        self._streams += 1
        return self._streams

    def _run_soon(self, loop: ProcessLoop, round_: Callable[[], None]) -> None:
        def run() -> None:
            round_()
            if self.is_stranger and self._node is not None and self._node.host.meta.map is not None:
                raise Violation("a wiped node is refused", f"{self.name} knows the cluster's map")
            if self.is_up and self._node is not None:
                self._on_round(self._node.host)

        loop.call_soon(run)

    def _on_round(self, host: Host) -> None:
        self.note("round", host.rounds, host.messages_sent, host.pipeline.syncs)
        # Whoever takes another role says or persists something, if not at once.
        done = (host.messages_sent, host.pipeline.syncs, len(host.replicas))
        if done != self._done:
            self._done = done
            self._note_roles(host)
        self._cluster.observers.on_round(self)

    def _note_roles(self, host: Host) -> None:
        for group, replica in host.replicas.items():
            role = replica.core.role
            if self._roles.get(group) is not role:
                self._roles[group] = role
                self.note("role", group, role.name, replica.core.term)
                if role is Role.LEADER and self.is_damaged(group):
                    self._mend()

    def _mend(self) -> None:
        """What a leader has it may pass on as a snapshot, and then nobody could be named any
        more."""
        if self.damage is not None:
            self.note("mended")
            self.damage.mend(self.engine)

    def _on_send(self, to: ReplicaId, messages: Sequence[GroupMessage]) -> None:
        if self.is_up:
            self._cluster.observers.on_send(self, to, messages)

    def _on_persisted(self) -> None:
        if self.is_up:
            self.note("persisted", self.commit_log.syncs, self.commit_log.bytes_on_disk)
            self._cluster.observers.on_persisted(self)

    def _flush_in_s(self) -> float:
        return self._random.expovariate(1 / _FLUSH_S_MEAN)

    def _flush(self, node: Node) -> None:
        """The engine flushes by itself now and then, while this life lasts."""
        if self._node is node and not node.failed.done():
            if self.state is State.RUNNING:
                self.note("flush")
                self.engine.flush()
            self._cluster.kernel.after(self._flush_in_s(), partial(self._flush, node))
