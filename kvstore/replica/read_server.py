"""Answers linearizable reads once they were confirmed and their index is applied."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.ids import GroupId
from kvstore.codec.scan import ViewAction
from kvstore.replica.lookups import KEYS_AT_ONCE, encoded, found
from kvstore.replica.replica import Replica
from kvstore.replica.requests import Answer, Status
from kvstore.replica.scan_views import ScanViews


class ReadServer:
    """See the module."""

    __slots__ = ("_replicas", "_views")

    def __init__(self, views: ScanViews, replicas: Mapping[GroupId, Replica]) -> None:
        self._views = views
        self._replicas = replicas

    def serve(self, replica: Replica) -> None:
        """Answers the reads of `replica` that may be served, with one multi-get where they are not
        many."""
        state = replica.state
        if state is None:
            return
        requests = replica.take_readable()
        keys: list[bytes] = []
        for request in requests:
            keys += request.keys
        at_once = len(keys) <= KEYS_AT_ONCE
        records = state.get_many(keys) if keys and at_once else []
        position = 0
        where = state.applied_index, state.term, state.revision
        for request in requests:
            scan = request.scan
            if scan is not None and scan.view_action is ViewAction.OPEN:
                opened = self._views.open(replica.group, state, scan, len(self._replicas))
                request.settle(opened)
                continue
            if scan is None and at_once:
                end = position + len(request.keys)
                result = encoded(records[position:end])
                position = end
            else:
                result = found(state, request)
            request.settle(Answer(Status.OK, result, "", None, *where))
