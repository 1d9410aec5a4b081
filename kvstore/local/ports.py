"""Ports of local nodes: free when asked, and not likely to be taken while a node is down."""

from __future__ import annotations

import random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from kvstore.errors import ConfigurationError

_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST: Final = 10_000
_LAST: Final = 65_535
_TRIES_MAX: Final = 1000


def is_free(host: str, port: int) -> bool:
    """Whether a node could listen on `host`:`port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the node does: connections of an earlier process that linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_ports(host: str, count: int) -> list[int]:
    """`count` different free ports; raises ConfigurationError when there are none.

    Outside the range from which the system numbers outgoing connections: one of those could take
    the port of a node that is down for a moment.
    """
    candidates = _outside_ephemeral()
    found: list[int] = []
    for _ in range(_TRIES_MAX):
        if len(found) == count:
            return found
        port = random.choice(candidates)
        if port not in found and is_free(host, port):
            found.append(port)
    raise ConfigurationError(f"{count} free ports were not found on {host}; name a --base-port")


def consecutive_ports(base_port: int, count: int) -> list[int]:
    """The `count` ports from `base_port` on; raises ConfigurationError beyond the last port."""
    if not 1 <= base_port <= _LAST - count + 1:
        raise ConfigurationError(
            f"base-port is {base_port}; for {count} nodes the limit is 1 to {_LAST - count + 1}"
        )
    return list(range(base_port, base_port + count))


def _outside_ephemeral() -> list[int]:
    low, high = 32_768, 60_999
    with suppress(OSError, ValueError):
        low, high = map(int, _EPHEMERAL.read_text().split())
    outside = [port for port in range(_FIRST, _LAST + 1) if not low <= port <= high]
    return outside or list(range(_FIRST, _LAST + 1))
