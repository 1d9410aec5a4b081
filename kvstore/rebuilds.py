"""How often a node may rebuild itself: a disk that rots again and again is not to be trusted.

Each rebuild costs the others a copy of all that the node holds, and the cluster has a copy less
until it is done. So they are counted in the data directory, and beyond a bound the node stays out
until it is given another disk. What counts as again is told by ticks of a node at work, not by a
wall clock: after some hours without damage the count begins anew.
"""

from __future__ import annotations

from typing import Final

import structlog

from kvstore.data_directory import DataDirectory
from kvstore.errors import ConfigurationError

REBUILDS_FORGOTTEN_S: Final = 6 * 3600
"""How long a node has to run without damage."""

_log: Final = structlog.get_logger("kvstore.node")


def check_rebuilds(directory: DataDirectory, rebuilds_max: int) -> None:
    """Raises ConfigurationError where the damaged data of `directory` must not be replaced again;
    nothing is changed then."""
    damage, rebuilds = directory.damage, directory.rebuilds
    if damage is None or rebuilds < rebuilds_max:
        return
    raise ConfigurationError(
        f"node {directory.node_id} stays out: its data in {directory.path} are damaged"
        f" ({damage.reason}), and were rebuilt {rebuilds} times before, without {_hours()} hours in"
        f" a row free of damage since; rebuilds-max is {rebuilds_max}. Its disk is not to be"
        " trusted: start the node with --rejoin and an empty data directory on another disk"
    )


class RebuildWatch:
    """Begins the count anew once the node has run long enough. Works by ticks."""

    __slots__ = ("_directory", "_left_ticks")

    def __init__(self, directory: DataDirectory, tick_ms: int) -> None:
        self._directory = directory
        self._left_ticks = REBUILDS_FORGOTTEN_S * 1000 // tick_ms

    def tick(self) -> None:
        """Raises ConfigurationError when the data directory cannot be written."""
        if self._left_ticks == 0:
            return
        self._left_ticks -= 1
        if self._left_ticks == 0 and self._directory.rebuilds:
            self._directory.forget_rebuilds()
            _log.info("no damage for a long time: rebuilds are counted anew", hours=_hours())


def _hours() -> int:
    return REBUILDS_FORGOTTEN_S // 3600
