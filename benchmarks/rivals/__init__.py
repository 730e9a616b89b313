"""Rivals of the benchmarks, one library or way of writing a module.

Each module has functions that take a problem and return programs by the name of their setting, so that a contest can
pick a rival's best setting on the machine at hand. A rival that cannot run here raises `contest.Unavailable`.
"""
