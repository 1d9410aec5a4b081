"""The report of a chaos run: what was done to a cluster, what its clients saw, and the verdict.

Reads the directory that a run leaves (docs/format-chaos-run.md), and knows nothing of clusters.
"""
