"""What a node has applied: the engine and the state machine on it. Synchronous.

Reading order: `engine` (the protocol), `keys` (every key in it), `partition_state` (what a
partition answers), `applier` (how a round of log entries changes it), `meta_state`.
"""
