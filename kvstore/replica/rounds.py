"""The round: what came in since the last one is handed on, for all groups at once.

It runs once per turn of the event loop in which anything happened, so its cost grows with the work
there is, not with the groups there are.
"""

from __future__ import annotations

from collections.abc import Callable

from kvstore.replica.agenda import Agenda
from kvstore.replica.bundles import Bundles
from kvstore.replica.intake import Intake
from kvstore.replica.leadership_checks import LeadershipChecks
from kvstore.replica.outbox import Outbox
from kvstore.replica.read_server import ReadServer
from kvstore.replica.replica import Replica
from kvstore.replica.wake_groups import WakeGroups


class Rounds:
    """See the module."""

    __slots__ = (
        "_agenda",
        "_awake",
        "_bundles",
        "_checks",
        "_intake",
        "_longest_s",
        "_monotonic_s",
        "_outbox",
        "_reads",
        "count",
    )

    def __init__(
        self,
        *,
        agenda: Agenda,
        awake: WakeGroups,
        intake: Intake,
        checks: LeadershipChecks,
        bundles: Bundles,
        outbox: Outbox,
        reads: ReadServer,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._agenda = agenda
        self._awake = awake
        self._intake = intake
        self._checks = checks
        self._bundles = bundles
        self._outbox = outbox
        self._reads = reads
        self._monotonic_s = monotonic_s
        self._longest_s = 0.0
        self.count = 0

    def run(self) -> None:
        """Runs one, and sees how long it takes."""
        began_s = self._monotonic_s()
        self._run()
        self._longest_s = max(self._longest_s, self._monotonic_s() - began_s)

    def take_longest_s(self) -> float:
        """How long the longest took since this was last asked."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s

    def _run(self) -> None:
        """Collects, persists, sends, applies, serves."""
        self.count += 1
        if self._intake.has_writes and self._bundles.are_keeping_up:
            self._intake.propose()
        dirty = self._agenda.take()
        for replica in dirty.values():
            self._collect(replica)
        self._bundles.pipeline.flush()
        self._checks.send()
        self._outbox.send()
        self._bundles.applies.run(self._bundles.pipeline.write_under_way)
        for replica in dirty.values():
            if replica.has_confirmed:
                self._serve(replica)

    def _serve(self, replica: Replica) -> None:
        if not replica.has_readable:
            self._bundles.applies.catch_up(replica.group)
        if replica.has_readable:
            self._reads.serve(replica)

    def _collect(self, replica: Replica) -> None:
        self._intake.ask(replica)
        core = replica.core
        if core.has_ready:
            ready = core.ready()
            self._intake.on_ready(replica, ready)
            self._bundles.take(replica, ready)
            if core.has_ready:
                self._agenda.touch(replica)
        self._awake.note(replica)
