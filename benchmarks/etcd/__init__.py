"""kvstore and etcd, the same work, alternately; see docs/benchmarks.md."""
