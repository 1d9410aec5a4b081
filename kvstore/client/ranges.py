"""Which keys a scan, a count or a deletion is about, and in which direction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kvstore.client.arguments import checked_limit, optional_bytes
from kvstore.codec.byteslist import CodecError
from kvstore.codec.cursor import Cursor, decode_cursor
from kvstore.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Range:
    """The keys start ≤ key < end, in byte order; at most `limit` of them."""

    start: bytes
    end: bytes | None
    """None: to the last key."""
    limit: int | None
    keys_only: bool = False
    reverse: bool = False
    """From the last key down to the first."""

    @property
    def is_empty(self) -> bool:
        """No key can be in it."""
        return self.limit == 0 or (self.end is not None and self.end <= self.start)

    def beyond(self, key: bytes) -> Range:
        """What is left of it when `key` was the last one that was given."""
        if self.reverse:
            return replace(self, end=key)
        return replace(self, start=key + b"\0")


def range_of(
    prefix: bytes | None,
    start: bytes | None,
    end: bytes | None,
    limit: int | None,
    keys_only: bool,
    *,
    reverse: bool = False,
) -> Range:
    """The range of keys that begin with `prefix` and are in start ≤ key < end, where given."""
    lowest = start or b""
    if prefix:
        lowest = max(lowest, prefix)
        after = after_prefix(prefix)
        if after is not None:
            end = after if end is None else min(end, after)
    return Range(lowest, end, limit, keys_only, reverse)


def after_prefix(prefix: bytes) -> bytes | None:
    """The first key after all that begin with `prefix`; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


def asked_range(
    prefix: bytes | str | None,
    start: bytes | str | None,
    end: bytes | str | None,
    limit: int | None = None,
    *,
    keys_only: bool = True,
    reverse: bool = False,
) -> Range:
    """`range_of` what a caller handed in; raises InvalidArgument that names what is wrong."""
    return range_of(
        optional_bytes("prefix", prefix),
        optional_bytes("start", start),
        optional_bytes("end", end),
        checked_limit(limit),
        keys_only,
        reverse=checked_flag("reverse", reverse),
    )


def asked_scan(
    prefix: bytes | str | None,
    start: bytes | str | None,
    end: bytes | str | None,
    limit: int | None,
    cursor: str | None,
    *,
    keys_only: bool,
    reverse: bool,
) -> tuple[Range, Cursor | None]:
    """The range of a scan; with a cursor, the one that it has: raises InvalidArgument where another
    is given beside it, or where it is none."""
    if cursor is None:
        return asked_range(prefix, start, end, limit, keys_only=keys_only, reverse=reverse), None
    if prefix is not None or start is not None or end is not None or reverse:
        raise InvalidArgument(
            "cursor is given together with prefix, start, end or reverse; a cursor has its scan's "
            "range and direction: give it alone"
        )
    found = _decoded(cursor)
    return Range(found.start, found.end, checked_limit(limit), keys_only, found.reverse), found


def pinned_view(cursor: str, cluster_id: str) -> int:
    """The view of a pinned cursor; raises InvalidArgument where it is none of that cluster."""
    found = _decoded(cursor)
    if not found.view:
        raise InvalidArgument("the cursor is of no consistent scan that was pinned")
    if found.cluster_id != cluster_id:
        raise InvalidArgument(f"the cursor is of cluster {found.cluster_id}, not {cluster_id}")
    return found.view


def _decoded(cursor: object) -> Cursor:
    if not isinstance(cursor, str):
        raise InvalidArgument(f"cursor must be a str, not {type(cursor).__name__}")
    try:
        return decode_cursor(cursor)
    except CodecError as problem:
        raise InvalidArgument(f"the cursor cannot be used: {problem}") from problem


def checked_flag(name: str, value: object) -> bool:
    """`value` as True or False; else InvalidArgument."""
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name} must be True or False, not {type(value).__name__}")
    return value
