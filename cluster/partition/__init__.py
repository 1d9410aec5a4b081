"""Which nodes hold which part of the data, and who should lead it.

Read in this order: `ranges` cuts the hash space, `ring` says which nodes should hold a range,
`map` is what the cluster has agreed on, `placement` makes the first map and decides hand-overs of
leadership, `meta` is the state machine through which every later map comes about, `regrouping` how
a group's members follow it.
"""
