"""A sweep of our own: every job looked at, written down, then done by workers. No torch here."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import configure_log
from omegaconf import OmegaConf

from clrun.cli.named_folder import named_folder
from clrun.cli.request import Request
from clrun.cli.run_report import tell_sweep_report
from clrun.config.check import check_sweep
from clrun.config.repeats import AUTO, check_repeats, is_several
from clrun.config.run_config import Node, RepeatKeys, SweepKeys
from clrun.config.sweep import LOCAL, Sweep
from clrun.console.notes import show_note
from clrun.console.visible import visible
from clrun.console.waiting import waiting
from clrun.records.run_folder import fresh_folder, point_latest
from clrun.sweep.engines.starting import is_engine, require
from clrun.sweep.expand import Point, points_of
from clrun.sweep.planning import planned
from clrun.sweep.record import SweepOptions
from clrun.sweep.references import with_references
from clrun.sweep.rounds import composing, grow, require_own_folders
from clrun.sweep.server import warm_up
from clrun.sweep.start import run_sweep, write_sweep

FOLDER = "hydra.sweep.dir"


def begin(sweep: Sweep, request: Request, engine: str) -> int:
    """Look at all jobs of a sweep, write it down and run what is missing; the exit code.

    Raises:
        ConfigError: a point is wrong; nothing was written.
        FolderError: the folder that is named holds something else; nothing was written.
    """
    arguments, repeats = request.arguments, check_repeats(sweep.tree)
    options = options_of(engine, *check_sweep(sweep.tree))
    if is_engine(engine):
        require(options)
    named = named_folder(sweep.tree, FOLDER)
    if named is None and engine == LOCAL:
        warm_up()  # of the jobs of a folder that is there, none may be left to do
    points, swept = _points(sweep, repeats)
    root = Path(points[0].config.root.output_root)
    folder = None if named is None else named.absolute()
    with waiting("looking at the models and the data"):
        plan = planned(
            points,
            folder,
            threads=int(options.launcher_keys.get("threads", 1)),
            is_here=engine == LOCAL,
            retry_failed=arguments.retry_failed,
            force=arguments.force,
        )
    for note in plan.notes:
        show_note(note)
    if folder is None:
        folder = fresh_folder(root, "multirun").absolute()
    sweep.tree.hydra.sweep.dir = str(folder)
    write_sweep(
        folder,
        plan,
        command=shlex.join(("clrun", *request.words)),
        swept=swept,
        output_root=root,
        options=options,
        composed=OmegaConf.to_yaml(sweep.tree),
        repeats=asdict(repeats) if is_several(repeats) else None,
    )
    point_latest(folder, root)
    with _called_back(sweep):
        code = run_sweep(
            folder,
            options,
            retry_failed=arguments.retry_failed,
            force=arguments.force,
            more=partial(grow, folder, _say, force=arguments.force),
        )
    tell_sweep_report(folder)
    return code


def _points(sweep: Sweep, repeats: RepeatKeys) -> tuple[list[Point], tuple[str, ...]]:
    """The jobs of a sweep with their references, and the keys that tell them apart.

    Raises:
        ConfigError: a job is wrong, or a name of the folders of those that are added.
    """
    if repeats.references or repeats.seeds == AUTO:
        require_own_folders(sweep)
    points = points_of(sweep)
    if not repeats.references:
        return points, sweep.swept
    swept = tuple(dict.fromkeys(("strategy", *sweep.swept)))
    every = with_references(points, composing(sweep), swept)
    added = len(every) - len(points)
    if added:
        _say(f"{added} more as references (naive, joint)")
    return every, swept


def _say(line: str) -> None:
    print(visible(line), flush=True)


@contextmanager
def _called_back(sweep: Sweep) -> Iterator[None]:
    """Call the callbacks that there are around a sweep; those of a job are called in its process.

    Log lines, which `hydra.verbose` asks for, go where Hydra has them go.
    """
    tree, name = sweep.tree, sweep.tree.hydra.job.config_name
    configure_log(tree.hydra.hydra_logging, tree.hydra.verbose)
    callbacks = Callbacks(tree)
    callbacks.on_multirun_start(config=tree, config_name=name)
    yield
    callbacks.on_multirun_end(config=tree, config_name=name)


def options_of(engine: str, keys: SweepKeys, launcher: Node | None) -> SweepOptions:
    """How jobs are run, for the sweep's record."""
    return SweepOptions(
        share=keys.share,
        on_error=keys.on_error,
        retries=keys.retries,
        time_limit=keys.time_limit,
        launcher=engine,
        launcher_keys=dict(launcher.values) if launcher is not None else {},
    )
