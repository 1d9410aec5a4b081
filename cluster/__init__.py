"""What the cluster decides: consensus, partitioning, membership.

Pure: no I/O, no clock, no threads and no randomness of its own. Time comes in as ticks, chance as a
`random.Random`, and what has to be done goes out as values. `kvstore` does it.
"""
