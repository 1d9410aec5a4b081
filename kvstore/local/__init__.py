"""Clusters of real node processes on this machine: for development, demonstrations and tests."""

from __future__ import annotations

from kvstore.local.cluster import LocalCluster, NodeReport
from kvstore.local.processes import ProcessState
from kvstore.local.state import Place

__all__ = ["LocalCluster", "NodeReport", "Place", "ProcessState"]
