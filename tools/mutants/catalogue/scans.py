"""Mistakes in scans: in both directions, from cursors and views; in counts and deleted ranges."""

from __future__ import annotations

from typing import Final

from tools.mutants.mutation import Area, Mutation

_COUNTING: Final = "kvstore/client/counting.py"
_CURSOR: Final = "kvstore/codec/cursor.py"
_DELETE: Final = "kvstore/client/range_delete.py"
_HOST: Final = "kvstore/replica/host.py"
_PART: Final = "kvstore/client/scan_part.py"
_RANGES: Final = "kvstore/client/ranges.py"
_ROCKS: Final = "kvstore/storage/rocks_engine.py"
_SCAN: Final = "kvstore/client/scan.py"
_SCANNING: Final = "kvstore/client/scanning.py"
_SYNC: Final = "kvstore/client/sync_scan.py"
_VIEWS: Final = "kvstore/replica/scan_views.py"

SCANS: Final = (
    Mutation(
        name="reverse-scan-begins-at-its-end",
        area=Area.SCANS,
        mistake="A scan in reverse gives the key at the end of its range, which is not in it.",
        seen="iterators that seek to the key itself",
        path=_ROCKS,
        old="""\
        if iterator.valid() and iterator.key() == end:
            iterator.prev()
""",
        new="",
    ),
    Mutation(
        name="reverse-page-repeats-its-last-key",
        area=Area.SCANS,
        mistake="The next page in reverse ends behind the last key: it is given twice.",
        seen="paging in two directions by one rule",
        path=_RANGES,
        old="""\
            return replace(self, end=key)
""",
        new="""\
            return replace(self, end=key + b"\\0")
""",
    ),
    Mutation(
        name="view-opened-without-read-index",
        area=Area.SCANS,
        mistake="A view is opened by whoever is asked: acknowledged writes may be missing in it.",
        seen="snapshots from followers that lag",
        path=_HOST,
        old="""\
        if request.goes_on:
            self._go_on(group, request)
        else:
            self._intake.read(group, request, expires_in_ticks)
""",
        new="""\
        state = self.replicas[group].state if group in self.replicas else None
        if request.goes_on:
            self._go_on(group, request)
        elif (
            state is not None
            and request.scan is not None
            and request.scan.view_action.name == "OPEN"
        ):
            request.settle(self.scan_views.open(group, state, request.scan, 99))
        else:
            self._intake.read(group, request, expires_in_ticks)
""",
    ),
    Mutation(
        name="view-opened-anew-when-asked-again",
        area=Area.SCANS,
        mistake="An opening whose answer was lost replaces the view under a scan that goes on.",
        seen="retries that are not idempotent",
        path=_VIEWS,
        old="""\
        if (group, scan.view) not in self._views:
""",
        new="""\
        if scan.view:
""",
    ),
    Mutation(
        name="idle-views-are-kept",
        area=Area.SCANS,
        mistake="A view whose scan vanished is kept: what is deleted never leaves the disk.",
        seen="snapshots that are not released",
        path=_VIEWS,
        old="""\
            if self._ticks - last <= IDLE_TICKS_MAX:
                return
""",
        new="""\
            if self._ticks - last <= IDLE_TICKS_MAX * 1000:
                return
""",
    ),
    Mutation(
        name="questions-do-not-keep-a-view",
        area=Area.SCANS,
        mistake="A view is let go of some time after it was opened, in the middle of its scan.",
        seen="leases that are never renewed",
        path=_VIEWS,
        old="""\
        self._views[key] = view, self._ticks
        page = _NOTHING if scan.view_action is ViewAction.KEEP else view.scan(scan)
""",
        new="""\
        self._views[key] = view, _last
        page = _NOTHING if scan.view_action is ViewAction.KEEP else view.scan(scan)
""",
    ),
    Mutation(
        name="views-without-number",
        area=Area.SCANS,
        mistake="Nothing bounds the views of a node.",
        seen="resources that callers take without limit",
        path=_VIEWS,
        old="""\
            if len(self._views) >= views_max:
""",
        new="""\
            if len(self._views) < 0:
""",
    ),
    Mutation(
        name="scan-leaves-its-views",
        area=Area.SCANS,
        mistake="A scan that ended does not close its views: nodes keep them until they are idle.",
        seen="snapshots that are not released",
        path=_SCAN,
        old="""\
                    said.append(self._say(number, part.view.about(ViewAction.CLOSE)))
""",
        new="""\
                    said.append(self._say(number, part.view.about(ViewAction.KEEP)))
""",
    ),
    Mutation(
        name="views-that-wait-are-not-kept",
        area=Area.SCANS,
        mistake="A scan that reads one partition for long loses its views of the others.",
        seen="leases that are renewed only by use",
        path=_SCAN,
        old="""\
                if self._keep_alive_s <= self._dispatcher.loop.time():
                    self._keep_alive()
""",
        new="",
    ),
    Mutation(
        name="pages-of-two-revisions-mixed",
        area=Area.SCANS,
        mistake="A page of another moment is taken for one of the scan's own.",
        seen="snapshots put together of parts",
        path=_PART,
        old="""\
        elif page.revision != self.revision:
""",
        new="""\
        elif page.revision < self.revision:
""",
    ),
    Mutation(
        name="lost-view-is-opened-anew",
        area=Area.SCANS,
        mistake="Each page of a consistent scan asks for a view that may be a new one.",
        seen="snapshots put together of parts",
        path=_PART,
        old="""\
        action = ViewAction.OPEN if self.revision is None else ViewAction.READ
""",
        new="""\
        action = ViewAction.OPEN
""",
    ),
    Mutation(
        name="cursor-without-checksum",
        area=Area.SCANS,
        mistake="A cursor that was changed is believed: a scan goes on somewhere else.",
        seen="tokens that are parsed before they are checked",
        path=_CURSOR,
        old="""\
    if len(body) < _HEADER.size or _CHECKSUM.unpack(checksum) != (google_crc32c.value(body),):
""",
        new="""\
    if len(body) < _HEADER.size:
""",
    ),
    Mutation(
        name="cursor-of-any-cluster",
        area=Area.SCANS,
        mistake="A cursor of another cluster is taken: keys of this one are passed over.",
        seen="tokens without a scope",
        path=_SCANNING,
        old="""\
        if self.cluster_id not in ("", cluster_id):
""",
        new="""\
        if self.cluster_id == cluster_id[1:]:
""",
    ),
    Mutation(
        name="cursor-ahead-of-what-was-given",
        area=Area.SCANS,
        mistake="The cursor of Client's scans passes over what was fetched and not yet given.",
        seen="offsets committed before processing",
        path=_SYNC,
        old="""\
        return self._source.cursor if last is None else self._source.cursor_behind(last)
""",
        new="""\
        return self._source.cursor_behind(last) if last is None and last else self._source.cursor
""",
    ),
    Mutation(
        name="counts-added-over-a-wait",
        area=Area.SCANS,
        mistake="The total is read, a page waited for, and written back: others' pages are lost.",
        seen="a lost update; made here once",
        path=_COUNTING,
        old="""\
            found = await _count_of(dispatcher, PartitionId(partition), wanted, asking)
            total += found
""",
        new="""\
            total += await _count_of(dispatcher, PartitionId(partition), wanted, asking)
""",
    ),
    Mutation(
        name="last-page-is-not-deleted",
        area=Area.SCANS,
        mistake="The last keys of a range, which fill no page, stay.",
        seen="batches that are not flushed at the end",
        path=_DELETE,
        old="""\
    if page:
        deleted += await _delete_page(dispatcher, page, timeout_s)
""",
        new="""\
    if len(page) == PAGE_KEYS_MAX:
        deleted += await _delete_page(dispatcher, page, timeout_s)
""",
    ),
    Mutation(
        name="unknown-delete-counts-as-done",
        area=Area.SCANS,
        mistake="A delete whose outcome is unknown is taken for done: its key may stay.",
        seen="unknown taken for success",
        path=_DELETE,
        old="""\
                unknown.append(key)
""",
        new="""\
                deleted += 1
""",
    ),
)
