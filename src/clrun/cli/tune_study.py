"""A study from the words and options of `clrun tune`: its space, and what its trials may see."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from clrun.cli.request import Request
from clrun.cli.tune_words import FIRST, HELD_OUT, STREAM, Words
from clrun.config.composing import parsed
from clrun.config.run_config import RunConfig
from clrun.console.notes import show_note
from clrun.errors import ConfigError, did_you_mean
from clrun.metrics.table import all_metrics
from clrun.sweep.tuning.record import Study
from clrun.sweep.tuning.space import Space, space_size
from clrun.sweep.tuning.study import configured
from clrun.sweep.tuning.swept_words import dimension_of

USUAL_TRIALS, USUAL_EXPERIENCES, USUAL_FRACTION = 20, 3, 0.1
MOST_POINTS = 10_000
"""of a grid"""


def study_of(arguments: argparse.Namespace, request: Request, words: Words, app: Hydra) -> Study:
    """The study that they say.

    Raises:
        ConfigError: they are wrong, or nothing is left to search.
    """
    metric, where = _metric(arguments.metric), _where(request)
    config = configured(where, words.fixed)
    _require_full(config)
    seeds = words.seeds or (config.seed,)
    space = _space(words.searched or _own_space(config, app))
    seen = _experiences(arguments.experiences, config)
    return Study(
        words=words.fixed,
        trial_words=(f"{FIRST}={seen}", f"{STREAM}=validation", *_held_out(words, config)),
        where=where,
        space=space,
        usual=_usual(config, space),
        seeds=seeds,
        full_seeds=tuple(max(seeds) + 1 + k for k in range(arguments.seeds)),
        metric=metric,
        better=all_metrics()[metric].better,
        experiences=seen,
        trials=_trials(arguments, space),
        sampler=arguments.sampler,
        sampler_seed=arguments.seed,
        at_once=arguments.at_once,
        sweep_words=words.sweep,
        runs_full=arguments.run,
    )


def _require_full(config: RunConfig) -> None:
    """Refuse a configuration, of a recipe say, whose runs see no more than trials do.

    Raises:
        ConfigError: it is one.
    """
    first, stream = config.root.first_experiences, config.nodes["eval"].values["stream"]
    if first is not None:
        raise ConfigError(f"{FIRST}={first}: so the full stream would not be full. Leave it out.")
    if stream != "test":
        raise ConfigError(f"{STREAM}={stream}: so the full stream would be untested. Leave it out.")


def _metric(key: str) -> str:
    metrics = all_metrics()
    if key not in metrics:
        guess = did_you_mean(key, list(metrics))
        raise ConfigError(f"--metric {key}: no such metric.{guess} Metrics: {', '.join(metrics)}.")
    return key


def _own_space(config: RunConfig, app: Hydra) -> list[Override]:
    """What the strategy says is worth searching.

    Raises:
        ConfigError: it says nothing.
    """
    node = config.nodes["strategy"]
    words = [f"strategy.{key}={values}" for key, values in node.config.tuned.items()]
    if not words:
        raise ConfigError(
            f"clrun tune: no key has values to search, and strategy={node.option} says none. "
            "Give some, e.g. strategy.lr='tag(log,interval(0.001,1))'."
        )
    show_note(f"no key has values to search: taken are {' '.join(words)}.")
    return parsed(words, OverridesParser.create(config_loader=app.config_loader))


def _space(words: Sequence[Override]) -> Space:
    space = tuple(dimension_of(word) for word in words)
    keys = [dimension.key for dimension in space]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice}: is searched twice. Give its values once.")
    return space


def _experiences(given: int | None, config: RunConfig) -> int:
    """How many experiences trials see."""
    known = config.nodes["benchmark"].config.experiences_by_keys()
    if given is None:
        return USUAL_EXPERIENCES if known is None else max(1, min(USUAL_EXPERIENCES, known - 1))
    if known is not None and given > known:
        raise ConfigError(f"--experiences {given}: the stream has {known}. Use fewer of them.")
    if known is not None and given == known:
        show_note(f"--experiences {given}: is the whole stream; only its test rows are unseen.")
    return given


def _held_out(words: Words, config: RunConfig) -> tuple[str, ...]:
    """What sees to it that there are validation rows."""
    if words.held_out is not None:
        show_note(f"{words.held_out}: of trials; the full stream trains on every row.")
        return (words.held_out,)
    if config.nodes["benchmark"].config.validation_by_keys() is not False:
        return ()
    show_note(
        f"{HELD_OUT}=0 holds nothing out: trials take {USUAL_FRACTION}, the full stream trains "
        "on every row."
    )
    return (f"{HELD_OUT}={USUAL_FRACTION}",)


def _usual(config: RunConfig, space: Space) -> dict[str, str] | None:
    """The point of the configuration without tuning; None where it is not in the space."""
    found = {}
    for dimension in space:
        group, _, key = dimension.key.partition(".")
        node = config.nodes.get(group)
        if node is None:
            return None
        value: Any = node.values.get(key) if key else node.option
        text = next((t for t in _texts(value) if dimension.holds(t)), None)
        if text is None:
            return None
        found[dimension.key] = text
    return found


def _texts(value: Any) -> tuple[str, ...]:
    """The ways in which a value may have been typed."""
    if value is None:
        return ("null", "None")
    if isinstance(value, bool):
        return (str(value).lower(), str(value))
    if isinstance(value, float):
        return (repr(value), f"{value:g}")
    return (str(value),)


def _trials(arguments: argparse.Namespace, space: Space) -> int:
    size, given = space_size(space), arguments.trials
    if arguments.sampler == "grid":
        if size > MOST_POINTS:
            open_key = max(space, key=lambda dimension: dimension.size)
            raise ConfigError(
                f"--sampler grid: {open_key.key}={open_key.typed} has too many values to try all. "
                f"List them: {open_key.key}=VALUE,VALUE."
            )
        return int(size) if given is None else min(given, int(size))
    return int(min(USUAL_TRIALS if given is None else given, size))


def _where(request: Request) -> tuple[str, ...]:
    given = request.where()
    words = [w for folder in given["config_dirs"] for w in ("--config-dir", str(folder))]
    if given["config_path"] is not None:
        words += ["--config-path", str(given["config_path"])]
    if given["config_name"] != "config":
        words += ["--config-name", given["config_name"]]
    return tuple(words)
