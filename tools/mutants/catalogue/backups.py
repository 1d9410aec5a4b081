"""Mistakes in backups: of which moment they are, what a file is believed, what a restore writes."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_CLIENT: Final = "kvstore/client/backup.py"
_FORMAT: Final = "kvstore/backup/file_format.py"
_JOBS: Final = "kvstore/cli/backup_jobs.py"
_READER: Final = "kvstore/backup/reader.py"
_SERVICE: Final = "kvstore/rpc/backup_service.py"
_VIEW: Final = "kvstore/storage/partition_view.py"
_WRITER: Final = "kvstore/backup/writer.py"

BACKUPS: Final = (
    Mutation(
        name="backup-without-read-index",
        area=Area.BACKUPS,
        mistake="A backup is read from whoever is asked: acknowledged writes may be missing in it.",
        seen="backups from followers that lag",
        path=_SERVICE,
        old="""\
            await self._lead(group)
""",
        new="",
    ),
    Mutation(
        name="backup-keeps-its-place",
        area=Area.BACKUPS,
        mistake="A backup whose caller left still counts: after two, the node gives no more.",
        seen="accounting leaks",
        path=_SERVICE,
        old="""\
        finally:
            self._under_way -= 1
""",
        new="""\
        except KeyError:
            self._under_way -= 1
""",
    ),
    Mutation(
        name="view-kept-after-the-backup",
        area=Area.BACKUPS,
        mistake="The view of a backup that ended is kept: what is deleted never leaves the disk.",
        seen="snapshots that are not released",
        path=_SERVICE,
        old="""\
                self._views.pop(view, None)
""",
        new="",
    ),
    Mutation(
        name="silent-caller-keeps-the-view",
        area=Area.BACKUPS,
        mistake="A caller that takes nothing is waited for without end.",
        seen="snapshots that are not released",
        path=_SERVICE,
        old="""\
                    async with asyncio.timeout(self._silence_s_max):
""",
        new="""\
                    async with asyncio.timeout(None):
""",
    ),
    Mutation(
        name="backup-page-begins-with-the-last-key",
        area=Area.BACKUPS,
        mistake="A page begins with the last key of the one before: a row stands twice.",
        seen="off by one at page borders",
        path=_VIEW,
        old="""\
        return page_of(self._pages.next(bytes_max), self._pages.prefix)
""",
        new="""\
        page = self._pages.next(bytes_max)
        if page.keys:
            self._pages._next_key = page.keys[-1]
        return page_of(page, self._pages.prefix)
""",
    ),
    Mutation(
        name="broken-stream-is-an-end",
        area=Area.BACKUPS,
        mistake="A stream that ends before its totals counts as whole: the rest is missing.",
        seen="truncated streams that pass",
        path=_CLIENT,
        old="""\
                raise CodecError("the stream ended before the partition did")
""",
        new="""\
                yield tally.end()
                return
""",
    ),
    Mutation(
        name="totals-not-compared",
        area=Area.BACKUPS,
        mistake="The totals that end a stream are not compared with what came.",
        seen="lost chunks of snapshots",
        path=_CLIENT,
        old="""\
                if (end.records, end.rows_hash) != (chunk.totals.records, chunk.totals.rows_hash):
""",
        new="""\
                if end.records < 0:
""",
    ),
    Mutation(
        name="section-begins-behind-its-remains",
        area=Area.BACKUPS,
        mistake="A section that begins anew overwrites its first attempt, of which the rest stays.",
        seen="files that are rewritten shorter",
        path=_WRITER,
        old="""\
            self._file.truncate()
""",
        new="",
    ),
    Mutation(
        name="hash-keeps-the-first-attempt",
        area=Area.BACKUPS,
        mistake="The file's hash goes on from the attempt that was forgotten: no reader takes it.",
        seen="running hashes that are not rolled back",
        path=_WRITER,
        old="""\
            self._digest = self._open.digest_before
""",
        new="",
    ),
    Mutation(
        name="backup-renamed-before-its-sync",
        area=Area.BACKUPS,
        mistake="The file takes its name before it is on the disk: a crash leaves a hollow one.",
        seen="rename without fsync; LevelDB's CURRENT",
        path=_WRITER,
        old="""\
        os.fsync(self._file.fileno())
""",
        new="",
    ),
    Mutation(
        name="name-not-checked-again",
        area=Area.BACKUPS,
        mistake="A file that came to bear the name during the backup is overwritten.",
        seen="check and use",
        path=_WRITER,
        old="""\
        self._file.close()
        self._check_free()
""",
        new="""\
        self._file.close()
""",
    ),
    Mutation(
        name="frame-checksum-without-its-header",
        area=Area.BACKUPS,
        mistake="A frame's checksum covers the payload alone: kind, length and flags may rot.",
        seen="checksums that begin after the header",
        path=_FORMAT,
        old="""\
    return int(google_crc32c.extend(google_crc32c.value(start), payload))
""",
        new="""\
    return int(google_crc32c.value(payload))
""",
    ),
    Mutation(
        name="frame-unpacks-without-bound",
        area=Area.BACKUPS,
        mistake="A small frame may unpack to any size: a bad file takes all memory.",
        seen="decompression bombs",
        path=_FORMAT,
        old="""\
        payload = inflater.decompress(stored, PAYLOAD_BYTES_MAX + 1)
""",
        new="""\
        payload = inflater.decompress(stored)
""",
    ),
    Mutation(
        name="file-hash-believed",
        area=Area.BACKUPS,
        mistake="The footer's hash of the file is not compared: a header of another backup passes.",
        seen="checksums that are read and not checked",
        path=_READER,
        old="""\
            tuple(sections), records, at, file_hash
""",
        new="""\
            tuple(sections), records, at, footer.file_hash
""",
    ),
    Mutation(
        name="bytes-after-the-footer-pass",
        area=Area.BACKUPS,
        mistake="What follows the footer is not looked at: two files in one pass as the first.",
        seen="trailing data",
        path=_READER,
        old="""\
        if self.position_bytes != self.size_bytes:
""",
        new="""\
        if self.position_bytes > self.size_bytes:
""",
    ),
    Mutation(
        name="resume-into-foreign-data",
        area=Area.BACKUPS,
        mistake="A restore is resumed in a cluster that holds keys of somebody else.",
        seen="restores over live data",
        path=_JOBS,
        old="""\
    if there != found:
""",
        new="""\
    if there < found:
""",
    ),
    Mutation(
        name="half-a-chunk-counts-as-there",
        area=Area.BACKUPS,
        mistake="A chunk of which some rows are there is passed over: the others stay missing.",
        seen="resumed transfers with holes",
        path=_JOBS,
        old="""\
            if present == len(chunk.keys):
""",
        new="""\
            if present:
""",
    ),
    Mutation(
        name="limit-of-values-off-by-the-header",
        area=Area.BACKUPS,
        mistake="A value is measured with its record's header: the largest ones are refused.",
        seen="off by a header",
        path=_JOBS,
        old="""\
        value_bytes = len(record) - HEADER_BYTES
""",
        new="""\
        value_bytes = len(record)
""",
    ),
)
