"""The end of a study: what is best, frozen in a recipe, and the command for the full stream."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from clrun.sweep.tuning.recipe import recipe_text, write_recipe
from clrun.sweep.tuning.record import Score, Study, best
from clrun.sweep.tuning.study import configured, full_words

FULL = "full"
"""The folder of the sweep over the full stream, below the study"""


def choose(path: Path, study: Study, found: Sequence[Score]) -> Score | None:
    """The best trial, its recipe written; None where every one failed.

    Raises:
        StorageError: it cannot be written.
    """
    chosen = best(study, found)
    if chosen is None:
        return None
    config = configured(study.where, full_words(study, chosen.trial.values))
    options = [f"{group}={node.option}" for group, node in config.nodes.items()]
    comment = f"""\
Chosen by clrun tune: {study.metric} {chosen.value:.4f} on the validation rows of the first
{study.experiences} experiences, by trial {chosen.trial.number}, the best of {len(found)}.

  {recipe_command(path, study)}"""
    write_recipe(path, recipe_text(config, configured(study.where, options), comment))
    return chosen


def recipe_command(path: Path, study: Study) -> str:
    """What runs the recipe over the seeds of the full stream."""
    seeds = f"seed={_seeds(study)}"
    words = ("clrun", "-m", "--config-dir", str(path), "experiment=best", seeds)
    return shlex.join(words)


def full_command(path: Path, study: Study, chosen: Score) -> str:
    """What runs the best values; by words where other folders have a part in it, for Hydra reads
    but one."""
    if not study.where:
        return recipe_command(path, study)
    words = full_words(study, chosen.trial.values)
    return shlex.join(("clrun", "-m", *study.where, *words, f"seed={_seeds(study)}"))


def run_command(path: Path, study: Study, chosen: Score) -> list[str]:
    """The same as words for Hydra, into the study's folder."""
    words = full_words(study, chosen.trial.values)
    folder = f"hydra.sweep.dir={path / FULL}"
    seeds = f"seed={_seeds(study)}"
    return ["-m", *study.where, *words, *study.sweep_words, seeds, folder]


def _seeds(study: Study) -> str:
    """The seeds as Hydra's grammar has them; they follow one another."""
    return f"range({study.full_seeds[0]},{study.full_seeds[-1] + 1})"
