"""Tuning: a study asks for trials, each of which is one job of a sweep, or one for each seed.

A trial sees the first experiences and their validation rows (`clrun.streams.guard`). The manifest
and what became of its jobs are the study's memory, so that it goes on whatever was killed.
"""
