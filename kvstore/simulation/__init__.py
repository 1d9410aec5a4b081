"""Simulation: whole clusters in one process, in virtual time, from one seed."""
