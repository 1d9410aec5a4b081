"""Loads on a cluster, and what came of them: the engine of `kvstore bench` and of `benchmarks/`.

Read in this order: `generators` choose keys, `workloads` choose operations by published mixes,
`pacing` says when they are due, `load` does them and `outcome` keeps what came of it in
`histogram`s; `processes` has several client processes do so at once; `plot` draws it.
"""
