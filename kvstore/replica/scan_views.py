"""Views that consistent scans read from: of one partition each, as it was when the scan began.

The caller chooses the number, at random, so that a question that is asked again because its answer
was lost finds the view that it opened. A view is let go of when the caller says so, or when nothing
was asked of it for a while: callers vanish without a word. It stays what it was when the leadership
goes; but who looks for the leader looks for it at another node then.
"""

from __future__ import annotations

from typing import Final

from cluster.ids import GroupId
from kvstore.codec.scan import Page, Scan, ViewAction, encode_page
from kvstore.replica.requests import Answer, Status
from kvstore.storage.partition_state import PartitionState
from kvstore.storage.partition_view import PartitionView

VIEWS_MAX: Final = 64
"""Of one node, or two for each of its partitions where that is more: a view keeps what is deleted
meanwhile from being given back to the disk."""
IDLE_TICKS_MAX: Final = 600
"""Without a question; 30 s with the usual tick of 50 ms."""

GONE: Final = Answer(
    Status.EXPIRED,
    detail="the view that the scan reads from is gone: it was not asked for in time, the node "
    "restarted, or another one leads now. Begin the scan anew",
)
_NOTHING: Final = Page((), (), more=False)
CLOSED: Final = Answer(Status.OK, encode_page(_NOTHING))


class ScanViews:
    """See the module. Time is in ticks."""

    __slots__ = ("_ticks", "_views")

    def __init__(self) -> None:
        self._ticks = 0
        # The one that was asked last stands last.
        self._views: dict[tuple[GroupId, int], tuple[PartitionView, int]] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._views)

    def open(self, group: GroupId, state: PartitionState, scan: Scan, groups: int) -> Answer:
        """The first page, from a view of what is in `state` now, unless there is one already.
        `groups` are on this node. To be called when a read of `state` would be linearizable."""
        if (group, scan.view) not in self._views:
            views_max = max(VIEWS_MAX, 2 * groups)
            if len(self._views) >= views_max:
                detail = f"{views_max} views are being read from this node by scans already"
                return Answer(Status.OVERLOADED, detail=detail)
            self._views[group, scan.view] = state.view(scan.start, scan.end), self._ticks
        return self.answer(group, scan)

    def answer(self, group: GroupId, scan: Scan) -> Answer:
        """What is asked of a view that was opened before."""
        key = (group, scan.view)
        found = self._views.pop(key, None)
        if found is None:
            return CLOSED if scan.view_action is ViewAction.CLOSE else GONE
        view, _last = found
        if scan.view_action is ViewAction.CLOSE:
            view.close()
            return CLOSED
        self._views[key] = view, self._ticks
        page = _NOTHING if scan.view_action is ViewAction.KEEP else view.scan(scan)
        return Answer(Status.OK, encode_page(page))

    def tick(self) -> None:
        """Time passes: lets go of those that nothing is asked of."""
        self._ticks += 1
        while self._views:
            key, (view, last) = next(iter(self._views.items()))
            if self._ticks - last <= IDLE_TICKS_MAX:
                return
            del self._views[key]
            view.close()

    def close(self) -> None:
        """Lets go of all."""
        while self._views:
            self._views.popitem()[1][0].close()
