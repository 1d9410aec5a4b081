"""Mistakes on the way to the log and back: the pipeline, hard state, a group's entries."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_PIPELINE: Final = "kvstore/replica/log_pipeline.py"
_STORE: Final = "kvstore/replica/log_store.py"
_RECOVER: Final = "Alagappan et al., Protocol-Aware Recovery, FAST '18"

LOG_STORE: Final = (
    Mutation(
        name="vote-of-same-term-not-written",
        area=Area.STORAGE,
        mistake="The pipeline writes a hard state only when the term changed, not for the vote.",
        seen="hashicorp/raft#661: two steps",
        path=_PIPELINE,
        old="""\
            vote = (hard_state.term, hard_state.vote)
            if self._votes.get(group) != vote:
""",
        new="""\
            vote = (hard_state.term, hard_state.vote)
            if self._votes.get(group, (None, None))[0] != hard_state.term:
""",
    ),
    Mutation(
        name="empty-bundle-overtakes",
        area=Area.STORAGE,
        mistake="A bundle with nothing to write counts as persisted before those under way: its"
        " number confirms them too.",
        seen="etcd-io/raft#8: answers of the log thread come in order",
        path=_PIPELINE,
        old="""\
            last = self._last.get(group)
""",
        new="""\
            last = None
""",
    ),
    Mutation(
        name="replaced-entries-recovered",
        area=Area.STORAGE,
        mistake="A start keeps the end of a log that a later record replaced by fewer entries.",
        seen="dissertation 3.5: delete the existing entry and all that follow it",
        path=_STORE,
        old="""\
        self._cut(first)
        kept = last - first + 1  # what is at or below the bounds is passed over
""",
        new="""\
        kept = last - first + 1  # what is at or below the bounds is passed over
""",
    ),
    Mutation(
        name="gap-in-log-recovered",
        area=Area.STORAGE,
        mistake="A start accepts a group's log in which entries are missing.",
        seen=_RECOVER,
        path=_STORE,
        old="""\
        if first > self._last_index + 1:
            raise CorruptionError(
""",
        new="""\
        if first > self._last_index + 1 and not self._last_index:
            raise CorruptionError(
""",
    ),
    Mutation(
        name="replaced-run-takes-its-place",
        area=Area.STORAGE,
        mistake="The end of a write of entries that were replaced meanwhile says where the new"
        " ones stand.",
        seen="cockroachdb/cockroach#124440: the ABA problem of asynchronous log writes",
        path=_STORE,
        old="""\
        if self._first_index <= first <= self._last_index and self.term(first) == entries[0].term:
""",
        new="""\
        if self._first_index <= first <= self._last_index:
""",
    ),
    Mutation(
        name="forgotten-before-on-disk",
        area=Area.STORAGE,
        mistake="Entries leave the memory when they are applied, before their place on disk is"
        " known.",
        seen="cockroachdb/cockroach#122438",
        path=_STORE,
        old="""\
        keep_from = min(applied + 1, self._runs.last_first)
""",
        new="""\
        keep_from = applied + 1
""",
    ),
    Mutation(
        name="replaced-entries-read-back",
        area=Area.STORAGE,
        mistake="The end of a record on disk is read although newer entries in memory replaced it.",
        seen="dissertation 3.5",
        path=_STORE,
        old="""\
            end = min(end, cache[0].index)
""",
        new="""\
            end = max(end, cache[0].index)
""",
    ),
)
