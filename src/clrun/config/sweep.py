"""A sweep as it is composed: what it sweeps over, and its jobs where they are known beforehand.

What is swept stands on the command line, or in YAML (`hydra.mode: MULTIRUN`, `hydra.sweeper.params`
in a recipe), and means the same in both places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from clrun.config.choices import require_choices
from clrun.config.compose import Composed, forced
from clrun.config.sources import GROUPS, RECIPES
from clrun.errors import ConfigError

if TYPE_CHECKING:
    from clrun.config.run_config import RunConfig

PARAMS = "hydra.sweeper.params"

Job = tuple[str, ...]
"""The overrides of one job."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What sweeper and launcher start from."""

    app: Hydra
    tree: DictConfig
    """the configuration of the sweep as a whole, with Hydra's own node"""
    parameters: tuple[Override, ...]
    """those of YAML, then those of the command line"""

    @property
    def swept(self) -> tuple[str, ...]:
        """The keys that have several values."""
        keys = (word.key_or_group for word in self.parameters if word.is_sweep_override())
        return tuple(dict.fromkeys(keys))

    @property
    def is_listed(self) -> bool:
        """Whether all jobs are known beforehand. Other sweepers than Hydra's own propose them."""
        return str(self.tree.hydra.sweeper._target_).endswith(f".{BasicSweeper.__name__}")

    def jobs(self) -> list[Job]:
        """Each job of a listed sweep: the product of all swept values, the last one fastest.

        Raises:
            ConfigError: a key has values that cannot be listed, or none.
        """
        for word in self.parameters:
            if word.is_interval_sweep():
                raise ConfigError(
                    f"{word.input_line}: an interval needs a sweeper that draws from it "
                    f"(hydra/sweeper=optuna). List values: {word.key_or_group}=VALUE,VALUE."
                )
            if word.is_sweep_override() and not list(word.sweep_string_iterator()):
                raise ConfigError(f"{word.input_line}: this is no value. A sweep needs one.")
        [batch] = BasicSweeper.split_arguments(list(self.parameters), max_batch_size=None)
        return [tuple(job) for job in batch]

    def samples(self) -> list[Job]:
        """Jobs such as another sweeper may propose: each listed value of each key is in one."""
        first = {word.get_key_element(): _values(word)[0] for word in self.parameters}
        jobs = [tuple(f"{key}={value}" for key, value in first.items())]
        for word in self.parameters:
            for value in _values(word)[1:]:
                given = first | {word.get_key_element(): value}
                jobs.append(tuple(f"{key}={value}" for key, value in given.items()))
        return jobs

    def checked(self) -> dict[Job, RunConfig]:
        """Every job of a listed sweep, or else samples, checked as a single run is.

        Raises:
            ConfigError, HydraException: as for a single run; or two jobs are the same.
        """
        jobs = self.jobs() if self.is_listed else self.samples()
        found = {job: self.composed(job).config for job in jobs}
        hashes = [found[job].hash() for job in jobs]
        for place, job in enumerate(jobs):
            if self.is_listed and hashes[place] in hashes[:place]:
                raise ConfigError(f"{' '.join(job)}: the same job twice in one sweep.")
        return found

    def composed(self, job: Job) -> Composed:
        """The tree of one job as launchers compose it, and its checked configuration.

        Raises:
            ConfigError, HydraException: as for a single run.
        """
        from clrun.config.check import check  # with pydantic, which a help text does without

        require_choices(OverridesParser.create().parse_overrides(list(job)))
        loader = self.app.config_loader
        try:
            tree = loader.load_sweep_config(self.tree, list(job))
        except ConfigCompositionException:  # names the first key that does not exist
            check(loader.load_sweep_config(self.tree, forced(job)), job)
            raise
        return Composed(tree, check(tree, job))


def read_sweep(app: Hydra, config_name: str, overrides: Sequence[str]) -> Sweep:
    """The sweep of these overrides.

    Raises:
        ConfigError, HydraException: they cannot be read, or what is not swept is wrong.
    """
    from clrun.config.check import check

    parser = OverridesParser.create(config_loader=app.config_loader)
    given = parser.parse_overrides(as_parameters(overrides))
    require_choices(given)
    task = [word for word in given if not word.is_hydra_override()]
    own = [str(word.input_line) for word in given if word.is_hydra_override()]
    words = [*own, "hydra.mode=MULTIRUN", *_one_of_each(task)]
    try:
        tree = app.compose_config(config_name, words, RunMode.MULTIRUN, from_shell=False)
    except ConfigCompositionException:
        one = forced([*own, *_one_of_each(task)])
        check(app.compose_config(config_name, one, RunMode.RUN, from_shell=False))
        raise
    tree.hydra.overrides.task = [str(word.input_line) for word in task]
    listed = OmegaConf.select(tree, PARAMS) or {}
    stored = parser.parse_overrides([f"{key}={value}" for key, value in listed.items()])
    named = {word.get_key_element() for word in task}
    kept = [word for word in stored if word.get_key_element() not in named]
    return Sweep(app=app, tree=tree, parameters=(*kept, *task))


def is_a_sweep(app: Hydra, config_name: str, overrides: Sequence[str]) -> bool:
    """Whether these overrides are of a sweep although -m is not among them."""
    parser = OverridesParser.create(config_loader=app.config_loader)
    words = list(_one_of_each(parser.parse_overrides(list(overrides))))
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
        elif word.key_or_group in (*GROUPS, RECIPES) and (values := _values(word)):
            yield f"{word.get_key_element()}={values[0]}"


def _values(word: Override) -> list[str]:
    """The values of an override as they are typed; of an interval one inside."""
    if not word.is_sweep_override():
        return [word.get_value_element_as_str()]
    if word.is_discrete_sweep():
        return list(word.sweep_string_iterator())
    interval = word.value()
    assert isinstance(interval, IntervalSweep), "every other kind is discrete"
    middle = (float(interval.start or 0) + float(interval.end or 0)) / 2
    is_whole = isinstance(interval.start, int) and isinstance(interval.end, int)
    return [str(int(middle) if is_whole else middle)]
