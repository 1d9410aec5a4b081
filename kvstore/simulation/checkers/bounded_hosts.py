"""Nothing of a host grows without bound: requests, what waits for the disk, logs in memory.

At the end, with nothing under way, nothing may be counted either.
"""

from __future__ import annotations

from typing import Final

from kvstore.replica.log_pipeline import RECORD_BYTES_AIM
from kvstore.replica.scrubber import READINGS_MAX
from kvstore.simulation.checkers.checker import Checker
from kvstore.simulation.checkers.observed import Cluster, Node
from kvstore.simulation.checkers.violation import Violation

_INVARIANT: Final = "bounded hosts"
_BATCH_BYTES_MAX: Final = 64 << 20
"""One batch is admitted whatever its size, which the transport bounds."""
_BUNDLES_PER_GROUP_MAX: Final = 4096
"""While a disk stalls, a group gets no more than a window of appends, and some heartbeats."""


class BoundedHosts(Checker):
    """See the module."""

    def on_round(self, node: Node) -> None:
        """See Checker."""
        host = node.host
        admission, limits = host.admission, host.admission.limits
        if admission.requests < 0 or admission.bytes < 0:
            raise self._violation(node, "more requests have left than had entered")
        if admission.bytes > max(limits.bytes_max, _BATCH_BYTES_MAX):
            raise self._violation(node, f"{admission.bytes} bytes of requests are under way")
        if host.scrubber.readings > READINGS_MAX:
            raise self._violation(node, f"{host.scrubber.readings} views of scrubs are open")
        waiting = host.pipeline.waiting
        if waiting > _BUNDLES_PER_GROUP_MAX * len(host.replicas):
            raise self._violation(node, f"{waiting} bundles wait for the disk")

    def on_persisted(self, node: Node) -> None:
        """See Checker."""
        host = node.host
        # What is not yet applied or written cannot be forgotten, nor the last record.
        kept_bytes_max = host.config.uncommitted_bytes_max + 2 * RECORD_BYTES_AIM
        for group, replica in host.replicas.items():
            cached = replica.log.cached_bytes
            if cached > replica.log.cached_bytes_max + kept_bytes_max:
                raise self._violation(node, f"{cached} bytes of group {group}'s log are in memory")

    def at_end(self, cluster: Cluster) -> None:
        """See Checker."""
        for node in cluster.nodes:
            host = node.host
            counts = {
                "requests": host.admission.requests,
                "bytes of requests": host.admission.bytes,
                "bundles on their way to the disk": host.pipeline.waiting,
            }
            for group, replica in host.replicas.items():
                waiting = len(replica.waiting_reads) + len(replica.waiting_writes)
                counts[f"requests that wait in group {group}"] = waiting
            for what, count in counts.items():
                if count:
                    raise self._violation(node, f"at rest, there are {count} {what}")

    def _violation(self, node: Node, detail: str) -> Violation:
        return Violation(_INVARIANT, f"replica {node.replica_id}: {detail}")
