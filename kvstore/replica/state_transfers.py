"""The states that a node sends, takes in and installs, for the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from random import Random
from typing import Final

from cluster.errors import InvariantViolation
from cluster.ids import GroupId, ReplicaId
from cluster.raft.messages import SnapshotRequest
from cluster.raft.ready import Ready
from kvstore.codec.state_transfer import StateAck, StateChunk
from kvstore.environment import Worker
from kvstore.replica.log_pipeline import LogPipeline
from kvstore.replica.replica import Replica
from kvstore.replica.state_installer import StateInstaller
from kvstore.replica.state_receiver import StateReceiver
from kvstore.replica.state_sender import StateSender
from kvstore.storage.engine import Engine
from kvstore.storage.position import load_position


class StateTransfers:
    """See the module."""

    def __init__(
        self,
        *,
        me: ReplicaId,
        engine: Engine,
        chunk_bytes: int,
        flush_worker: Worker,
        random: Random,
        replicas: Mapping[GroupId, Replica],
        pipeline: LogPipeline,
        send: Callable[[GroupId, StateChunk | StateAck], None],
        arrived: Callable[[Replica, SnapshotRequest], None],
        switched: Callable[[Replica], None],
        has_room: Callable[[], bool],
        guard: AbstractContextManager[None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._engine = engine
        self._replicas = replicas
        self.sender: Final = StateSender(
            engine,
            random,
            chunk_bytes=chunk_bytes,
            send=send,
            leads=self._leads,
            fail=self._report_failed,
        )
        self.receiver: Final = StateReceiver(me, engine, replicas, send, arrived, has_room=has_room)
        self.installer: Final = StateInstaller(
            engine=engine,
            flush_worker=flush_worker,
            pipeline=pipeline,
            switched=switched,
            guard=guard,
            fail=fail,
        )

    @property
    def are_arriving(self) -> bool:
        """Whether a state is on its way to this node."""
        return bool(self.receiver.streams)

    @property
    def are_installing(self) -> bool:
        """Whether a state is taking the place of another."""
        return bool(self.installer.installing)

    def send(self, replica: Replica, request: SnapshotRequest) -> None:
        """Sends the applied state of `replica`, if it is still the one that `request` describes."""
        position = load_position(self._engine, replica.group)
        if position.applied_index != request.snapshot.index:
            replica.core.report_snapshot_failed(request)
            return
        self.sender.begin(replica.group, position.generation, request)

    def receive(self, group: GroupId, message: StateChunk | StateAck) -> None:
        """Takes what another node says of a state."""
        if isinstance(message, StateChunk):
            self.receiver.on_chunk(group, message)
        else:
            self.sender.on_ack(group, message)

    def meet(self, peer: ReplicaId) -> None:
        """`peer` has connected: what it had of a state may be gone."""
        self.sender.forget_peer(peer)

    def tick(self) -> None:
        """Time passes."""
        self.sender.tick()
        self.receiver.tick()
        self.installer.tick()

    def install(self, replica: Replica, ready: Ready) -> None:
        """Installs the snapshot of `ready`, before the rest of the bundle is taken."""
        generation = None
        if ready.snapshot is not None:
            generation = self.receiver.take(replica.group, ready.snapshot)
        if generation is None:
            raise InvariantViolation(
                f"group {replica.group} is to install a snapshot whose state is not here"
            )
        self.installer.begin(replica, ready, generation)

    def not_asked_for(self, group: GroupId) -> None:
        """The core had a bundle without the snapshot, if one was handed to it: it is not wanted."""
        self.receiver.drop_whole(group)

    def close(self) -> None:
        """Lets go of what the engine holds for them."""
        self.sender.close()

    def _leads(self, group: GroupId, request: SnapshotRequest) -> bool:
        replica = self._replicas[group]
        return replica.is_leader and replica.core.term == request.term

    def _report_failed(self, group: GroupId, request: SnapshotRequest) -> None:
        self._replicas[group].core.report_snapshot_failed(request)
