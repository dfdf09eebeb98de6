"""A strategy with its parts and its stream, made as a run makes them, and without the run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import clrun
from clrun.config.trust import trusting, typed
from clrun.runner.made_strategy import made_strategy
from clrun.runner.prepare import prepare
from clrun.strategies.strategy import Strategy
from clrun.streams.experience import Benchmark, Experience, merged


class Trial(NamedTuple):
    """A fresh strategy and the experiences it would be given in a run."""

    strategy: Strategy
    stream: Sequence[Experience]
    benchmark: Benchmark


def keys_of(option: str, config_dirs: Sequence[str | Path] = ()) -> Any:
    """The checked keys of an option of conf/strategy, by its defaults."""
    return _composed(config_dirs, f"strategy={option}").nodes["strategy"].config


def trial(*words: str, config_dirs: Sequence[str | Path] = ()) -> Trial:
    """What a run with these words trains, on the CPU. Whoever calls it trusts the folders.

    Raises:
        ConfigError: bad input; one line for each problem.
    """
    with trusting(typed([], everything=True)):
        prepared = prepare(_composed(config_dirs, "device=cpu", *words))
        strategy, benchmark = made_strategy(prepared), prepared.data
    stream = [merged(benchmark)] if strategy.whole_stream else list(benchmark)
    return Trial(strategy, stream, benchmark)


def _composed(config_dirs: Sequence[str | Path], *words: str) -> clrun.RunConfig:
    return _composed_once(tuple(Path(folder).absolute() for folder in config_dirs), words)


@cache
def _composed_once(config_dirs: tuple[Path, ...], words: tuple[str, ...]) -> clrun.RunConfig:
    return clrun.compose(list(words), trust=True, config_dirs=config_dirs)
