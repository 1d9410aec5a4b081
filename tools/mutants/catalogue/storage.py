"""Mistakes in what reaches the disk and what a start makes of it: commit log, log store, hard
state."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_LOG: Final = "kvstore/commitlog/commit_log.py"
_READER: Final = "kvstore/commitlog/log_reader.py"
_RECOVERY: Final = "kvstore/commitlog/recovery.py"
_WRITER: Final = "kvstore/commitlog/log_writer.py"
_PIPELINE: Final = "kvstore/replica/log_pipeline.py"
_STORE: Final = "kvstore/replica/log_store.py"

_FSYNC: Final = "Rebello et al., Can Applications Recover from fsync Failures?, ATC '20"
_RECOVER: Final = "Alagappan et al., Protocol-Aware Recovery, FAST '18"

STORAGE: Final = (
    Mutation(
        name="every-second-batch-synced",
        area=Area.STORAGE,
        mistake="An append returns before its sync when it is the only one since the last.",
        seen="reply before sync: Jepsen, of many systems' defaults",
        path=_LOG,
        old="""\
            if self._unsynced and (sync or self._unsynced == UNSYNCED_MAX):
""",
        new="""\
            if self._unsynced > 1 and (sync or self._unsynced == UNSYNCED_MAX):
""",
    ),
    Mutation(
        name="failed-sync-tried-again",
        area=Area.STORAGE,
        mistake="A sync that failed is tried once more, and believed when it succeeds.",
        seen=_FSYNC,
        path=_LOG,
        old="""\
        self._active().sync()
        self._unsynced = 0
""",
        new="""\
        try:
            self._active().sync()
        except OSError:
            self._active().sync()
        self._unsynced = 0
