"""The network of local nodes as network namespaces, broken by iptables: as root, on Linux."""

from __future__ import annotations
