"""Chaos: a workload and faults on a real cluster, everything recorded, and a verdict on it.

A run puts load on a cluster, breaks it as a seed says, heals it, reads everything back, and leaves
a folder from which the judge says whether the cluster kept its promises (docs/chaos.md).
"""
