"""Runs and sweeps seen from outside, by their folders alone: live in the terminal, and listed."""
