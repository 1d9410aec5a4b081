"""The composition root: where a node's parts are put together, started and stopped.

Nothing here is of this machine: what is, comes in by the seams.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import uuid
from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from typing import Final

import structlog

from cluster.errors import MemoryLost
from cluster.ids import META_GROUP, NodeId, ReplicaId, group_of
from cluster.membership import PeerContacts
from cluster.partition.map import ClusterMap, ClusterSettings
from cluster.partition.placement import initial_map
from cluster.raft import RaftConfig
from kvstore.ballast import Ballast
from kvstore.client import AsyncClient
from kvstore.codec.routing import hash64
from kvstore.commitlog.commit_log import CommitLog
from kvstore.commitlog.options import CommitLogOptions
from kvstore.config import LOG_BATCH_BYTES_MAX, NodeSettings
from kvstore.data_directory import DataDirectory
from kvstore.errors import ConfigurationError, CorruptionError, ResourceExhausted
from kvstore.peers import KeptLives, Peers
from kvstore.rebuilds import RebuildWatch
from kvstore.replica.admission import AdmissionLimits
from kvstore.replica.bundles import Stores
from kvstore.replica.compaction import CompactionPolicy
from kvstore.replica.compactor import Compactor
from kvstore.replica.disk_guard import DiskGuard
from kvstore.replica.host import Host, HostHooks
from kvstore.replica.log_records import STICKY_KINDS
from kvstore.replica.meta_machine import MetaMachine
from kvstore.replica.recovery import RecoveredLogs, ReplicaMaker
from kvstore.replica.regrouping import Regrouping
from kvstore.replica.scrubber import ScrubPolicy
from kvstore.replica.space import SpaceWatch
from kvstore.replica.stewardship import Stewardship
from kvstore.replica.timed_log import TimedLog
from kvstore.rpc.admin_service import AdminService
from kvstore.rpc.backup_service import BackupService
from kvstore.rpc.kv_service import KVService
from kvstore.rpc.node_view import NodeView
from kvstore.seams import Seams
from kvstore.standing import Standing, find_standing, life_over
from kvstore.storage.applier import apply_round
from kvstore.storage.heads import HeadCache
from kvstore.tick_times import TickTimes

_DRAIN_S_MAX: Final = 2.0
_CALLS_GRACE_S: Final = 0.5
_READY_CHECK_TICKS: Final = 4
_SCRUB_FULL_BYTES_PER_S: Final = 8 << 20
"""For what an operator asks for."""
_SCRUB_HURRY_S: Final = 1800
"""A partition that is still being read is read twice as fast from then on, and again."""
_SCRUB_READING_S_MAX: Final = 14_400
"""A partition that takes longer keeps too many old files of the engine: with more than some 80 GiB,
at the paces as they are by default."""
_BALLAST_BYTES_MAX: Final = 8 << 20
_TIMES_WINDOW_MS: Final = 60_000

_log = structlog.get_logger("kvstore.node")


class Node:
    """One running node. `start` makes it; `stop` ends it, unless `failed` has ended it before."""

    def __init__(self, settings: NodeSettings, seams: Seams) -> None:
        self._settings = settings
        self._seams = seams
        self._raft = RaftConfig(
            heartbeat_ticks=settings.heartbeat_ticks,
            election_ticks_min=settings.election_ticks_min,
            election_ticks_max=settings.election_ticks_max,
            inflight_messages_max=settings.inflight_messages_max,
            inflight_bytes_max=settings.inflight_bytes_max,
        )
        self._started_s = seams.clock.monotonic_s()
        self._loop = asyncio.get_running_loop()
        self._random = seams.random
        self.failed: asyncio.Future[BaseException] = self._loop.create_future()
        """Completes when the node can go on no further."""
        self._cleanup = contextlib.ExitStack()
        self._async_cleanup = contextlib.AsyncExitStack()
        self._ticker: asyncio.TimerHandle | None = None
        self._loop_lag = TickTimes(_TIMES_WINDOW_MS // settings.tick_ms)
        self._round_times = TickTimes(_TIMES_WINDOW_MS // settings.tick_ms)
        self._serving = False
        self._stopping = False
        self._health_update: asyncio.Task[None] | None = None
        self._standing: Standing
        self.host: Host
        """What runs the replicas."""

    @classmethod
    async def start(cls, settings: NodeSettings, seams: Seams) -> Node:
        """A node that takes part. Raises ConfigurationError or CorruptionError, having undone
        what it had begun; the port is bound first, so that a second start touches nothing.

        After a CorruptionError the data are marked: the next start asks the cluster for a new life,
        for as long as it takes, and begins it.
        """
        node = cls(settings, seams)
        try:
            node._open_directory()
            node._standing = await find_standing(settings, node._directory, seams)
            node._open()
            node._take_part()
            await node._serve()
        except CorruptionError as problem:
            try:
                node._directory.mark_damaged(str(problem))
            finally:
                await node._close()
            raise
        except BaseException:
            await node._close()
            raise
        return node

    @property
    def me(self) -> ReplicaId:
        """Which replica it is, in all groups."""
        return self._standing.me

    @property
    def commit_log(self) -> CommitLog:
        """Where they are persisted."""
        return self._commit_log

    def _open_directory(self) -> None:
        """Port and data directory: whose data there are, if any."""
        settings = self._settings
        self._server = self._seams.bind(settings.listen)
        # In this process another node may begin where this one ends.
        self._async_cleanup.push_async_callback(self._server.stop, None)
        directory = DataDirectory.open(
            str(settings.data_dir),
            NodeId(settings.node_id),
            self._seams.files,
            self._seams.process_id,
            self._random,
        )
        self._directory = self._cleanup.enter_context(contextlib.closing(directory))
        reserve = self._settings.disk_reserve_bytes
        self._ballast = Ballast(
            self._seams.files, directory.path, min(_BALLAST_BYTES_MAX, reserve // 16)
        )
        self._ballast.give_up()

    def _open(self) -> None:
        """Log and engine; nothing is answered yet."""
        settings, files = self._settings, self._seams.files
        recovered = self._recovered = RecoveredLogs()
        options = CommitLogOptions(
            segment_bytes=settings.commit_log_segment_bytes,
            batch_bytes_max=LOG_BATCH_BYTES_MAX,
            disk_bytes_max=settings.commit_log_bytes_max or None,
            sticky_kinds=STICKY_KINDS,
            salt=self._random.getrandbits(64),
        )
        self._commit_log = CommitLog.open(
            files,
            self._directory.log_folder,
            options,
            recovered.visit,
            must_exist=self._standing.has_data,
        )
        self._cleanup.callback(self._commit_log.close)
        self._engine = self._seams.open_engine(self._directory.engine_folder)
        self._cleanup.callback(self._engine.close)
        self._ballast.restore()
        report = self._commit_log.recovery
        _log.info("commit log read", segments=report.segments, records=report.records)
        if report.cut is not None:
            _log.warning(
                "torn end of the commit log cut: a write that was never acknowledged",
                file=report.cut.file,
                offset=report.cut.offset,
                bytes_cut=report.cut.bytes_cut,
            )
        self._maker = ReplicaMaker(
            me=self._standing.me,
            config=self._raft,
            engine=self._engine,
            reader=self._commit_log,
            recovered=recovered,
            random=self._random,
            sessions_max=self._seams.sessions_max,
        )

    def _take_part(self) -> None:
        """Peers, host, and all who look after it: from here on the node has a say."""
        self._log_worker = self._seams.start_log_worker()
        self._cleanup.callback(self._log_worker.close)
        self._flush_worker = self._seams.start_flush_worker()
        self._cleanup.callback(self._flush_worker.close)
        contacts = PeerContacts(self._standing.me, (), self._raft.election_ticks_min)
        self._peers = Peers(
            standing=self._standing,
            life=self._directory.life,
            initial_nodes=self._settings.initial_nodes,
            cluster_id=lambda: self._directory.cluster_id or "",
            contacts=contacts,
            open_links=self._seams.open_peer_links,
            random=self._random,
            on_life_over=self._on_life_over,
        )
        self._async_cleanup.push_async_callback(self._peers.close)
        self.host = self._make_host(contacts)
        self._kept_lives = KeptLives(self._engine.flush, self._flush_worker, self.host.fail)
        self._stewardship = Stewardship(self.host, self._standing.me, self._first_map)
        self._regrouping = Regrouping(self.host, self._peers.lives)
        self._compactor = self._make_compactor()
        self._disk_guard = DiskGuard(
            self.host,
            log=self._commit_log,
            log_worker=self._log_worker,
            free_bytes=self._free_bytes,
            hasten=self._compactor.hasten,
        )
        self.host.add_replica(
            self._maker.make(META_GROUP, self._standing.begins_with(self._standing.founders))
        )
        self._peers.follow()
        if self.host.meta.map is not None:
            self._on_map()

    async def _serve(self) -> None:
        """Services, and time: from here on the node answers."""
        self._view = NodeView(
            host=self.host,
            node_id=NodeId(self._settings.node_id),
            me=self._standing.me,
            version=_version(),
            uptime_s=lambda: self._seams.clock.monotonic_s() - self._started_s,
            log_bytes=lambda: self._commit_log.bytes_on_disk,
            tick_ms=self._settings.tick_ms,
            loop_lag=self._loop_lag,
            round_times=self._round_times,
            slowest_log_write_s=lambda: self._timed_log.slowest_s,
            unfit_reason=lambda: self._disk_guard.unfit_reason,
            rebuilds=lambda: self._directory.rebuilds,
        )
        router = AsyncClient(
            list(dict.fromkeys(self._endpoints())),
            random=self._random,
            suspects=self._is_silent,
            open_channel=self._seams.open_channel,
        )
        self._async_cleanup.push_async_callback(router.aclose)
        backups = BackupService(self._view, self._settings.tick_ms)
        self._cleanup.callback(backups.close)
        await self._server.start(
            [
                KVService(self._view, router, self._settings.tick_ms).handler(),
                AdminService(
                    self._view, self._seams.open_channel, self._settings.tick_ms / 1000
                ).handler(),
                backups.handler(),
                self._peers.service(self.host.meet, self.host.receive).handler(),
            ]
        )
        self._rebuild_watch = RebuildWatch(self._directory, self._settings.tick_ms)
        self._next_tick_s = self._loop.time()
        self._tick()

    def _make_host(self, contacts: PeerContacts) -> Host:
        settings = self._settings
        self._timed_log = TimedLog(self._commit_log, self._seams.clock.monotonic_s)
        where = f"the disk of node {settings.node_id} at {settings.data_dir}"
        return Host(
            me=self._standing.me,
            config=self._raft,
            limits=AdmissionLimits(settings.pending_requests_max, settings.pending_bytes_max),
            transport=self._peers.links,
            stores=Stores(
                log=self._timed_log,
                log_worker=self._log_worker,
                engine=self._engine,
                flush_worker=self._flush_worker,
                apply_round=partial(apply_round, self._engine, heads=HeadCache()),
                meta=MetaMachine(self._engine),
                snapshot_chunk_bytes=settings.snapshot_chunk_bytes,
            ),
            random=self._random,
            scrub=_scrub_policy(settings),
            contacts=contacts,
            space=SpaceWatch(settings.disk_reserve_bytes, where),
            hooks=HostHooks(
                self._seams.call_soon,
                self._seams.clock.monotonic_s,
                self._on_map,
                self._on_failure,
            ),
        )

    def _make_compactor(self) -> Compactor:
        return Compactor(
            self.host,
            policy=CompactionPolicy(
                self._settings.commit_log_kept_segments,
                self._settings.commit_log_lagging_segments,
            ),
            log=self._commit_log,
            log_worker=self._log_worker,
            flush=self._engine.flush,
            flush_worker=self._flush_worker,
            unclaimed=lambda: self._recovered.first_segment,
        )

    def _free_bytes(self) -> int:
        """In the log thread. The ballast comes back when there is room for it."""
        files, path = self._seams.files, self._directory.path
        free = files.free_bytes(path)
        if not self._ballast.is_whole and free > self._settings.disk_reserve_bytes:
            self._ballast.restore()
            free = files.free_bytes(path)
        return free

    def _endpoints(self) -> list[str]:
        """Where the node's own client begins: with the node itself."""
        return [self._settings.advertised_address, *self._settings.initial_nodes.values()]

    def _is_silent(self, address: str) -> bool:
        """Whether the peer at `address` fell silent. A write that is passed on to it would end
        with an unknown outcome; kept here, it can be refused for certain."""
        peer = self._peers.replica_at(address)
        return peer is not None and self.host.admission.is_silent(peer)

    def _first_map(self) -> ClusterMap:
        settings = self._settings
        limits = settings.limits
        first = initial_map(
            uuid.UUID(int=self._random.getrandbits(128), version=4).hex,
            {NodeId(name): address for name, address in settings.initial_nodes.items()},
            ClusterSettings(
                partitions=settings.partitions,
                replication_factor=settings.replicas,
                key_bytes_max=limits.key_bytes_max,
                value_bytes_max=limits.value_bytes_max,
            ),
            hash64,
        )
        # Whose data are known already are known from the beginning.
        lives = self._peers.lives
        nodes = tuple(replace(node, life=lives.get(node.replica, 0)) for node in first.nodes)
        return replace(first, nodes=nodes)

    # What the host tells

    def _on_life_over(self, reason: str) -> None:
        """Others know this replica by other data: it must not be taken for the one it was."""
        self.host.fail(life_over(reason, self._directory, self._settings.data_dir))

    def _on_map(self) -> None:
        """Takes up the replicas that the map gives this node."""
        cluster_map = self.host.meta.map
        if cluster_map is None:
            return
        wrong = self._peers.follow_map(cluster_map)
        if wrong is not None:
            self._on_life_over(wrong)
            return
        self._kept_lives.follow_map(cluster_map)
        self._directory.record_identity(cluster_map.cluster_id, self._standing.me)
        to_replay = 0
        for partition in cluster_map.partitions_of(self._standing.me):
            group = group_of(partition)
            if group in self.host.replicas:
                continue
            founders = cluster_map.partitions[partition].founders
            replica = self._maker.make(group, self._standing.begins_with(founders))
            to_replay += replica.core.last_index - replica.core.applied
            self.host.add_replica(replica)
        _log.info(
            "map applied",
            cluster=cluster_map.cluster_id,
            epoch=cluster_map.epoch,
            partitions=len(cluster_map.partitions_of(self._standing.me)),
            entries_to_replay=to_replay,
        )

    def _on_failure(self, problem: BaseException) -> None:
        if isinstance(problem, MemoryLost):
            problem = CorruptionError(str(problem))
        if isinstance(problem, CorruptionError):
            try:
                self._directory.mark_damaged(str(problem))
            except ConfigurationError as unmarked:
                problem = unmarked
        if not self.failed.done():
            self.failed.set_result(problem)

    # Time

    def _tick(self) -> None:
        """One tick, and no catching up: a node that was paused must not hurry its timers."""
        tick_s = self._settings.tick_ms / 1000
        now_s = self._loop.time()
        self._loop_lag.note(now_s - self._next_tick_s)
        self._next_tick_s = max(self._next_tick_s + tick_s, now_s)
        self._ticker = self._loop.call_at(self._next_tick_s, self._tick)
        self.host.tick()
        self._round_times.note(self.host.take_longest_round_s())
        with self.host.guard:
            self._stewardship.tick()
            self._regrouping.tick()
            self._compactor.tick()
            self._disk_guard.tick()
            self._rebuild_watch.tick()
        if self.host.ticks % _READY_CHECK_TICKS == 0:
            serving = not self._stopping and self._view.serves()
            if serving != self._serving:
                self._serving = serving
                update = self._server.set_serving(serving=serving)
                self._health_update = self._loop.create_task(update)

    async def _next_tick(self) -> None:
        await asyncio.sleep(self._settings.tick_ms / 1000)

    # The end

    async def stop(self) -> None:
        """Hands leadership over, answers what is under way, flushes and closes."""
        self._stopping = True
        await self._server.set_serving(serving=False)
        self._stewardship.drain()
        deadline_s = self._loop.time() + _DRAIN_S_MAX
        while self._stewardship.is_handing_over and self._loop.time() < deadline_s:
            await self._next_tick()
        await self._server.stop(_CALLS_GRACE_S)
        if not self.failed.done():
            # A full disk: the commit log has what the engine could not write down.
            with contextlib.suppress(ResourceExhausted):
                await self._last_flush()
        await self._close()

    async def _last_flush(self) -> None:
        try:
            await asyncio.to_thread(self._engine.flush)
        except CorruptionError as problem:
            # The next start has it rebuilt.
            _log.critical("the node's data are damaged", reason=str(problem))
            self._directory.mark_damaged(str(problem))

    async def abandon(self) -> None:
        """Closes after a failure: nothing more is written than already was."""
        await self._server.stop(None)
        await self._close()

    async def _close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            self.host.stop()
        await self._async_cleanup.aclose()
        self._cleanup.close()


def _scrub_policy(settings: NodeSettings) -> ScrubPolicy:
    ticks_per_s = 1000 / settings.tick_ms
    return ScrubPolicy(
        interval_ticks=max(1, round(settings.scrub_interval_s * ticks_per_s)),
        bytes_per_tick=math.ceil(settings.scrub_bytes_per_s / ticks_per_s),
        full_bytes_per_tick=math.ceil(_SCRUB_FULL_BYTES_PER_S / ticks_per_s),
        hurry_ticks=round(_SCRUB_HURRY_S * ticks_per_s),
        reading_ticks_max=round(_SCRUB_READING_S_MAX * ticks_per_s),
    )


@cache
def _version() -> str:
    return version("kvstore")
