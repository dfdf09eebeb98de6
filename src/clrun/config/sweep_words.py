"""From what is typed to a sweep: which words are of it as a whole, and which of its jobs.

What is swept stands on the command line, or in YAML (`hydra.mode: MULTIRUN`, `hydra.sweeper.params`
in a recipe), and means the same in both places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from clrun.config.choices import require_choices
from clrun.config.compose import forced, installed
from clrun.config.composing import composing, parsed
from clrun.config.hydra_node import require_harmless
from clrun.config.override_values import first_value
from clrun.config.sources import GROUPS, LAUNCHER, RECIPES, REPEATS, SWEEP
from clrun.config.sweep import HYDRA_LAUNCHER, LOCAL, Sweep, our_launchers
from clrun.errors import ConfigError, cut

PARAMS = "hydra.sweeper.params"


def read_sweep(app: Hydra, config_name: str, overrides: Sequence[str]) -> Sweep:
    """The sweep of these overrides.

    Raises:
        ConfigError, HydraException: they cannot be read, or what is not swept is wrong.
    """
    parser = OverridesParser.create(config_loader=app.config_loader)
    given = parsed(_launcher_named(as_parameters(overrides)), parser)
    require_choices(given)
    _require_one_of_each_key(given)
    task = [word for word in given if not word.is_hydra_override() and not is_whole(word)]
    own = [str(word.input_line) for word in given if word not in task]
    tree = _composed(app, config_name, own, task)
    choices = tree.hydra.runtime.choices
    named = choices.get(HYDRA_LAUNCHER)
    if named in our_launchers() and named != LOCAL and choices.get(LAUNCHER) == LOCAL:
        # a recipe says so, and only the word for our launcher lets its keys be composed
        return read_sweep(app, config_name, [*overrides, f"{LAUNCHER}={named}"])
    tree.hydra.overrides.task = [str(word.input_line) for word in task]
    return Sweep(
        app=app,
        tree=tree,
        parameters=(*_of_yaml(tree, task, parser), *task),
        names_launcher=any(word.key_or_group == HYDRA_LAUNCHER for word in given),
    )


def _composed(
    app: Hydra, config_name: str, own: Sequence[str], task: Sequence[Override]
) -> DictConfig:
    """The tree of a sweep as a whole: by its own words, and one value of each key of the jobs.

    Raises:
        ConfigError, HydraException: it cannot be composed, or is no sweep's.
    """
    from clrun.config.check import check

    words = [*own, "hydra.mode=MULTIRUN", *_one_of_each(task)]
    try:
        with composing():
            tree = app.compose_config(config_name, words, RunMode.MULTIRUN, from_shell=False)
    except ConfigCompositionException:  # names the first key that does not exist
        with composing():
            one = forced([*own, *_one_of_each(task)])
            single = app.compose_config(config_name, one, RunMode.RUN, from_shell=False)
        require_harmless(single, installed(own))
        check(single)
        raise
    require_harmless(tree, installed(own))
    for part in ("launcher", "sweeper"):
        if OmegaConf.select(tree, f"hydra.{part}") is None:
            raise ConfigError(f"hydra.{part}=null: a sweep needs one.")
    return tree


def _of_yaml(tree: DictConfig, task: Sequence[Override], parser: OverridesParser) -> list[Override]:
    """What a recipe sweeps over, less what the command line says otherwise."""
    listed = OmegaConf.select(tree, PARAMS) or {}
    stored = parsed([f"{key}={value}" for key, value in listed.items()], parser)
    named = {word.get_key_element() for word in task}
    return [word for word in stored if word.get_key_element() not in named]


def _launcher_named(overrides: Sequence[str]) -> list[str]:
    """The words, where `hydra/launcher=NAME` also says `launcher=NAME` if that is one of ours.

    Raises:
        ConfigError: another launcher is said beside it.
    """
    named, chosen = (
        [word.partition("=")[2] for word in overrides if word.startswith(f"{key}=")]
        for key in (HYDRA_LAUNCHER, LAUNCHER)
    )
    if not named or named[-1] not in our_launchers():
        return list(overrides)
    if chosen and chosen[-1] != named[-1]:
        raise ConfigError(
            f"{LAUNCHER}={chosen[-1]}: {HYDRA_LAUNCHER}={named[-1]} says another. Leave one out."
        )
    return list(overrides) if chosen else [*overrides, f"{LAUNCHER}={named[-1]}"]


def is_whole(word: Override) -> bool:
    """Whether a word is of the sweep as a whole, and none of its jobs."""
    return word.key_or_group.partition(".")[0] in (SWEEP, LAUNCHER, *REPEATS)


def _require_one_of_each_key(given: Sequence[Override]) -> None:
    """Refuse several values of what is the sweep's as a whole.

    Raises:
        ConfigError: there are several.
    """
    for word in given:
        if is_whole(word) and word.is_sweep_override():
            key = word.key_or_group
            raise ConfigError(
                f"{cut(str(word.input_line))}: is for all jobs of a sweep. Give it one value: "
                f"{key}={first_value(word)}."
            )


def is_a_sweep(app: Hydra, config_name: str, overrides: Sequence[str]) -> bool:
    """Whether these overrides are of a sweep although -m is not among them."""
    parser = OverridesParser.create(config_loader=app.config_loader)
    words = list(_one_of_each(parsed(overrides, parser)))
    with composing():
        tree = app.compose_config(config_name, words, RunMode.RUN, from_shell=False)
    return bool(tree.hydra.mode == RunMode.MULTIRUN)


def as_parameters(overrides: Sequence[str]) -> list[str]:
    """`hydra.sweeper.params.KEY=VALUES`, which Hydra cannot set, as the `KEY=VALUES` it means."""
    words = []
    for word in overrides:
        key, equals, values = word.partition("=")
        name = key.lstrip("+").removeprefix(f"{PARAMS}.")
        is_parameter = equals and key.lstrip("+") != name
        words.append(f"{name}={values.strip(chr(39))}" if is_parameter else word)
    return words


def _one_of_each(task: Sequence[Override]) -> Iterator[str]:
    """Overrides for the sweep as a whole: of each swept group the first option, so that its keys
    are there, and of other swept keys none."""
    for word in task:
        if not word.is_sweep_override():
            yield str(word.input_line)
        elif word.key_or_group in (*GROUPS, RECIPES) and (value := first_value(word)) is not None:
            yield f"{word.get_key_element()}={value}"
