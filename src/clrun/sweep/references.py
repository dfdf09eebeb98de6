"""Runs to hold others against: `naive` forgets what it will, `joint` sees all data at once.

A reference has the stream, the model and the seed of the run that it is for, and of the strategy's
keys those that both have: as many passes, rows in a minibatch, the same optimizer and step size.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from clrun.config.composing import parsed
from clrun.config.override_text import override_text
from clrun.config.run_config import RunConfig
from clrun.config.sources import OF_A_RUN, RECIPES
from clrun.sweep.expand import Point, job_folder
from clrun.sweep.listed import set_to

KINDS = ("naive", "joint")
"""Strategies: the floor, and the ceiling"""

OF_A_METHOD = ("strategy", "storage_policy", "selection")
"""Groups that a reference has its own options of."""

NOT_SHARED = ("plugins",)
"""Keys of a strategy that are a remedy, which a reference is without."""

Compose = Callable[[Sequence[str]], RunConfig]
"""The configuration of words"""


def with_references(
    points: Sequence[Point], compose: Compose, swept: Sequence[str] = ()
) -> list[Point]:
    """The points with those of their references that are not among them.

    Raises:
        ConfigError: there can be none.
    """
    found = {point.hash: point for point in points}
    words: dict[str, dict[str, tuple[str, ...]]] = {}
    for point in points:
        if point.is_reference:
            continue
        method = json.dumps(_without_seed(point.words))
        if method not in words:
            words[method] = {kind: _words(point, kind, compose) for kind in KINDS}
        for kind in KINDS:
            one = _reference(point, kind, words[method][kind], compose, swept)
            found.setdefault(one.hash, one)
    return list(found.values())


def _reference(
    point: Point, kind: str, words: Sequence[str], compose: Compose, swept: Sequence[str]
) -> Point:
    """One of a point, with its seed."""
    own = (*words, f"seed={point.config.seed}")
    config = compose(own)
    plain = config.plain()
    known = {key: set_to(plain, key) for key in (*swept, *point.values, "strategy")}
    values = {key: value for key, value in known.items() if value is not None}
    hashed = config.hash()
    return Point(
        words=own,
        values=values,
        config=config,
        hash=hashed,
        folder=job_folder(config, values, hashed),
        is_reference=True,
    )


def _words(point: Point, kind: str, compose: Compose) -> tuple[str, ...]:
    """The words of a reference but its seed: those of the point that are not of its method, and
    what else makes the rest of its configuration the same."""
    left_out = (*OF_A_METHOD, RECIPES, "seed")
    kept = [
        str(word.input_line)
        for word in parsed(point.words)
        if word.key_or_group.lstrip("+~").partition(".")[0] not in left_out
    ]
    words = [f"strategy={kind}", *kept]
    found = compose(words)
    chosen = [
        f"{group}={node.option}"
        for group, node in point.config.nodes.items()
        if group not in OF_A_METHOD and found.nodes[group].option != node.option
    ]
    if chosen:  # a strategy may choose a model, and a recipe anything
        words = [*chosen, *words]
        found = compose(words)
    return (*words, *_differing(point.config, found))


def _differing(wanted: RunConfig, found: RunConfig) -> list[str]:
    """Words for what a configuration must have beside what it has."""
    words = []
    for group in OF_A_RUN:
        want, have = wanted.nodes[group].values, found.nodes[group].values
        if group in OF_A_METHOD[1:]:
            continue
        for key, value in want.items():
            is_other = key in have and have[key] != value and key not in NOT_SHARED
            words += [f"{group}.{key}={override_text(value)}"] if is_other else []
    for key, value in vars(wanted.root).items():
        if key != "seed" and vars(found.root)[key] != value:
            words.append(f"{key}={override_text(value)}")
    return words


def _without_seed(words: Iterable[str]) -> list[str]:
    return [word for word in words if word.lstrip("+").partition("=")[0] != "seed"]
