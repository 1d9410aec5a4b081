"""Damage to the files of a node, as bad disks do it: by file, kind of damage and seed."""

from __future__ import annotations

from enum import StrEnum, unique
from pathlib import Path
from random import Random
from typing import Final

from kvstore.commitlog.survey import LogSurveyor
from kvstore.system import SystemFileSystem

PAGE_BYTES: Final = 4096
_FLIPS: Final = 64


@unique
class Kind(StrEnum):
    """What happens to a file."""

    FLIP = "bit flipped"
    FLIPS = f"{_FLIPS} bits flipped"
    ZEROED_PAGE = "page zeroed"
    TRUNCATED = "truncated"
    DELETED = "deleted"


@unique
class Place(StrEnum):
    """Which file of a data directory, or which part of it."""

    OLD_SEGMENT = "older log segment"
    LAST_SEGMENT = "last log segment"
    LOG_END = "end of the log"
    """The last batch that was written: what follows it proves nothing."""
    SPARE_SEGMENT = "spare log segment"
    LOG_MARK = "log mark"
    TABLE = "engine table"
    MANIFEST = "engine MANIFEST"
    CURRENT = "engine CURRENT"
    ENGINE_OTHER = "engine, other files"
    IDENTITY = "IDENTITY"
    OTHER = "other files"


def places(data: Path) -> dict[Place, list[Path]]:
    """The files below a node's data directory that can be damaged; set-aside ones are no data."""
    segments = sorted((data / "log").glob("*.segment"))
    engine = sorted((data / "engine").iterdir()) if (data / "engine").exists() else []
    found: dict[Place, list[Path]] = {place: [] for place in Place}
    found[Place.OLD_SEGMENT] = segments[:-1]
    found[Place.LAST_SEGMENT] = found[Place.LOG_END] = segments[-1:]
    for path in sorted((data / "log").iterdir()):
        if path not in segments:
            is_spare = path.suffix == ".spare"
            found[Place.SPARE_SEGMENT if is_spare else Place.LOG_MARK].append(path)
    for path in engine:
        found[_engine_place(path.name)].append(path)
    for path in sorted(data.iterdir()):
        if path.is_file():
            place = Place.IDENTITY if path.name == "IDENTITY" else Place.OTHER
            found[place].append(path)
    return {place: paths for place, paths in found.items() if paths}


def _engine_place(name: str) -> Place:
    if name.endswith(".sst"):
        return Place.TABLE
    if name.startswith("MANIFEST"):
        return Place.MANIFEST
    return Place.CURRENT if name == "CURRENT" else Place.ENGINE_OTHER


def last_batch(data: Path) -> tuple[int, int, int]:
    """Of the log of a stopped node: the number of the last whole batch, where it begins in the last
    segment, and where it ends."""
    surveyor = LogSurveyor(SystemFileSystem(), str(data / "log"))
    begins = 0

    def note(_record: object, position: object) -> None:
        nonlocal begins
        begins = position.offset  # type: ignore[attr-defined]

    try:
        survey = surveyor.survey(note)
    finally:
        surveyor.close()
    last = survey.segments[-1]
    return last.last_batch or 0, begins, last.used


def damage(path: Path, kind: Kind, random: Random, within: tuple[int, int] | None = None) -> str:
    """Damages one file, in place or by its name, between two offsets or anywhere; says how."""
    if kind is Kind.DELETED:
        path.unlink()
        return f"{path.name} deleted"
    with path.open("r+b", buffering=0) as file:
        size = path.stat().st_size
        low, high = within or (0, size)
        if size == 0 or low >= high:
            return f"{path.name} is empty"
        if kind is Kind.TRUNCATED:
            length = random.randrange(low, high)
            file.truncate(length)
            return f"{path.name} cut to {length} of {size} bytes"
        if kind is Kind.ZEROED_PAGE:
            start = random.randrange(low, high) // PAGE_BYTES * PAGE_BYTES
            file.seek(start)
            file.write(bytes(min(PAGE_BYTES, size - start)))
            return f"{path.name}: page at {start} zeroed"
        count = 1 if kind is Kind.FLIP else _FLIPS
        offsets = [random.randrange(low, high) for _ in range(count)]
        for offset in offsets:
            file.seek(offset)
            (byte,) = file.read(1)
            file.seek(offset)
            file.write(bytes([byte ^ 1 << random.randrange(8)]))
        return f"{path.name}: {kind} from byte {min(offsets)} on"
