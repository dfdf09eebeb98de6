"""Sweeps: an immutable manifest of jobs, and workers that do what is missing of it.

Engines only start workers. No torch in what drives a sweep; the processes that run jobs have it.
"""
