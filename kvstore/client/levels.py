"""What a read may be asked to promise (docs/consistency.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from kvstore.codec.read_level import U64_MAX
from kvstore.errors import InvalidArgument

STALENESS_S_MAX: Final = 86_400.0


@unique
class Consistency(StrEnum):
    """The levels, the strongest first; their names may be given instead of them."""

    LINEARIZABLE = "linearizable"
    """Sees every write that was acknowledged before the read began. Served by the leader."""
    SESSION = "session"
    """Sees what this client has written, and nothing older than what it has read: from any replica.
    """
    STALE = "stale"
    """Of a bounded age, from any replica. Asked for as Stale(…), which names the bound."""


@dataclass(frozen=True, slots=True)
class Stale:
    """Sees every write that was acknowledged more than `max_staleness_s` before the read began.

    Raises InvalidArgument unless that is from 0 to STALENESS_S_MAX; it counts in milliseconds.
    """

    max_staleness_s: float

    def __post_init__(self) -> None:
        value: object = self.max_staleness_s
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidArgument(f"max_staleness_s must be a number, not {type(value).__name__}")
        if not (math.isfinite(value) and 0 <= value <= STALENESS_S_MAX):
            raise InvalidArgument(
                f"max_staleness_s is {value}; it must be 0 to {STALENESS_S_MAX:g}"
            )


@dataclass(frozen=True, slots=True)
class Seen:
    """A session read for those who keep account by themselves: sees all up to `indexes`.

    By partition, the greatest index of what they were answered (`Receipt.index`); of a partition
    that is not named they have seen nothing. Raises InvalidArgument where they cannot be.
    """

    indexes: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        indexes: object = self.indexes
        if not isinstance(indexes, Mapping):
            raise InvalidArgument(f"indexes must be a mapping, not {type(indexes).__name__}")
        for partition, index in indexes.items():
            for name, number in (("partition", partition), ("index", index)):
                if isinstance(number, bool) or not isinstance(number, int):
                    kind = type(number).__name__
                    raise InvalidArgument(f"indexes: {name} must be an int, not {kind}")
                if not 0 <= number <= U64_MAX:
                    raise InvalidArgument(f"indexes: {name} is {number}; it must be 0 to {U64_MAX}")


Level = Consistency | Stale | Seen | str
"""What callers give: a level, or the name of one."""


def checked_level(level: object) -> Consistency | Stale | Seen:
    """`level` as one that says all; raises InvalidArgument."""
    if isinstance(level, Stale | Seen):
        return level
    names = ", ".join(repr(each.value) for each in (Consistency.LINEARIZABLE, Consistency.SESSION))
    if level == Consistency.STALE:
        raise InvalidArgument("consistency is 'stale'; say how old: Stale(max_staleness_s=…)")
    if isinstance(level, str) and level in (Consistency.LINEARIZABLE, Consistency.SESSION):
        return Consistency(level)
    raise InvalidArgument(f"consistency is {level!r}; it must be {names}, Stale(…) or Seen(…)")
