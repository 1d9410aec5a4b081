"""Clusters of real node processes on this machine: for development, demonstrations and tests."""

from __future__ import annotations

from kvstore.local.cluster import LocalCluster, NodeReport
from kvstore.local.processes import ProcessState

__all__ = ["LocalCluster", "NodeReport", "ProcessState"]