""",
    ),
    Mutation(
        name="failed-log-goes-on",
        area=Area.STORAGE,
        mistake="After a write or sync that failed the log takes the next one.",
        seen=_FSYNC,
        path=_LOG,
        old="""\
            self._failure = problem
            raise CommitLogFailed(
""",
        new="""\
            raise CommitLogFailed(
""",
    ),
    Mutation(
        name="recovered-tail-only-synced",
        area=Area.STORAGE,
        mistake="A start syncs what it read and does not write it again: after a failed sync the"
        " memory has what the disk never got, and holds it for clean.",
        seen=_FSYNC,
        path=_LOG,
        old="""\
        writer.rewrite(recovered.last.unproven)
""",
        new="""\
        writer.sync()
""",
    ),
    Mutation(
        name="goes-on-behind-torn-tail",
        area=Area.STORAGE,
        mistake="After a torn tail the log goes on in the same segment, before the old bytes.",
        seen="LevelDB, RocksDB: what a crash left behind the end comes back after the next one",
        path=_LOG,
        old="""\
            writer.cut()
            self._bytes_on_disk -= size - writer.end
""",
        new="""\
            self._bytes_on_disk -= 0
""",
    ),
    Mutation(
        name="unfinished-batch-replayed",
        area=Area.STORAGE,
        mistake="A start hands over the first records of a batch whose end is missing.",
        seen="reordered and torn appends; a round is one batch",
        path=_READER,
        old="""\
            held.append((Record(header.group, header.kind, payload), position))
            offset += frame_bytes(header.length)
            remaining = header.remaining
            if remaining:
                continue
            for record, position in held:
                visit(record, position)
""",
        new="""\
            held.append((Record(header.group, header.kind, payload), position))
            visit(*held[-1])
            offset += frame_bytes(header.length)
            remaining = header.remaining
            if remaining:
                continue
""",
    ),
    Mutation(
        name="payload-not-checked",
        area=Area.STORAGE,
        mistake="A start checks the headers of frames and takes their payloads as they are.",
        seen="reordered writes: a header may be on disk without what follows it",
        path=_READER,
        old="""\
        if len(payload) != header.length or crc32c(payload) != header.payload_crc:
""",
        new="""\
        if len(payload) != header.length:
""",
    ),
    Mutation(
        name="damage-taken-for-torn-tail",
        area=Area.STORAGE,
        mistake="The batch right after an unreadable one does not prove that it had been synced:"
        " an acknowledged batch is cut off in silence.",
        seen=_RECOVER,
        path=_READER,
        old="""\
                if header is not None and header.synced_batch >= missing:
""",
        new="""\
                if header is not None and header.synced_batch > missing:
""",
    ),
    Mutation(
        name="proof-looked-for-in-whole-chunks",
        area=Area.STORAGE,
        mistake="A frame header across two chunks of a tail is not seen, and proves nothing.",
        seen=_RECOVER,
        path=_READER,
        old="""\
            chunk = self._file.pread(_CHUNK_BYTES + FRAME_HEADER_BYTES, base)
""",
        new="""\
            chunk = self._file.pread(_CHUNK_BYTES, base)
""",
    ),
    Mutation(
        name="short-segment-accepted",
        area=Area.STORAGE,
        mistake="A segment that ends before the next one begins counts as read to its end.",
        seen=_RECOVER,
        path=_RECOVERY,
        old="""\
        if walk.next_batch != successor.first_batch:
""",
        new="""\
        if walk.next_batch > successor.first_batch:
""",
    ),
    Mutation(
        name="missing-segment-passed-over",
        area=Area.STORAGE,
        mistake="A start reads the segments that there are and misses none in between.",
        seen=_RECOVER,
        path=_RECOVERY,
        old="""\
    for segment in range(last.oldest_segment, last.segment):
        if segment not in present:
""",
        new="""\
    for segment in found[:-1]:
        if segment not in present:
""",
    ),
    Mutation(
        name="checkpoint-of-oldest-hard-state",
        area=Area.STORAGE,
        mistake="A new segment repeats the first hard state of a group, and term and vote fall.",
        seen="dissertation figure 3.1; checkpoints that race with what they save",
        path=_LOG,
        old="""\
            self._sticky[record.group, record.kind] = record
""",
        new="""\
            self._sticky.setdefault((record.group, record.kind), record)
""",
    ),
    Mutation(
        name="segment-named-before-sync",
        area=Area.STORAGE,
        mistake="A new segment gets its name before its content is on stable storage.",
        seen="ext4 and the rename without fsync; LevelDB's CURRENT file",
        path=_WRITER,
        old="""\
    file.pwritev((encode_segment_header(header), *parts), 0)
    file.sync()
""",
        new="""\
    file.pwritev((encode_segment_header(header), *parts), 0)
""",
    ),
    Mutation(
        name="segment-folder-not-synced",
        area=Area.STORAGE,
        mistake="A new segment's name is not made durable: a crash loses the file with all that"
        " was acknowledged in it.",
        seen="Pillai et al., All File Systems Are Not Created Equal, OSDI '14",
        path=_WRITER,
        old="""\
        files.rename(unfinished, posixpath.join(folder, segment_name(header.segment)))
        files.sync_folder(folder)
""",
        new="""\
        files.rename(unfinished, posixpath.join(folder, segment_name(header.segment)))
""",
    ),
    Mutation(
        name="next-segment-before-sync",
        area=Area.STORAGE,
        mistake="A segment is begun while batches of the one before it are not synced.",
        seen="reordered appends: damage in the middle that is none",
        path=_LOG,
        old="""\
        if self._unsynced:
            self._sync()
        previous = self._writer
""",
        new="""\
        previous = self._writer
""",
    ),
    Mutation(
        name="full-disk-leaves-a-gap",
        area=Area.STORAGE,
        mistake="A segment that found no room on the disk counts as part of the log: the next"
        " start misses it and calls that corruption.",
        seen="disk full corrupts the log",
        path=_LOG,
        old="""\
        self._writer = make_segment(self._files, self._folder, header, capacity, checkpoint)
        self._headers[number] = header
""",
        new="""\
        self._headers[number] = header
        self._writer = make_segment(self._files, self._folder, header, capacity, checkpoint)
""",
    ),
    Mutation(
        name="unsynced-batches-not-counted",
        area=Area.STORAGE,
        mistake="A frame says that all before it was synced when it was not: what a crash tears"
        " then looks like corruption.",
        seen=_RECOVER,
        path=_LOG,
        old="""\
        positions = writer.append(records, self._next_batch, self._unsynced)
""",
        new="""\
        positions = writer.append(records, self._next_batch, 0)
""",
    ),
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
        if not ready.must_sync and not self._unsettled.get(group):
""",
        new="""\
        if not ready.must_sync:
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
        for offset, term in enumerate(terms):
""",
        new="""\
        for offset, term in enumerate(terms):
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
        if first <= self._last_index and self.term(first) == entries[0].term:
""",
        new="""\
        if first <= self._last_index:
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
