"""All planted bugs, a file for each area or two. What is caught by what: docs/testing.md."""

from __future__ import annotations

from typing import Final

from tools.mutants.catalogue.answers import ANSWERS
from tools.mutants.catalogue.backups import BACKUPS
from tools.mutants.catalogue.changes import CHANGES
from tools.mutants.catalogue.clients import CLIENTS
from tools.mutants.catalogue.compaction import COMPACTION
from tools.mutants.catalogue.disks import DISKS
from tools.mutants.catalogue.elections import ELECTIONS
from tools.mutants.catalogue.exactly_once import EXACTLY_ONCE
from tools.mutants.catalogue.flow import FLOW
from tools.mutants.catalogue.host import HOST
from tools.mutants.catalogue.joint import JOINT
from tools.mutants.catalogue.leases import LEASES
from tools.mutants.catalogue.levels import LEVELS
from tools.mutants.catalogue.lives import LIVES
from tools.mutants.catalogue.log_store import LOG_STORE
from tools.mutants.catalogue.membership import MEMBERSHIP
from tools.mutants.catalogue.partitioning import PARTITIONING
from tools.mutants.catalogue.quiet import QUIET
from tools.mutants.catalogue.reads import READS
from tools.mutants.catalogue.replication import REPLICATION
from tools.mutants.catalogue.scans import SCANS
from tools.mutants.catalogue.scrubs import SCRUBS
from tools.mutants.catalogue.sessions import SESSIONS
from tools.mutants.catalogue.snapshots import SNAPSHOTS
from tools.mutants.catalogue.state_machine import STATE_MACHINE
from tools.mutants.catalogue.storage import STORAGE
from tools.mutants.catalogue.transport import TRANSPORT
from tools.mutants.mutation import Mutation, PlantingError

CATALOGUE: Final[tuple[Mutation, ...]] = (
    *ELECTIONS,
    *QUIET,
    *REPLICATION,
    *FLOW,
    *READS,
    *LEASES,
    *LEVELS,
    *MEMBERSHIP,
    *JOINT,
    *SNAPSHOTS,
    *COMPACTION,
    *STORAGE,
    *DISKS,
    *LOG_STORE,
    *STATE_MACHINE,
    *HOST,
    *CLIENTS,
    *ANSWERS,
    *SESSIONS,
    *CHANGES,
    *EXACTLY_ONCE,
    *PARTITIONING,
    *BACKUPS,
    *SCRUBS,
    *SCANS,
    *LIVES,
    *TRANSPORT,
)

_BY_NAME: Final = {mutation.name: mutation for mutation in CATALOGUE}


def find(name: str) -> Mutation:
    """The mutation called `name`; raises PlantingError when there is none."""
    mutation = _BY_NAME.get(name)
    if mutation is None:
        raise PlantingError(f"there is no mutant {name!r}; `--list` names them")
    return mutation
