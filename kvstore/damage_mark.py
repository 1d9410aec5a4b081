"""The mark on data that must not be used: why, and the life that will take the place of theirs.

It stands beside the data from the moment that damage is found until a new life has begun, however
often the node is started meanwhile (docs/format-data-directory.md).
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Final

from kvstore.environment import FileSystem
from kvstore.errors import ConfigurationError
from kvstore.sealed_file import Damaged, read_file, seal, unseal, write_file

DAMAGED_NAME: Final = "DAMAGED"
_FORMAT: Final = 2
"""Of the data directory that was the first to have such a mark."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Why a directory's data must not be used."""

    reason: str
    next_life: int
    """The token of the life that will take the place of this one."""


def read_damage(files: FileSystem, path: str) -> Damage | None:
    """Why the data at `path` must not be used; None where nothing says so. Changes nothing.

    Raises ConfigurationError where what says so is damaged itself: what follows from it must not
    be guessed.
    """
    file_path = posixpath.join(path, DAMAGED_NAME)
    if not files.exists(file_path):
        return None
    try:
        fields = unseal(read_file(files, file_path))
        if fields.get("format") != _FORMAT:
            raise Damaged(f"its format is {fields.get('format')}")
        return Damage(fields["reason"], fields["next_life"])
    except (KeyError, Damaged) as problem:
        raise ConfigurationError(
            f"{file_path}, which says that this node's data are damaged, is itself ({problem}):"
            " remove it, and the damage will be found again"
        ) from problem


def write_damage(files: FileSystem, path: str, damage: Damage) -> None:
    """Marks the data at `path`; on stable storage when this returns. Raises OSError."""
    fields = {"format": _FORMAT, "reason": damage.reason, "next_life": damage.next_life}
    write_file(files, path, DAMAGED_NAME, seal(fields))


def remove_damage(files: FileSystem, path: str) -> None:
    """Takes the mark away, for good: the life that it names has begun. Raises OSError."""
    files.remove(posixpath.join(path, DAMAGED_NAME))
    files.sync_folder(path)
