"""Tests of cluster.partition and cluster.membership."""
