"""Mistakes in what reaches the disk and what a start makes of it: commit log, log store, hard
state."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_LOG: Final = "kvstore/commitlog/commit_log.py"
_READER: Final = "kvstore/commitlog/log_reader.py"
_RECOVERY: Final = "kvstore/commitlog/recovery.py"
_WRITER: Final = "kvstore/commitlog/log_writer.py"

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
        name="marked-before-synced",
        area=Area.STORAGE,
        mistake="The mark says that a batch is on stable storage before its sync.",
        seen=_RECOVER,
        path=_LOG,
        old="""\
        self._active().sync()
        self._unsynced = 0
        self._note_synced()
""",
        new="""\
        self._note_synced()
        self._active().sync()
        self._unsynced = 0
""",
    ),
    Mutation(
        name="mark-of-last-batch-passed-over",
        area=Area.STORAGE,
        mistake="The last batch that was synced may be missing at a start.",
        seen=_RECOVER,
        path=_RECOVERY,
        old="""\
        if walk.next_batch <= synced:
""",
        new="""\
        if walk.next_batch < synced:
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
        return CommitLogFailed(f"a write to the commit log in {self._folder} failed: {problem}")
""",
        new="""\
        return CommitLogFailed(f"a write to the commit log in {self._folder} failed: {problem}")
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
        if not recovered.tail.is_blank:
""",
        new="""\
        if recovered.tail.proof is not None:
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
            for record, where in held:
                visit(record, where)
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
                if header.synced_batch >= missing:
""",
        new="""\
                if header.synced_batch > missing:
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
    files.rename(spare.path, posixpath.join(folder, segment_name(segment)))
    files.sync_folder(folder)
""",
        new="""\
    files.rename(spare.path, posixpath.join(folder, segment_name(segment)))
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
        try:
            self._make_segment(needed)
""",
        new="""\
        try:
            self._make_segment(needed)
""",
    ),
    Mutation(
        name="full-disk-leaves-a-gap",
        area=Area.STORAGE,
        mistake="A segment that found no room on the disk counts as part of the log: the next"
        " start misses it and calls that corruption.",
        seen="disk full corrupts the log",
        path="kvstore/commitlog/segment_store.py",
        old="""\
        with self._removed_on_failure(spare.path, capacity):
            writer = fill_spare(self._files, spare, header, checkpoint)
""",
        new="""\
        self.headers = {**self.headers, number: header}
        with self._removed_on_failure(spare.path, capacity):
            writer = fill_spare(self._files, spare, header, checkpoint)
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
        name="missing-last-segment-not-missed",
        area=Area.STORAGE,
        mistake="A log whose last file is gone ends, in silence, with the file before it.",
        seen=_RECOVER,
        path=_RECOVERY,
        old="""\
        if walk.is_sealed:
""",
        new="""\
        if walk.is_sealed and not walk.records:
""",
    ),
)
