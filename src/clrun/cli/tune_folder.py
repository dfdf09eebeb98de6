"""The folder of a study that `clrun tune` begins or goes on with."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from omegaconf import OmegaConf

from clrun.cli.named_folder import named_folder
from clrun.cli.own_sweep import FOLDER, options_of
from clrun.cli.request import Request
from clrun.cli.tune_study import study_of
from clrun.cli.tune_words import SEED, sorted_words
from clrun.config.check import check_sweep
from clrun.config.compose import initialized
from clrun.config.sweep import LOCAL, Sweep
from clrun.config.sweep_words import read_sweep
from clrun.console.notes import show_note
from clrun.console.waiting import waiting
from clrun.disk.files import storage_errors, write_text
from clrun.errors import ConfigError, FolderError
from clrun.records.run_folder import fresh_folder, point_latest, require_unused
from clrun.sweep.engines.starting import is_engine, require
from clrun.sweep.expand import Point
from clrun.sweep.folder import is_sweep
from clrun.sweep.planning import Plan, planned
from clrun.sweep.record import SweepOptions
from clrun.sweep.start import write_sweep
from clrun.sweep.tuning.record import Study, is_study, read_study, write_study
from clrun.sweep.tuning.study import configured, trial_point

MAY_CHANGE = ("trials", "runs_full", "full_seeds", "sweep_words")
"""What a study may have otherwise when it goes on."""


def begun(arguments: argparse.Namespace, request: Request, command: str) -> Path:
    """The folder of the study that these words say, written or added to.

    Raises:
        ConfigError: they are wrong; nothing was written.
        FolderError: the folder that is named holds something else.
    """
    where = request.where()
    name = where.pop("config_name")
    with initialized(**where) as app:
        words = sorted_words(app, request.overrides)
        sweep = read_sweep(app, name, [*words.hydra, *words.sweep, *words.fixed])
        options = _options(sweep)
        study = study_of(arguments, request, words, app)
        named = named_folder(sweep.tree, FOLDER)
        folder = None if named is None else named.absolute()
        if folder is not None and is_study(folder):
            study = _going_on(folder, study)
        else:
            _require_room(folder)
            _look(study, options)
        root = Path(configured(study.where, study.words).root.output_root)
        if folder is None:
            folder = fresh_folder(root, "multirun").absolute()
        _write(folder, study, command, root, options)
        sweep.tree.hydra.sweep.dir = str(folder)
        write_text(folder / "multirun.yaml", OmegaConf.to_yaml(sweep.tree))
    point_latest(folder, root)
    return folder


def _options(sweep: Sweep) -> SweepOptions:
    """How jobs are run.

    Raises:
        ConfigError: by something that is not ours, or an engine that cannot be had.
    """
    if sweep.engine is None:
        raise ConfigError(
            "clrun tune: its trials are run by launcher=local, slurm or ray, not by a launcher, "
            "sweeper or callback of Hydra's. Leave those out, or use clrun -m."
        )
    options = options_of(sweep.engine, *check_sweep(sweep.tree))
    if is_engine(options.launcher):
        require(options)
    return options


def _going_on(folder: Path, study: Study) -> Study:
    """The study that is there, with what is new in these words.

    Raises:
        FolderError: it is another one.
    """
    before = read_study(folder)
    was, now = asdict(before), asdict(study)
    other = [key for key in was if key not in MAY_CHANGE and was[key] != now[key]]
    if other:
        raise FolderError(
            f"{folder}: is the folder of another study, with other {', '.join(other)}. Name "
            "another folder, or none for a fresh one."
        )
    return replace(study, trials=max(study.trials, before.trials))


def _require_room(folder: Path | None) -> None:
    if folder is None:
        return
    if is_sweep(folder):
        raise FolderError(f"{folder}: is the folder of a sweep. Name another, or none.")
    require_unused(folder)


def _look(study: Study, options: SweepOptions) -> None:
    """Refuse a study whose jobs could not be: each value by itself, then model and data.

    Raises:
        ConfigError: with one line for each problem.
    """
    seed = study.seeds[0]
    for dimension in study.space:
        for text in dimension.examples():
            point = trial_point(study, {dimension.key: text}, seed)
    with waiting("looking at the model and the data"):
        found = planned(
            [_first(study) or point],
            None,
            threads=int(options.launcher_keys.get("threads", 1)),
            is_here=options.launcher == LOCAL,
        )
    for note in found.notes:
        show_note(note)


def _first(study: Study) -> Point | None:
    return None if study.usual is None else trial_point(study, study.usual, study.seeds[0])


def _write(folder: Path, study: Study, command: str, root: Path, options: SweepOptions) -> None:
    nothing = Plan(points=(), identities={}, notes=(), force=False)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_study(folder, study)
    swept = (*(dimension.key for dimension in study.space), SEED)
    write_sweep(folder, nothing, command=command, swept=swept, output_root=root, options=options)
