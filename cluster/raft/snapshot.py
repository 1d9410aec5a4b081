"""What the core knows of a snapshot (dissertation chapter 5): where it stands, never what is in it.

A snapshot is the applied state as of one index. It stands for the log up to there, so that a log
can be compacted, and is sent to a follower that needs what was (5.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.ids import Index, Term
from cluster.raft.configuration import Configuration


@dataclass(frozen=True, slots=True)
class SnapshotMeta:
    """The last entry that a snapshot covers, and the configuration as of it."""

    index: Index
    term: Term
    configuration: Configuration
