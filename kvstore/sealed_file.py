"""Small files that a node keeps beside its data: JSON with a checksum, put in place in one step.

How the checksum is made holds for all formats, so that damage is told from a newer one.
"""

from __future__ import annotations

import json
import posixpath
from typing import Any, Final

import google_crc32c

from kvstore.environment import FileSystem

UNFINISHED: Final = ".new"
"""Ends the name of a file that is not in place yet."""
BYTES_MAX: Final = 1 << 16
"""Of such a file; what is longer is damaged."""


class Damaged(Exception):
    """Bytes that are not what they should be; the message ends a sentence."""


def seal(fields: dict[str, object]) -> bytes:
    """`fields`, with their checksum, as a file that holds them."""
    return (json.dumps({**fields, "crc32c": checksum(fields)}, indent=2) + "\n").encode()


def unseal(data: bytes) -> dict[str, Any]:
    """The fields in a file's bytes, once their checksum is right; raises Damaged."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as problem:
        raise Damaged("it is not JSON") from problem
    if not isinstance(fields, dict):
        raise Damaged("it is not a JSON object")
    if fields.pop("crc32c", None) != checksum(fields):
        raise Damaged("its checksum is wrong")
    return fields


def checksum(fields: dict[str, object]) -> str:
    """CRC-32C, in hexadecimal, of the fields as JSON with sorted names and no spaces."""
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return f"{google_crc32c.value(canonical.encode()):08x}"


def read_file(files: FileSystem, path: str, bytes_max: int = BYTES_MAX) -> bytes:
    """The first bytes of the file at `path`, at most so many. Raises OSError."""
    file = files.open(path)
    try:
        return file.pread(bytes_max, 0)
    finally:
        file.close()


def write_file(files: FileSystem, folder: str, name: str, content: bytes) -> None:
    """Puts a file in place in one step: a crash leaves the old one or the new one. It is on stable
    storage when this returns. Raises OSError."""
    unfinished = posixpath.join(folder, name + UNFINISHED)
    if files.exists(unfinished):
        files.remove(unfinished)
    file = files.open(unfinished, create=True)
    try:
        file.pwritev((content,), 0)
        file.sync()
    finally:
        file.close()
    files.rename(unfinished, posixpath.join(folder, name))
    files.sync_folder(folder)
