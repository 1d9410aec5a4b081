"""Sections of a batch that any replica may answer, as requests for the host."""

from __future__ import annotations

from typing import Final

from cluster.ids import Index
from kvstore.codec.limits import Limits
from kvstore.codec.read_level import decode_level_read
from kvstore.generated.kvstore.v1 import kv_pb2 as pb
from kvstore.replica.follower_reads import LevelRead, SessionRead, StaleRead
from kvstore.replica.requests import Reply

LEVEL_KINDS: Final = frozenset((pb.SECTION_KIND_READ_SESSION, pb.SECTION_KIND_READ_STALE))


def level_read(reply: Reply, slot: int, kind: int, body: bytes, limits: Limits) -> LevelRead:
    """The read in `body`, of one of LEVEL_KINDS; raises CodecError or InvalidArgument."""
    bound, keys = decode_level_read(body)
    for key in keys:
        limits.check_key(key)
    if kind == pb.SECTION_KIND_READ_SESSION:
        return SessionRead(reply, slot, keys, Index(bound))
    return StaleRead(reply, slot, keys, bound / 1000)
