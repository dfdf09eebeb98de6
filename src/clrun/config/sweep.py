"""A sweep as it is composed: what it sweeps over, and its jobs where they are known beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, ListConfig, OmegaConf

from clrun.config.applied import Jobs
from clrun.config.choices import require_choices
from clrun.config.compose import Composed, forced, installed
from clrun.config.composing import composing, parsed
from clrun.config.hydra_node import require_harmless
from clrun.config.override_values import number_of_values, values_of
from clrun.config.sources import LAUNCHER, SWEEP, options
from clrun.config.typed_words import MOST_JOBS
from clrun.errors import ConfigError, cut

if TYPE_CHECKING:
    from clrun.config.run_config import RunConfig

MAX_JOBS = f"{SWEEP}.max_jobs"
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
        return str(choices.get(LAUNCHER, LOCAL)) if is_default or named in our_launchers() else None

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
        first = {word.get_key_element(): values_of(word)[0] for word in self.parameters}
        jobs = [tuple(f"{key}={value}" for key, value in first.items())]
        for word in self.parameters:
            for value in values_of(word)[1:]:
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
        checking, found = Jobs(self), {}
        by_hash: dict[str, Job] = {}
        for number, job in enumerate(jobs):
            found[job] = config = checking.found(job, number).config
            other = by_hash.setdefault(config.hash(), job)
            if self.is_listed and other is not job:
                raise same_twice(job, other)
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


def our_launchers() -> list[str]:
    """The launchers of ours, which Hydra knows by the same names."""
    return [option.name for option in options(LAUNCHER)]


def swept_values(overrides: Sequence[str], swept: Sequence[str]) -> dict[str, str]:
    """The swept keys among the overrides of a job, and the values of this job."""
    pairs = (word.lstrip("+").partition("=") for word in overrides)
    return {key: value for key, _, value in pairs if key in swept}


def same_twice(job: Job, other: Job) -> ConfigError:
    """What is wrong with a sweep in which a job is the same experiment as another."""
    from clrun.config.run_config import UNNAMED  # with pydantic, which a help text does without

    different = [word for word in job if word not in other]
    keys = list(dict.fromkeys(word.lstrip("+").partition("=")[0] for word in different))
    if keys and all(key.partition(".")[0] in UNNAMED for key in keys):
        changes = "changes" if len(keys) == 1 else "change"
        return ConfigError(
            f"{cut(' '.join(different))}: the same job twice in one sweep, for "
            f"{' and '.join(keys)} {changes} no number. Give one value."
        )
    return ConfigError(f"{' '.join(job)}: the same job twice in one sweep.")


def as_typed(words: ListConfig | list[str]) -> list[str]:
    """Overrides that Hydra keeps, their interpolations left for each job."""
    return [str(word) for word in cast(list[str], OmegaConf.to_container(words, resolve=False))]
