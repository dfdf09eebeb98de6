"""The Hydra side of the command: everything is checked before Hydra makes a folder.

Hydra composes twice: once here, to check, and once in its own main, which makes the run folder,
saves `.hydra/`, sets up logging and calls the job. The second time costs a tenth of a second and
keeps every habit of a Hydra user working: --cfg, --info, completion, launchers, hydra.run.dir.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from clrun.cli.help import help_text
from clrun.cli.hydra_errors import explained
from clrun.cli.request import Request, parse
from clrun.config.compose import compose_tree, version_base
from clrun.config.resolvers import register_resolvers
from clrun.config.search_path import register
from clrun.config.sources import conf_root
from clrun.config.sweep import points
from clrun.errors import ConfigError
from clrun.fast.garbage import no_search
from clrun.records.run_folder import fresh_folder

if TYPE_CHECKING:
    from clrun.config.run_config import RunConfig


def main(argv: Sequence[str]) -> int:
    """Run Hydra on these words; the exit code.

    Raises:
        ClrunError: bad input, or a run that failed.
    """
    request = parse(argv)
    register()
    register_resolvers()
    try:
        text = help_text(request) if request.arguments.help else None
        if text is not None:
            print(text)
            return 0
        if request.only_shows:
            return _hydra(request, _nothing_to_run)
        if request.arguments.multirun:
            return _sweep(request)
        from clrun.config.check import check  # with pydantic, which a help text does without

        tree = compose_tree(request.overrides, **request.where())
        if OmegaConf.select(tree, "hydra.mode") == RunMode.MULTIRUN:
            return _sweep(request)
        return _run(request, check(tree, request.overrides), tree)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explained(error)) from error


def _run(request: Request, config: RunConfig, tree: DictConfig) -> int:
    """One run: what can be wrong is found before the folder is made."""
    with no_search(tricks=config.tricks):
        from clrun.cli.job import SingleRun  # torch: only now that the configuration is right

    job = SingleRun(config)
    folder = _given(request, tree, "hydra.run.dir")
    if folder is None:
        folder = fresh_folder(Path(config.root.output_root))
    _hydra(request, job, f"hydra.run.dir={_quoted(folder)}")
    job.raise_failure()
    return 0


def _sweep(request: Request) -> int:
    """A sweep through Hydra's launcher; every job is checked before the first one starts."""
    from clrun.config.check import check

    jobs, trees = [], []
    for overrides in points(request.overrides):
        trees.append(compose_tree(overrides, **request.where()))
        jobs.append(check(trees[-1], overrides))
    _refuse_twins(jobs)
    with no_search(tricks=all(job.tricks for job in jobs)):
        from clrun.cli.job import job_of_a_sweep
        from clrun.runner.prepare import prepare

    for config in jobs:
        prepare(config)
    folder = _given(request, trees[0], "hydra.sweep.dir")
    if folder is None:
        folder = fresh_folder(Path(jobs[0].root.output_root), "multirun")
    code = _hydra(request, job_of_a_sweep, f"hydra.sweep.dir={_quoted(folder)}")
    print(f"{len(jobs)} jobs. Results: {folder.absolute()}")
    return code


def _refuse_twins(jobs: Sequence[RunConfig]) -> None:
    seen: set[str] = set()
    for config in jobs:
        if config.hash() in seen:
            raise ConfigError(f"{' '.join(config.overrides)}: the same job twice in one sweep.")
        seen.add(config.hash())


def _given(request: Request, tree: DictConfig, key: str) -> Path | None:
    """A folder that the command line names: used exactly as given."""
    if not request.named(key):
        return None
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(tree)  # its value may contain ${hydra:...}
    try:
        return Path(str(OmegaConf.select(tree, key)))
    finally:
        HydraConfig.instance().cfg = before


def _quoted(path: Path) -> str:
    """A path as one value of Hydra's override grammar."""
    escaped = str(path.absolute()).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _hydra(request: Request, job: Callable[[DictConfig], Any], *extra: str) -> int:
    """Hydra's own main on the request's words; what the job raises comes out as it was raised."""
    decorated = hydra.main(config_path=str(conf_root()), config_name="config", **version_base())
    name = [] if request.only_shows or request.named("hydra.job.name") else ["hydra.job.name=clrun"]
    with _process_as_hydra_wants_it(["clrun", *request.words, *name, *extra]):
        try:
            decorated(job)()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


@contextmanager
def _process_as_hydra_wants_it(argv: list[str]) -> Iterator[None]:
    """Hydra reads sys.argv, and hands errors on only when HYDRA_FULL_ERROR is set."""
    before, full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = argv
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before
        if full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full_error


def _nothing_to_run(_: DictConfig) -> None:
    raise AssertionError("a command that only shows something ran a job")
