"""Mistakes in letting go of the log: what is still needed, and in which order it goes (5.1)."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_COMPACTOR: Final = "kvstore/replica/compactor.py"
_LOG_STORE: Final = "kvstore/replica/log_store.py"
_STORE: Final = "kvstore/commitlog/segment_store.py"

COMPACTION: Final = (
    Mutation(
        name="compacted-beyond-the-flush",
        area=Area.COMPACTION,
        mistake="The log is compacted up to what is applied when a flush ends, not when it began:"
        " a crash loses what only the log had.",
        seen="compaction races with apply",
        path=_COMPACTOR,
        old="""\
            replica = self._host.replicas[group]
            log = replica.log
""",
        new="""\
            replica = self._host.replicas[group]
            durable = replica.core.applied
            log = replica.log
""",
    ),
    Mutation(
        name="follower-left-behind",
        area=Area.COMPACTION,
        mistake="A leader compacts entries that a follower still lacks.",
        seen="a leader needs entries that it has compacted; hashicorp/raft#212",
        path="kvstore/replica/compaction.py",
        old="""\
        elif peer.match >= last_lost:
            through = min(through, peer.match)
""",
        new="""\
        elif peer.active and peer.match >= last_lost:
            through = min(through, peer.match)
""",
    ),
    Mutation(
        name="segments-go-before-their-bounds",
        area=Area.COMPACTION,
        mistake="Segments are released while the records that say so are on their way to the disk:"
        " a crash in between leaves a log that begins nowhere.",
        seen="recovery check: the applied index reaches to where the log begins",
        path=_COMPACTOR,
        old="""\
        pipeline.add_bounds(bounds, self._release)
        pipeline.flush()
""",
        new="""\
        pipeline.add_bounds(bounds, lambda: None)
        pipeline.flush()
        self._release()
""",
    ),
    Mutation(
        name="logs-not-yet-claimed-go",
        area=Area.COMPACTION,
        mistake="Segments go that hold the log of a group which this start has not made yet.",
        seen="compaction of what somebody else still needs",
        path=_COMPACTOR,
        old="""\
        self._released = lowest_needed(active, [*firsts, self._unclaimed()])
""",
        new="""\
        self._released = lowest_needed(active, firsts)
""",
    ),
    Mutation(
        name="state-older-than-log-accepted",
        area=Area.COMPACTION,
        mistake="A start takes a state that ends before its log begins.",
        seen="recovery check: applied index ≥ first log index − 1",
        path="kvstore/replica/recovery.py",
        old="""\
        if applied < log.first_index() - 1:
""",
        new="""\
        if 0 < applied < log.first_index() - 1:
""",
    ),
    Mutation(
        name="gap-behind-bounds-accepted",
        area=Area.COMPACTION,
        mistake="A start accepts a log whose first entries are missing.",
        seen="Alagappan et al., Protocol-Aware Recovery, FAST '18",
        path=_LOG_STORE,
        old="""\
        if self._first_index != self._bounds.index + 1:
""",
        new="""\
        if self._first_index < self._bounds.index + 1:
""",
    ),
    Mutation(
        name="run-that-is-needed-dropped",
        area=Area.COMPACTION,
        mistake="With what was compacted the place of the first entry that was not is forgotten.",
        seen="off by one at the edge of what is kept",
        path="kvstore/replica/run_index.py",
        old="""\
        count = max(0, bisect_right(self._firsts, through + 1) - 1)
""",
        new="""\
        count = max(0, bisect_right(self._firsts, through + 1))
""",
    ),
    Mutation(
        name="write-that-compaction-overtook",
        area=Area.COMPACTION,
        mistake="The end of a write of entries that were compacted meanwhile stops the node.",
        seen="compaction races with persistence",
        path=_LOG_STORE,
        old="""\
        if self._first_index <= first <= self._last_index and self.term(first) == entries[0].term:
""",
        new="""\
        if first <= self._last_index and self.term(first) == entries[0].term:
""",
    ),
    Mutation(
        name="configuration-not-kept-with-state",
        area=Area.COMPACTION,
        mistake="Once the log that says so is compacted a start does not know who belongs to it.",
        seen="configuration lost on restore; dissertation 5.1",
        path="kvstore/storage/applier.py",
        old="""\
        if configuration is not None:
            batch.put(state.configuration_key, configuration)
""",
        new="",
    ),
    Mutation(
        name="first-configuration-of-a-round-kept",
        area=Area.COMPACTION,
        mistake="Of two configurations applied in one round the state keeps the first: the joint"
        " one, which is long left.",
        seen="joint configuration lost on restore",
        path="kvstore/storage/applier.py",
        old="""\
            configuration = entry.data
    return configuration
""",
        new="""\
            configuration = configuration or entry.data
    return configuration
""",
    ),
    Mutation(
        name="checkpoint-only-with-releases",
        area=Area.COMPACTION,
        mistake="A segment repeats the hard states only when others go with it; when those go later"
        " that hold them, term and vote are lost.",
        seen="dissertation figure 3.1; compaction of what is still needed",
        path="kvstore/commitlog/commit_log.py",
        old="""\
        checkpoint = list(self._sticky.values())
""",
        new="""\
        checkpoint = list(self._sticky.values()) if self._store.can_release else []
""",
    ),
    Mutation(
        name="released-before-the-next-is-named",
        area=Area.COMPACTION,
        mistake="Segments that were released stay part of the log by the next one's header, though"
        " their files go: the next start misses them.",
        seen="compaction that races with recovery",
        path=_STORE,
        old="""\
            oldest_segment=max(self.oldest_needed, min(self.headers, default=number)),
""",
        new="""\
            oldest_segment=min(self.headers, default=number),
""",
    ),
    Mutation(
        name="recycled-file-taken-for-blank",
        area=Area.COMPACTION,
        mistake="A segment in the file of an older one claims that nothing stood there before.",
        seen="RocksDB: recycled logs whose old records were read as new",
        path=_STORE,
        old="""\
            is_recycled=not spare.is_blank,
""",
        new="""\
            is_recycled=False,
""",
    ),
)
