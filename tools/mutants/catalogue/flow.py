"""Mistakes in flow control and handing over: windows that leak, transfers that hang (3.10)."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_LEADER: Final = "cluster/raft/leader.py"
_LOG: Final = "cluster/raft/log.py"
_TRANSFER: Final = "cluster/raft/transfer.py"
_PROGRESS: Final = "cluster/raft/progress.py"

FLOW: Final = (
    Mutation(
        name="entries-with-a-gap",
        area=Area.REPLICATION,
        mistake="Entries not yet handed out are appended to stored ones that a bound cut short.",
        seen="etcd-io/etcd#10063: pages of entries that were cut in two places",
        path=_LOG,
        old="""\
        if not self._unstable or stored[-1].index + 1 < self._offset:
""",
        new="""\
        if not self._unstable:
""",
    ),
    Mutation(
        name="window-keeps-last-message",
        area=Area.REPLICATION,
        mistake="An acknowledgement frees the requests below it and not its own: the window fills.",
        seen="in-flight accounting of etcd-io/raft (Inflights.FreeLE)",
        path=_PROGRESS,
        old="""\
        while window and window[0][0] <= index:
""",
        new="""\
        while window and window[0][0] < index:
""",
    ),
    Mutation(
        name="window-keeps-rejected-bytes",
        area=Area.REPLICATION,
        mistake="After a rejection the window is empty and its bytes are not: it leaks away.",
        seen="in-flight accounting",
        path=_PROGRESS,
        old="""\
        self._window.clear()
        self._window_bytes = 0
""",
        new="""\
        self._window.clear()
""",
    ),
    Mutation(
        name="uncommitted-bytes-leak",
        area=Area.REPLICATION,
        mistake="Of entries committed at once only the last is taken off the uncommitted bytes.",
        seen="in-flight accounting of etcd-io/raft (uncommittedSize)",
        path=_LEADER,
        old="""\
                [len(entry.data) for entry in committed if entry.index >= term_start]
""",
        new="""\
                [len(entry.data) for entry in committed[-1:] if entry.index >= term_start]
""",
    ),
    Mutation(
        name="lost-appends-not-found",
        area=Area.REPLICATION,
        mistake="A follower that answers heartbeats is not asked again for what was lost on its"
        " way, once entries flow to it.",
        seen="etcd-io/etcd#7042, etcd-io/raft#52",
        path=_PROGRESS,
        old="""\
        if self.match < last_index:  # always so while probing
""",
        new="""\
        if self.match < last_index and self.state is ProgressState.PROBE:
""",
    ),
    Mutation(
        name="transfer-before-caught-up",
        area=Area.REPLICATION,
        mistake="Leadership is handed over as soon as the target has what is committed.",
        seen="dissertation 3.10: the prior leader sends all it has",
        path=_TRANSFER,
        old="""\
        if self._progress[to].match == self._state.log.last_index:
""",
        new="""\
        if self._progress[to].match >= self._state.log.commit:
""",
    ),
    Mutation(
        name="second-transfer-never-begins",
        area=Area.REPLICATION,
        mistake="After a transfer that was given up the next one is thought to be under way.",
        seen="dissertation 3.10: after an election timeout the prior leader resumes",
        path=_TRANSFER,
        old="""\
        self._elapsed = 0
        self._is_told = False
        self.advance()
""",
        new="""\
        self._elapsed = 0
        self.advance()
""",
    ),
    Mutation(
        name="second-transfer-given-up-at-once",
        area=Area.REPLICATION,
        mistake="A transfer is given up by the time that passed in the one before it.",
        seen="dissertation 3.10",
        path=_TRANSFER,
        old="""\
        self._elapsed = 0
        self._is_told = False
        self.advance()
""",
        new="""\
        self._is_told = False
        self.advance()
""",
    ),
    Mutation(
        name="proposals-during-transfer",
        area=Area.REPLICATION,
        mistake="A leader takes proposals while it hands over: the target may never catch up.",
        seen="dissertation 3.10: it stops accepting new client requests",
        path=_LEADER,
        old="""\
        if self._transfer.to is not None:
            self._transfer.require_none()
        state = self._state
""",
        new="""\
        state = self._state
""",
    ),
)
