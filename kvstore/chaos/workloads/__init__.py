"""The workloads, a class each: what clients ask, so that wrong answers can be told from right."""

from __future__ import annotations

from typing import Final

from kvstore.chaos.workloads.append import Appends
from kvstore.chaos.workloads.bank import Banks
from kvstore.chaos.workloads.base import Workload
from kvstore.chaos.workloads.counter import Counters
from kvstore.chaos.workloads.register import Registers
from kvstore.chaos.workloads.scan import Scans
from kvstore.chaos.workloads.set import Sets
from kvstore.errors import ConfigurationError

__all__ = ["WORKLOADS", "Workload", "workloads_named"]

WORKLOADS: Final[dict[str, type[Workload]]] = {
    each.name: each for each in (Registers, Counters, Banks, Sets, Appends, Scans)
}


def workloads_named(text: str) -> tuple[str, ...]:
    """The names in "register,bank"; raises ConfigurationError for one unknown, or for none."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in WORKLOADS:
            known = ", ".join(WORKLOADS)
            raise ConfigurationError(f"workload names {name!r}; it must be one of {known}")
    if not names:
        raise ConfigurationError("workload names none; without one there is nothing to judge")
    return names
