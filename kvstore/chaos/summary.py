"""What a run came to, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Summary:
    """See the module. Recoveries in milliseconds."""

    operations: int = 0
    done: int = 0
    refused: int = 0
    """That certainly had no effect."""
    unknown: int = 0
    reads: Counter[str] = field(default_factory=Counter)
    """That were answered, by level of consistency."""
    faults: Counter[str] = field(default_factory=Counter)
    """By kind."""
    errors: Counter[str] = field(default_factory=Counter)
    since_begin_ms: list[float] = field(default_factory=list)
    """From a fault's beginning until all partitions took writes again, while it lasted."""
    since_end_ms: list[float] = field(default_factory=list)
    """From its end."""
    election_timeout_ms: int = 0
    leader_changes: int = 0
    interrupted: bool = False
    trouble: str | None = None
    """Why the run ended early, or is worth less than it seems; None: nothing happened."""
    read_back: bool = False
    """Everything was read back."""


def quantile(values: Sequence[float], fraction: float) -> float | None:
    """The smallest value that is not below so many of them; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]
