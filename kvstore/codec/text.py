"""Bytes as text and back: in JSON, and in cells of tables.

In JSON, bytes that are UTF-8 are a string, and any others {"base64": "…"}.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

JsonText = str | dict[str, str]
_CONTROLS: Final = {c: f"\\x{c:02x}" for c in (*range(32), 127, *range(128, 160))}


def to_json(data: bytes) -> JsonText:
    """`data` as it stands in JSON."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def from_json(value: object, name: str) -> bytes:
    """The bytes that `to_json` made `value` of; raises ValueError that names `name`."""
    match value:
        case str():
            try:
                return value.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{name} has half of a surrogate pair") from None
        case {"base64": str(encoded), **others} if not others:
            try:
                return base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                raise ValueError(f"{name} is not valid base64") from None
    raise ValueError(f'{name} is neither a string nor {{"base64": "…"}}')


def to_cell(data: bytes) -> str:
    """`data` for people: what is not text, or would move the cursor, is escaped."""
    return data.decode(errors="backslashreplace").translate(_CONTROLS)
