"""Tests for strategies of your own: the ladder that those of clrun climb, for pytest."""

from clrun.testing.ladder import StrategyLadder

__all__ = ["StrategyLadder"]
