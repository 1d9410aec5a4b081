"""Byte formats that several rooms share: commands, records, scans, results. Pure.

Hand-made rather than protobuf because they are also on disk, because whole lists are packed and
unpacked in one call, and because a node forwards and answers them without taking them apart.
"""
