"""How many updates a strategy would make on a stream, and what that number leaves out."""

from __future__ import annotations

from typing import NamedTuple

from clrun.config.bases import component
from clrun.config.run_config import RunConfig
from clrun.errors import ConfigError
from clrun.runner.ahead import updates_ahead
from clrun.streams.experience import Benchmark


class Updates(NamedTuple):
    """How many there will be."""

    total: int | None
    """None where nobody can tell"""
    by_experience: list[int] | None
    """None also where the strategy learns the stream as one experience"""
    note: str | None
    """why there is no number, or what it does not take into account"""


def expected_updates(config: RunConfig, stream: Benchmark) -> Updates:
    """The updates that a run of `config` on `stream` makes, or why there is no such number."""
    try:
        updates = updates_ahead(config, stream)
    except ConfigError as error:  # of minibatches that cannot be made up; no reason to show nothing
        return Updates(None, None, f"a run would stop: {error}")
    if updates is None:
        return Updates(None, None, "this strategy does not say how many updates it makes")
    whole_stream = component(config.nodes["strategy"]).whole_stream
    return Updates(sum(updates), None if whole_stream else list(updates), _note(config))


def _note(config: RunConfig) -> str | None:
    """A memory that a model fills is counted as a random one: as many rows, not the same."""
    asks_model = component(config.nodes["selection"]).ranks_rows
    is_used = component(config.nodes["strategy"]).uses_memory
    return "counted as for selection=random" if asks_model and is_used else None
