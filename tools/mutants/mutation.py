"""What a planted bug is: a name, the mistake, and one piece of source text in place of another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum, unique


class PlantingError(Exception):
    """A mutation that cannot be planted as the catalogue says; nothing was run."""


@unique
class Area(Enum):
    """What a mistake is about; says which checks have to find it (`trial`)."""

    ELECTIONS = "elections"
    REPLICATION = "replication"
    READS = "reads"
    MEMBERSHIP = "membership"
    SNAPSHOTS = "snapshots"
    COMPACTION = "compaction"
    STORAGE = "storage"
    STATE_MACHINE = "state machine"
    HOST = "host"
    CLIENTS = "clients"
    PARTITIONING = "partitioning"
    BACKUPS = "backups"
    SCRUBS = "scrubs"
    SCANS = "scans"
    TRANSPORT = "transport"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mistake that a good engineer could have made."""

    name: str
    """Lower-case words with hyphens: what the code does wrong."""
    area: Area
    mistake: str
    """What is wrong, and what comes of it, in one sentence."""
    seen: str
    """Where it was made, or the rule that it breaks."""
    path: str
    """The module's file, relative to the repository."""
    old: str
    """Whole lines that stand exactly once in the module."""
    new: str
    """What stands there instead."""
    cannot_matter: str = ""
    """Why no check can find it; empty for all that must be found."""

    @property
    def module(self) -> str:
        """The name under which the mutated module is imported."""
        return self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")

    @property
    def digest(self) -> str:
        """Tells one text of a mutation from another."""
        return hashlib.sha256(f"{self.path}\0{self.old}\0{self.new}".encode()).hexdigest()[:16]

    def mutate(self, source: str) -> str:
        """`source` with the mistake in it; raises PlantingError unless `old` is there once."""
        count = source.count(self.old)
        if count != 1:
            raise PlantingError(
                f"{self.name}: the text to replace stands {count} times in {self.path}, not once:"
                f"\n{self.old}"
            )
        return source.replace(self.old, self.new)
