"""Mistakes about disks that are full, fail or do not answer."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_LOG: Final = "kvstore/commitlog/commit_log.py"
_WRITER: Final = "kvstore/commitlog/log_writer.py"
_PIPELINE: Final = "kvstore/replica/log_pipeline.py"
_APPLIES: Final = "kvstore/replica/apply_queue.py"
_HOST: Final = "kvstore/replica/host.py"
_WATCH: Final = "cluster/disk_watch.py"
_STEWARDSHIP: Final = "kvstore/replica/stewardship.py"

_FULL: Final = "disk full corrupts the log: Alagappan et al., OSDI '16; MongoDB, Redis, ZooKeeper"
_FSYNC: Final = "Rebello et al., Can Applications Recover from fsync Failures?, ATC '20"
_GRAY: Final = "Huang et al., Gray Failure, HotOS '17: a leader on a disk that hangs"

DISKS: Final = (
    Mutation(
        name="refused-write-acknowledged",
        area=Area.HOST,
        mistake="A write that had no room is taken for written: what it held is acknowledged.",
        seen=_FULL,
        path=_PIPELINE,
        old="""\
            if isinstance(outcome, ResourceExhausted):
""",
        new="""\
            if isinstance(outcome, ResourceExhausted):
                outcome = [Position(1, 0, 0)] * len(records)
            if isinstance(outcome, ResourceExhausted):
""",
    ),
    Mutation(
        name="refused-write-behind-later-ones",
        area=Area.HOST,
        mistake="What had no room is written after what came later: until then the log has a hole.",
        seen=_FULL,
        path=_PIPELINE,
        old="""\
                self._pending = self._writing + self._pending
""",
        new="""\
                self._pending = self._pending + self._writing
""",
    ),
    Mutation(
        name="refused-write-forgotten",
        area=Area.HOST,
        mistake="What had no room is never written: the log goes on behind a hole.",
        seen=_FULL,
        path=_PIPELINE,
        old="""\
                self._pending = self._writing + self._pending
""",
        new="",
    ),
    Mutation(
        name="torn-write-written-over",
        area=Area.STORAGE,
        mistake="A batch that found no room half-way is written over: after a crash, what is left"
        " of it passes for a part of the batch in its place.",
        seen=_FULL,
        path=_WRITER,
        old="""\
            self.cut()
            raise ResourceExhausted(
""",
        new="""\
            raise ResourceExhausted(
""",
    ),
    Mutation(
        name="sync-without-room-tried-again",
        area=Area.STORAGE,
        mistake="A sync that fails for want of room passes for a write that can be made again.",
        seen=_FSYNC,
        path=_LOG,
        old="""\
        self._active().sync()
        self._unsynced = 0
""",
        new="""\
        try:
            self._active().sync()
        except OSError as problem:
            if problem.errno == 28:
                raise ResourceExhausted("the disk has no room") from problem
            raise
        self._unsynced = 0
""",
    ),
    Mutation(
        name="refused-apply-forgotten",
        area=Area.HOST,
        mistake="Committed entries that the engine had no room for are never applied.",
        seen=_FULL,
        path=_APPLIES,
        old="""\
        except EngineRefused:
""",
        new="""\
        except EngineRefused:
            self._waiting.clear()
""",
    ),
    Mutation(
        name="writes-taken-in-without-room",
        area=Area.HOST,
        mistake="A leader whose disk is full takes writes in, which end as unknown.",
        seen=_FULL,
        path="kvstore/replica/intake.py",
        old="""\
        if self._space.space is not Space.ENOUGH:
""",
        new="""\
        if False:
""",
    ),
    Mutation(
        name="entries-taken-in-without-room",
        area=Area.HOST,
        mistake="A follower whose disk is full takes entries in, until there is none left for"
        " votes.",
        seen=_FULL,
        path=_HOST,
        old="""\
        return self.space.space is not Space.NONE or not has_payload(message)
""",
        new="""\
        return True
""",
    ),
    Mutation(
        name="stuck-leader-stays",
        area=Area.HOST,
        mistake="A leader whose disk hangs, and that nobody takes over from, leads on.",
        seen=_GRAY,
        path=_WATCH,
        old="""\
    if writing_ticks >= patience.step_down_ticks and others_can_elect:
""",
        new="""\
    if False:
""",
    ),
    Mutation(
        name="leadership-handed-to-the-unfit",
        area=Area.HOST,
        mistake="Leadership is handed to a node that has just said that its disk is full.",
        seen=_GRAY,
        path=_STEWARDSHIP,
        old="""\
            and host.contacts.is_fit(peer.replica)
""",
        new="",
    ),
)
