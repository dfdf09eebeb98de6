"""An experiment run again with other seeds, and beside references: `seeds` and what goes with it.

These keys stand at the root of conf/config.yaml. They make a sweep of what would be one run, and
are no part of any run of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from clrun.config.composed_tree import plain_tree
from clrun.config.composing import composing, parsed
from clrun.config.sources import REPEATS
from clrun.errors import ConfigError, cut

if TYPE_CHECKING:
    from clrun.config.run_config import RepeatKeys
    from clrun.config.sweep import Sweep

SEED = "seed"
AUTO = "auto"
FIRST_ROUND = 5
"""Seeds before `seeds=auto` looks at how far they lie apart: with fewer an interval that is narrow
by chance would end it too often."""


def read_repeats(tree: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """The keys in a plain tree, and every problem with them; a saved run says none of them."""
    from clrun.config.problems import read  # with pydantic, which a help text does without
    from clrun.config.run_config import RepeatKeys

    return read("", {key: value for key, value in tree.items() if key in REPEATS}, RepeatKeys)


def check_repeats(composed: DictConfig) -> RepeatKeys:
    """The keys of a sweep as a whole.

    Raises:
        ConfigError: with one line for each problem.
    """
    with composing():
        tree = plain_tree(composed, REPEATS)
    repeats, problems = read_repeats(tree)
    if problems:
        raise ConfigError(problems)
    return repeats


def is_several(repeats: RepeatKeys) -> bool:
    """Whether these keys make several runs of one."""
    return repeats.seeds is not None or repeats.references


def first_count(repeats: RepeatKeys) -> int | None:
    """How many seeds are run before any result is known; None where nobody said a number."""
    if repeats.seeds == AUTO:
        return min(FIRST_ROUND, repeats.seeds_max)
    return repeats.seeds if isinstance(repeats.seeds, int) else None


def seeded(sweep: Sweep, repeats: RepeatKeys) -> Sweep:
    """The sweep over so many seeds, from the one that is given on.

    Raises:
        ConfigError: seeds are listed beside that, or something else than clrun runs the jobs.
    """
    if not is_several(repeats):
        return sweep
    key = f"seeds={repeats.seeds}" if repeats.seeds is not None else "references=true"
    if sweep.engine is None:
        raise ConfigError(
            f"{key}: Hydra's own loop runs these jobs, and adds none. List the seeds: seed=0,1,2."
        )
    count = first_count(repeats)
    if count is None:
        return sweep
    for word in sweep.parameters:
        if word.key_or_group == SEED and word.is_sweep_override():
            raise ConfigError(
                f"{cut(str(word.input_line))}: {key} says which seeds. Leave one out."
            )
    first = OmegaConf.select(sweep.tree, SEED)
    if not isinstance(first, int):
        return sweep  # which the check of its job says
    others = tuple(word for word in sweep.parameters if word.key_or_group != SEED)
    seeds = first if count == 1 else f"range({first},{first + count})"
    return replace(sweep, parameters=(*others, *parsed([f"{SEED}={seeds}"])))


def require_read(overrides: Sequence[str], repeats: RepeatKeys) -> None:
    """Refuse a word that nothing would read.

    Raises:
        ConfigError: it is there.
    """
    for word in parsed(overrides):
        key, line = word.key_or_group, cut(str(word.input_line))
        if key in ("seeds_width", "seeds_max") and repeats.seeds != AUTO:
            raise ConfigError(
                f"{line}: only seeds=auto reads this. Leave it out, or say seeds=auto."
            )
        if key == "hydra.run.dir" and is_several(repeats):
            raise ConfigError(
                f"{line}: several runs are a sweep. Name its folder by hydra.sweep.dir."
            )
