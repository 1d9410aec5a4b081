"""The judge: whether what clients saw of a cluster keeps the promises that were made to them.

Knows nothing of clusters, only histories: what clients asked, what they were answered, and when.
"""
