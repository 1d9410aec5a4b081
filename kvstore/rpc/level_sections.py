"""Sections of a batch that any replica may answer, as requests for the host."""

from __future__ import annotations

from typing import Final

from cluster.ids import Index
from kvstore.codec.limits import Limits
from kvstore.codec.read_level import decode_level_read, split_bound
from kvstore.codec.scan import Scan, ViewAction, decode_scan
from kvstore.errors import InvalidArgument
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.replica.follower_reads import LevelRead, SessionRead, StaleRead
from kvstore.replica.requests import Reply

_SCANS: Final = frozenset((pb.SECTION_KIND_SCAN_SESSION, pb.SECTION_KIND_SCAN_STALE))
_SESSIONS: Final = frozenset((pb.SECTION_KIND_READ_SESSION, pb.SECTION_KIND_SCAN_SESSION))
LEVEL_KINDS: Final = frozenset((*_SCANS, pb.SECTION_KIND_READ_SESSION, pb.SECTION_KIND_READ_STALE))


def level_read(reply: Reply, slot: int, kind: int, body: bytes, limits: Limits) -> LevelRead:
    """The read in `body`, of one of LEVEL_KINDS; raises CodecError or InvalidArgument."""
    question: list[bytes] | Scan
    if kind in _SCANS:
        bound, encoded = split_bound(body)
        question = decode_scan(encoded)
        if question.view_action is not ViewAction.NONE:
            raise InvalidArgument("a scan of a view is linearizable; it has no lesser level")
    else:
        bound, question = decode_level_read(body)
        for key in question:
            limits.check_key(key)
    if kind in _SESSIONS:
        return SessionRead(reply, slot, question, Index(bound))
    return StaleRead(reply, slot, question, bound / 1000)
