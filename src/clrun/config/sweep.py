"""A sweep as it is composed: what it sweeps over, and its jobs where they are known beforehand.

What is swept stands on the command line, or in YAML (`hydra.mode: MULTIRUN`, `hydra.sweeper.params`
in a recipe), and means the same in both places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from clrun.config.applied import Jobs
from clrun.config.choices import require_choices
from clrun.config.compose import Composed, forced, installed
from clrun.config.composing import composing, parsed
from clrun.config.hydra_node import require_harmless
from clrun.config.sources import GROUPS, LAUNCHER, RECIPES, options
from clrun.config.typed_words import MOST_JOBS
from clrun.errors import ConfigError, cut

if TYPE_CHECKING:
    from clrun.config.run_config import RunConfig

PARAMS = "hydra.sweeper.params"
SWEEP, MAX_JOBS = "sweep", "sweep.max_jobs"
HYDRA_LAUNCHER, HYDRAS_OWN = "hydra/launcher", "basic"
LOCAL = "local"

Job = tuple[str, ...]
"""The overrides of one job."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What sweeper and launcher start from."""

    app: Hydra
    tree: DictConfig
    """the configuration of the sweep as a whole, with Hydra's own node"""
    parameters: tuple[Override, ...]
    """those of YAML, then those of the command line; less what is the sweep's as a whole"""
    names_launcher: bool
    """whether a word says which launcher of Hydra's to take"""

    @property
    def swept(self) -> tuple[str, ...]:
        """The keys that have several values."""
        keys = (word.key_or_group for word in self.parameters if word.is_sweep_override())
        return tuple(dict.fromkeys(keys))

    @property
    def is_listed(self) -> bool:
        """Whether all jobs are known beforehand. Other sweepers than Hydra's own propose them."""
        return str(self.tree.hydra.sweeper._target_).endswith(f".{BasicSweeper.__name__}")

    @property
    def engine(self) -> str | None:
        """The launcher of ours that starts the workers; None where Hydra's own loop runs the jobs.

        That is so for launchers and sweepers of others, for `hydra/launcher=basic`, and where jobs
        differ in Hydra's own keys, which a recipe may list.
        """
        if not self.is_listed or any(word.is_hydra_override() for word in self.parameters):
            return None
        choices = self.tree.hydra.runtime.choices
        named = choices.get(HYDRA_LAUNCHER)
        is_default = named == HYDRAS_OWN and not self.names_launcher
        return str(choices.get(LAUNCHER, LOCAL)) if is_default or named in _ours() else None

    def jobs(self) -> list[Job]:
        """Each job of a listed sweep: the product of all swept values, the last one fastest.

        Raises:
            ConfigError: a key has values that cannot be listed, or none.
        """
        self._require_few()
        for word in self.parameters:
            if word.is_interval_sweep():
                raise ConfigError(
                    f"{word.input_line}: an interval needs what draws from it: clrun tune, or "
                    f"another sweeper. List values: {word.key_or_group}=VALUE,VALUE."
                )
            if word.is_sweep_override() and not number_of_values(word):
                raise ConfigError(f"{word.input_line}: this is no value. A sweep needs one.")
        [batch] = BasicSweeper.split_arguments(list(self.parameters), max_batch_size=None)
        return [tuple(job) for job in batch]

    def samples(self) -> list[Job]:
        """Jobs such as another sweeper may propose: each listed value of each key is in one.

        Raises:
            ConfigError: there are too many.
        """
        self._require_few()
        first = {word.get_key_element(): _values(word)[0] for word in self.parameters}
        jobs = [tuple(f"{key}={value}" for key, value in first.items())]
        for word in self.parameters:
            for value in _values(word)[1:]:
                given = first | {word.get_key_element(): value}
                jobs.append(tuple(f"{key}={value}" for key, value in given.items()))
        return jobs

    def _require_few(self) -> None:
        """Refuse more jobs than `max_jobs`, before any of them is made."""
        counts = [
            number_of_values(word) for word in self.parameters if not word.is_interval_sweep()
        ]
        jobs = math.prod(counts) if self.is_listed else 1 + sum(counts) - len(counts)
        given = OmegaConf.select(self.tree, MAX_JOBS)
        most = given if isinstance(given, int) else MOST_JOBS  # each job's check says what it is
        if jobs > most:
            raise ConfigError(
                f"{', '.join(self.swept)}: {jobs:,} jobs. A sweep has at most {MAX_JOBS}={most:,}."
            )

    def checked(self) -> dict[Job, RunConfig]:
        """Every job of a listed sweep, or else samples, checked as a single run is.

        Raises:
            ConfigError, HydraException: as for a single run; or two jobs are the same.
        """
        jobs = self.jobs() if self.is_listed else self.samples()
        checking, found, hashes = Jobs(self), {}, set()
        for number, job in enumerate(jobs):
            found[job] = config = checking.found(job, number).config
            if self.is_listed and config.hash() in hashes:
                raise ConfigError(f"{' '.join(job)}: the same job twice in one sweep.")
            hashes.add(config.hash())
        return found

    def composed(self, job: Job) -> Composed:
        """The tree of one job as launchers compose it, and its checked configuration.

        Raises:
            ConfigError, HydraException: as for a single run.
        """
        from clrun.config.check import check  # with pydantic, which a help text does without

        try:
            tree = self.tree_of(job)
        except ConfigCompositionException:  # names the first key that does not exist
            with composing():
                tree = self.app.config_loader.load_sweep_config(self.tree, forced(job))
            require_harmless(tree, self._installed)
            check(tree, job)
            raise
        return Composed(tree, check(tree, job))

    def tree_of(self, job: Job) -> DictConfig:
        """The tree of one job as launchers compose it.

        Raises:
            ConfigError, HydraException: it cannot be composed.
        """
        require_choices(parsed(job))
        with composing():
            tree = self.app.config_loader.load_sweep_config(self.tree, list(job))
        require_harmless(tree, self._installed)
        return tree

    @property
    def _installed(self) -> Callable[[], DictConfig]:
        return installed(as_typed(self.tree.hydra.overrides.hydra))

    @property
    def subfolder(self) -> str:
        """`hydra.sweep.subdir` as it is written, before it is known for each job."""
        return str(OmegaConf.to_container(self.tree.hydra.sweep, resolve=False)["subdir"])  # type: ignore[index, call-overload]


