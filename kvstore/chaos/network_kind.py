"""By what the network of local nodes is broken."""

from __future__ import annotations

from enum import Enum, unique


@unique
class NetworkKind(Enum):
    """See the module; the values are those of `--network`."""

    PROXY = "proxy"
    NAMESPACES = "namespaces"
