"""Answers linearizable reads once they were confirmed and their index is applied."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.ids import GroupId
from kvstore.codec.byteslist import encode_optional_list
from kvstore.codec.scan import Scan, ViewAction, encode_page
from kvstore.replica.replica import Replica
from kvstore.replica.requests import Answer, Status
from kvstore.replica.scan_views import ScanViews
from kvstore.storage.partition_state import PartitionState


class ReadServer:
    """See the module."""

    __slots__ = ("_replicas", "_views")

    def __init__(self, views: ScanViews, replicas: Mapping[GroupId, Replica]) -> None:
        self._views = views
        self._replicas = replicas

    def serve(self, replica: Replica) -> None:
        """Answers the reads of `replica` that may be served, with one multi-get."""
        state = replica.state
        if state is None:
            return
        requests = list(replica.readable())
        keys = [key for request in requests for key in request.keys]
        records = state.get_many(keys) if keys else []
        position = 0
        where = state.applied_index, state.term, state.revision
        for request in requests:
            if request.scan is not None:
                request.settle(self._scanned(replica.group, state, request.scan))
                continue
            end = position + len(request.keys)
            result = encode_optional_list(records[position:end])
            position = end
            request.settle(Answer(Status.OK, result, "", None, *where))

    def _scanned(self, group: GroupId, state: PartitionState, scan: Scan) -> Answer:
        if scan.view_action is ViewAction.OPEN:
            return self._views.open(group, state, scan, len(self._replicas))
        where = state.applied_index, state.term, state.revision
        return Answer(Status.OK, encode_page(state.scan(scan)), "", None, *where)