def read_sweep(app: Hydra, config_name: str, overrides: Sequence[str]) -> Sweep:
    """The sweep of these overrides.

    Raises:
        ConfigError, HydraException: they cannot be read, or what is not swept is wrong.
    """
    from clrun.config.check import check

    parser = OverridesParser.create(config_loader=app.config_loader)
    given = parsed(_launcher_named(as_parameters(overrides)), parser)
    require_choices(given)
    _require_one_of_each_key(given)
    task = [word for word in given if not word.is_hydra_override() and not is_whole(word)]
    own = [str(word.input_line) for word in given if word not in task]
    words = [*own, "hydra.mode=MULTIRUN", *_one_of_each(task)]
    try:
        with composing():
            tree = app.compose_config(config_name, words, RunMode.MULTIRUN, from_shell=False)
    except ConfigCompositionException:
        with composing():
            one = forced([*own, *_one_of_each(task)])
            single = app.compose_config(config_name, one, RunMode.RUN, from_shell=False)
        require_harmless(single, installed(own))
        check(single)
        raise
    require_harmless(tree, installed(own))
    choices = tree.hydra.runtime.choices
    named = choices.get(HYDRA_LAUNCHER)
    if named in _ours() and named != LOCAL and choices.get(LAUNCHER) == LOCAL:  # as a recipe says
        return read_sweep(app, config_name, [*overrides, f"{LAUNCHER}={named}"])
    for part in ("launcher", "sweeper"):
        if OmegaConf.select(tree, f"hydra.{part}") is None:
            raise ConfigError(f"hydra.{part}=null: a sweep needs one.")
    tree.hydra.overrides.task = [str(word.input_line) for word in task]
    listed = OmegaConf.select(tree, PARAMS) or {}
    stored = parsed([f"{key}={value}" for key, value in listed.items()], parser)
    named = {word.get_key_element() for word in task}
    kept = [word for word in stored if word.get_key_element() not in named]
    return Sweep(
        app=app,
        tree=tree,
        parameters=(*kept, *task),
        names_launcher=any(word.key_or_group == HYDRA_LAUNCHER for word in given),
    )


def _ours() -> list[str]:
    """The launchers of ours, which Hydra knows by the same names."""
    return [option.name for option in options(LAUNCHER)]


def _launcher_named(overrides: Sequence[str]) -> list[str]:
    """The words, where `hydra/launcher=NAME` also says `launcher=NAME` if that is one of ours.

    Raises:
        ConfigError: another launcher is said beside it.
    """
    named, chosen = (
        [word.partition("=")[2] for word in overrides if word.startswith(f"{key}=")]
        for key in (HYDRA_LAUNCHER, LAUNCHER)
    )
    if not named or named[-1] not in _ours():
        return list(overrides)
    if chosen and chosen[-1] != named[-1]:
        raise ConfigError(
            f"{LAUNCHER}={chosen[-1]}: {HYDRA_LAUNCHER}={named[-1]} says another. Leave one out."
        )
    return list(overrides) if chosen else [*overrides, f"{LAUNCHER}={named[-1]}"]


def is_whole(word: Override) -> bool:
    """Whether a word is of the sweep as a whole, and none of its jobs."""
    return word.key_or_group.partition(".")[0] in (SWEEP, LAUNCHER)


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
                f"{key}={_first(word)}."
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


def swept_values(overrides: Sequence[str], swept: Sequence[str]) -> dict[str, str]:
    """The swept keys among the overrides of a job, and the values of this job."""
    pairs = (word.lstrip("+").partition("=") for word in overrides)
    return {key: value for key, _, value in pairs if key in swept}


def as_typed(words: ListConfig | list[str]) -> list[str]:
    """Overrides that Hydra keeps, their interpolations left for each job."""
    return [str(word) for word in cast(list[str], OmegaConf.to_container(words, resolve=False))]


def _one_of_each(task: Sequence[Override]) -> Iterator[str]:
    """Overrides for the sweep as a whole: of each swept group the first option, so that its keys
    are there, and of other swept keys none."""
    for word in task:
        if not word.is_sweep_override():
            yield str(word.input_line)
        elif word.key_or_group in (*GROUPS, RECIPES) and (value := _first(word)) is not None:
            yield f"{word.get_key_element()}={value}"


def number_of_values(word: Override) -> int:
    """How many values an override has, without making them; of an interval one."""
    value = word.value()
    if not word.is_sweep_override() or word.is_interval_sweep():
        return 1
    if isinstance(value, RangeSweep):
        start, stop, step = float(value.start or 0), float(value.stop or 0), float(value.step)
        if not (math.isfinite(start) and math.isfinite(stop) and math.isfinite(step) and step):
            raise ConfigError(f"{cut(word.input_line)}: start, stop and step must be finite.")
        return max(0, math.ceil((stop - start) / step))
    if isinstance(value, ChoiceSweep):
        return len(value.list)
    return len(list(word.sweep_string_iterator()))


def _first(word: Override) -> str | None:
    """The first value of a swept key, if it has one."""
    return next(iter(word.sweep_string_iterator()), None)


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
