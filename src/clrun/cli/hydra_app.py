"""The Hydra side of the command: everything is checked before a folder is made.

A single run is parsed and composed once, here, and handed over. What only shows something
(--cfg, --info, completion) and sweeps go through Hydra's own main, with its launchers and sweepers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.types import RunMode
from omegaconf import DictConfig

from clrun.cli.completion import candidates
from clrun.cli.config_text import config_texts
from clrun.cli.help import help_text
from clrun.cli.named_folder import RUN, named_folder
from clrun.cli.request import SWEEP_FLAGS, Request, names, parse
from clrun.config.choices import require_choices
from clrun.config.compose import (
    Composed,
    compose_checked,
    compose_tree,
    initialized,
    installed,
    version_base,
)
from clrun.config.composing import composing, parsed
from clrun.config.hydra_errors import explained_errors
from clrun.config.hydra_node import require_harmless
from clrun.config.repeats import check_repeats, is_several, require_read, seeded
from clrun.config.resolvers import register_resolvers
from clrun.config.search_path import register
from clrun.config.sources import REPEATS, conf_root
from clrun.config.sweep import MAX_JOBS
from clrun.config.sweep_words import PARAMS, as_parameters, is_a_sweep, is_whole, read_sweep
from clrun.config.trust import trusting, typed
from clrun.console.waiting import waiting
from clrun.errors import ConfigError, cut
from clrun.fast.garbage import no_search
from clrun.runner.interrupt import stopped_by_signals


def main(argv: Sequence[str]) -> int:
    """Do what these words ask for; the exit code.

    Raises:
        ClrunError: bad input, or a run that failed.
    """
    request = parse(argv)
    register()
    register_resolvers()
    with trusting(typed(request.overrides)), explained_errors():
        text = help_text(request) if request.arguments.help else None
        if text is not None:
            print(text)
            return 0
        if request.only_shows:
            _require_no_flags(request, "only a sweep that runs has it")
            if not request.arguments.shell_completion:
                require_choices(parsed(request.overrides))
            return _shown(request)
        if request.arguments.multirun:
            return _sweep(request)
        if _is_a_sweep(request):
            return _sweep(request)
        composed = compose_checked(request.overrides, **request.where())
        repeats = composed.config.repeats
        if composed.tree.hydra.mode == RunMode.MULTIRUN or is_several(repeats):
            return _sweep(request)
        require_read(request.overrides, repeats)
        _require_no_flags(request, "only a sweep has it. Add -m")
        _require_none_of_a_sweep(request.overrides, "only a sweep reads this. Add -m.", REPEATS)
        _single_run(request, composed)
        return 0


def _shown(request: Request) -> int:
    """Print what the words ask to see."""
    shell = next((w.partition("=")[2] for w in request.overrides if w.startswith("query=")), None)
    if request.arguments.shell_completion and shell is not None:
        words = candidates(os.environ.get("COMP_LINE", ""))
        print(("\n" if shell == "fish" else " ").join(words))
        return 0
    if request.arguments.cfg:
        print("".join(config_texts(request)), end="")
        return 0
    if not request.arguments.shell_completion:
        # Hydra sets up its logging for what it shows
        tree = compose_tree(request.overrides, **request.where())
        require_harmless(tree, installed(request.overrides))
    with composing():
        return _hydra(request, _nothing_to_run)


def _is_a_sweep(request: Request) -> bool:
    """Whether words that only a sweep can have come with a configuration that says it is one."""
    words = parsed(request.overrides)
    params = [word for word in words if word.key_or_group.startswith(PARAMS)]
    if not params and not any(word.is_sweep_override() for word in words):
        return False
    where = request.where()
    name = where.pop("config_name")
    with initialized(**where) as app:
        if is_a_sweep(app, name, as_parameters(request.overrides)):
            return True
    if params:
        raise ConfigError(f"{params[0].input_line}: only a sweep reads this. Add -m.")
    return False


def _single_run(request: Request, composed: Composed) -> None:
    named_folder(composed.tree, RUN)  # one that cannot be is refused at once
    with waiting("loading PyTorch"), no_search(tricks=composed.config.tricks):
        from clrun.cli.job import ready_run, run_in_folder  # torch: not before the input is right

    prepared = ready_run(composed.config)
    if composed.tree.hydra.verbose:  # Hydra shows how it composed
        compose_tree(request.overrides, announce=True, **request.where())
    run_in_folder(prepared, composed.tree)


def _sweep(request: Request) -> int:
    """A sweep; every job is checked before the first one starts."""
    where = request.where()
    name = where.pop("config_name")
    with initialized(**where) as app, stopped_by_signals() as signals:
        sweep = read_sweep(app, name, request.overrides)
        repeats = check_repeats(sweep.tree)
        require_read(request.overrides, repeats)
        sweep = seeded(sweep, repeats)
        if sweep.is_listed:
            count = len(sweep.jobs())
            jobs = "1 job" if count == 1 else f"{count} jobs"
            print(f"{jobs}, each checked before the first starts", flush=True)
        if sweep.engine is not None:
            from clrun.cli.own_sweep import begin  # with pydantic

            return begin(sweep, request, sweep.engine)
        _require_no_flags(request, "only clrun's own launchers have it")
        own = "Hydra's own loop runs these jobs, and does not read this."
        _require_none_of_a_sweep(request.overrides, own, but=(MAX_JOBS,))
        checked = sweep.checked()
        with (
            waiting("loading PyTorch"),
            no_search(tricks=all(config.tricks for config in checked.values())),
        ):
            from clrun.cli.sweep import RunningSweep  # torch: not before the input is right

        return RunningSweep(sweep, checked).run(signals)


def _require_no_flags(request: Request, reason: str) -> None:
    """Refuse an option that only a sweep of our own has.

    Raises:
        ConfigError: it is there.
    """
    for flag in SWEEP_FLAGS:
        if getattr(request.arguments, flag.strip("-").replace("-", "_")):
            raise ConfigError(f"{flag}: {reason}.")


def _require_none_of_a_sweep(
    overrides: Sequence[str], reason: str, but: Sequence[str] = ()
) -> None:
    """Refuse a word that says how the jobs of a sweep are run.

    Raises:
        ConfigError: it is there.
    """
    for word in parsed(overrides):
        if is_whole(word) and word.key_or_group not in but:
            raise ConfigError(f"{cut(str(word.input_line))}: {reason}")


def _hydra(request: Request, job: Callable[[DictConfig], Any], *extra: str) -> int:
    """Hydra's own main on the request's words; what the job raises comes out as it was raised."""
    decorated = hydra.main(config_path=str(conf_root()), config_name="config", **version_base())
    name = (
        []
        if request.only_shows or names(request.overrides, "hydra.job.name")
        else ["hydra.job.name=clrun"]
    )
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
