"""A log entry for people: its kind, and what it does, shortened."""

from __future__ import annotations

from typing import Final

from cluster.ids import META_GROUP, GroupId
from cluster.raft import Configuration, decode_configuration
from cluster.raft.messages import Entry, EntryKind
from kvstore.codec.byteslist import CodecError
from kvstore.codec.command import Command, OperationKind, decode_command
from kvstore.codec.scrub import is_mark
from kvstore.codec.text import to_cell, to_json

EntryText = tuple[int, int, str, int, str]
"""Index, term, kind, size in bytes, and what it does."""

_OPERATIONS_MAX: Final = 4
_BYTES_MAX: Final = 60


def entry_text(entry: Entry, group: GroupId) -> EntryText:
    """`entry` of `group` as a row."""
    return entry.index, entry.term, _kind(entry), len(entry.data), _what(entry, group)


def entry_json(entry: Entry, group: GroupId) -> dict[str, object]:
    """`entry` of `group` as an object; keys in it are shortened too."""
    record: dict[str, object] = {
        "index": entry.index,
        "term": entry.term,
        "kind": _kind(entry),
        "bytes": len(entry.data),
    }
    command = _command(entry, group)
    if command is None:
        return {**record, "what": _what(entry, group)}
    operations = [
        {
            "operation": OperationKind(kind).name.lower(),
            "key": to_json(key[:_BYTES_MAX]),
            "key_bytes": len(key),
            "argument_bytes": len(argument),
        }
        for kind, key, argument in _first_operations(command)
    ]
    return {**record, "operation_count": len(command.keys), "operations": operations}


def _kind(entry: Entry) -> str:
    return entry.kind.name.lower()


def _what(entry: Entry, group: GroupId) -> str:
    if entry.kind is EntryKind.MEMBERSHIP:
        return _membership(entry.data)
    if not entry.data:
        return "a new leader's first entry"
    if is_mark(entry):
        return "a scrub's mark"
    if group == META_GROUP:
        return _short(entry.data)
    command = _command(entry, group)
    if command is None:
        return f"no command that is known here: {entry.data[:16].hex()}"
    parts = [
        f"{OperationKind(kind).name.lower()} {_short(key)}"
        + (f" ({len(argument)} bytes)" if kind == OperationKind.PUT else "")
        for kind, key, argument in _first_operations(command)
    ]
    more = len(command.keys) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more else "")


def _command(entry: Entry, group: GroupId) -> Command | None:
    """What a partition's entry does; None when it is no command."""
    if group == META_GROUP or entry.kind is not EntryKind.NORMAL or not entry.data:
        return None
    try:
        return decode_command(entry.data)
    except CodecError:
        return None


def _first_operations(command: Command) -> list[tuple[int, bytes, bytes]]:
    some = slice(_OPERATIONS_MAX)
    return list(zip(command.kinds[some], command.keys[some], command.arguments[some], strict=True))


def _membership(data: bytes) -> str:
    try:
        configuration: Configuration = decode_configuration(data)
    except ValueError:
        return f"no membership that is known here: {data[:16].hex()}"
    sets = (
        ("voters", configuration.voters),
        ("outgoing", configuration.outgoing),
        ("learners", configuration.learners),
        ("demoted", configuration.demoted),
    )
    return ", ".join(f"{name} {' '.join(map(str, sorted(some)))}" for name, some in sets if some)


def _short(data: bytes) -> str:
    return to_cell(data[:_BYTES_MAX]) + ("…" if len(data) > _BYTES_MAX else "")
