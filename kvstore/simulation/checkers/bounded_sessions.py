"""A partition keeps no more sessions than it may, and no more results of each."""

from __future__ import annotations

from kvstore.simulation.checkers.replica_watch import Change, ReplicaChecker
from kvstore.simulation.checkers.violation import Violation
from kvstore.storage.sessions import WINDOW


class BoundedSessions(ReplicaChecker):
    """See the module."""

    def on_change(self, change: Change) -> None:
        """See ReplicaChecker."""
        state = change.replica.state
        sessions = None if state is None else state.sessions_read
        if state is None or sessions is None:
            return
        if change.before is not None and change.before.applied == change.now.applied:
            return
        if len(sessions) > state.sessions_max:
            raise Violation(
                "bounded sessions",
                f"{change.place} keeps {len(sessions)} sessions, and may keep {state.sessions_max}",
            )
        if sessions.results_max > WINDOW:
            raise Violation(
                "bounded sessions",
                f"{change.place} keeps {sessions.results_max} results of one session, and may keep"
                f" {WINDOW}",
            )
