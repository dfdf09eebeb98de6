"""The words of `clrun tune` as a study: what is searched, what stays, what trials may see."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf

from clrun.cli.named_folder import named_folder
from clrun.cli.own_sweep import FOLDER, options_of
from clrun.cli.request import Request
from clrun.config.check import check_sweep
from clrun.config.compose import initialized
from clrun.config.composing import parsed
from clrun.config.run_config import RunConfig
from clrun.config.sources import LAUNCHER, SWEEP
from clrun.config.sweep import LOCAL, Sweep
from clrun.config.sweep_words import read_sweep
from clrun.console.notes import show_note
from clrun.console.waiting import waiting
from clrun.disk.files import storage_errors, write_text
from clrun.errors import ConfigError, FolderError, did_you_mean
from clrun.metrics.table import all_metrics
from clrun.records.run_folder import fresh_folder, point_latest, require_unused
from clrun.sweep.engines.starting import is_engine, require
from clrun.sweep.expand import Point
from clrun.sweep.folder import is_sweep
from clrun.sweep.planning import Plan, planned
from clrun.sweep.record import SweepOptions
from clrun.sweep.start import write_sweep
from clrun.sweep.tuning.record import Study, is_study, read_study, write_study
from clrun.sweep.tuning.space import Space, dimension_of, space_size
from clrun.sweep.tuning.study import configured, trial_point

SEED, FIRST, STREAM, HELD_OUT = (
    "seed",
    "first_experiences",
    "eval.stream",
    "benchmark.validation_fraction",
)
USUAL_TRIALS, USUAL_EXPERIENCES, USUAL_FRACTION = 20, 3, 0.1
MOST_POINTS = 10_000
"""of a grid"""

MAY_CHANGE = ("trials", "runs_full", "full_seeds", "sweep_words")
"""What a study may have otherwise when it goes on."""


@dataclass(frozen=True)
class Words:
    """The words by what they are for."""

    fixed: tuple[str, ...]
    """of every job"""
    sweep: tuple[str, ...]
    """`sweep.KEY` and `launcher`: how jobs are run"""
    hydra: tuple[str, ...]
    searched: tuple[Override, ...]
    seeds: tuple[int, ...]
    held_out: tuple[str, ...]
    """how many rows trials are scored on, which the full stream trains on"""


def begun(arguments: argparse.Namespace, request: Request, command: str) -> Path:
    """The folder of the study that these words say, written or added to.

    Raises:
        ConfigError: they are wrong; nothing was written.
        FolderError: the folder that is named holds something else.
    """
    where = request.where()
    name = where.pop("config_name")
    with initialized(**where) as app:
        words = _sorted(app, request.overrides)
        sweep = read_sweep(app, name, [*words.hydra, *words.sweep, *words.fixed])
        options = _options(sweep)
        study = _study(arguments, request, words, app)
        named = named_folder(sweep.tree, FOLDER)
        folder = None if named is None else named.absolute()
        if folder is not None and is_study(folder):
            study = _going_on(folder, study)
        else:
            _require_room(folder)
            _look(study, options)
        root = Path(configured(study, study.words).root.output_root)
        if folder is None:
            folder = fresh_folder(root, "multirun").absolute()
        _write(folder, study, command, root, options)
        sweep.tree.hydra.sweep.dir = str(folder)
        write_text(folder / "multirun.yaml", OmegaConf.to_yaml(sweep.tree))
    point_latest(folder, root)
    return folder


def _sorted(app: Hydra, overrides: Sequence[str]) -> Words:
    parser = OverridesParser.create(config_loader=app.config_loader)
    fixed, sweep, own, searched = [], [], [], list[Override]()
    seeds: tuple[int, ...] = (0,)
    held_out: tuple[str, ...] = ()
    for word in parsed(overrides, parser):
        key, text = word.key_or_group, str(word.input_line)
        if key in (FIRST, STREAM):
            _require_protocol(word)
        elif key == SEED:
            seeds = _seeds(word)
        elif word.is_hydra_override():
            own.append(text)
        elif key.partition(".")[0] in (SWEEP, LAUNCHER):
            sweep.append(text)
        elif key == HELD_OUT and not word.is_sweep_override():
            held_out = (text,)
        elif word.is_sweep_override():
            searched.append(word)
        else:
            fixed.append(text)
    return Words(tuple(fixed), tuple(sweep), tuple(own), tuple(searched), seeds, held_out)


def _require_protocol(word: Override) -> None:
    """Refuse to say otherwise what trials may see.

    Raises:
        ConfigError: it is said.
    """
    if word.key_or_group == STREAM and word.value() == "validation":
        return
    if word.key_or_group == FIRST:
        raise ConfigError(f"{word.input_line}: a study says it for all trials. Use --experiences.")
    raise ConfigError(f"{word.input_line}: trials are scored on validation rows. Leave it out.")


def _seeds(word: Override) -> tuple[int, ...]:
    if word.is_discrete_sweep():
        texts = list(word.sweep_string_iterator())
    else:
        texts = [] if word.is_sweep_override() else [word.get_value_element_as_str()]
    if not texts or not all(text.isdecimal() for text in texts) or len(set(texts)) < len(texts):
        raise ConfigError(f"{word.input_line}: list different whole numbers, e.g. seed=0,1,2.")
    return tuple(map(int, texts))


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


def _study(arguments: argparse.Namespace, request: Request, words: Words, app: Hydra) -> Study:
    where = _where(request)
    empty = Study(
        words=words.fixed,
        trial_words=(),
        where=where,
        space=(),
        usual=None,
        seeds=words.seeds,
        metric=_metric(arguments.metric),
        better=all_metrics()[arguments.metric].better,
        experiences=0,
        trials=0,
        sampler=arguments.sampler,
        sampler_seed=arguments.seed,
        at_once=arguments.at_once,
        sweep_words=words.sweep,
        full_seeds=tuple(max(words.seeds) + 1 + k for k in range(arguments.seeds)),
        runs_full=arguments.run,
    )
    config = configured(empty, words.fixed)
    space = _space(words.searched or _own_space(config, app))
    seen = _experiences(arguments.experiences, config)
    return replace(
        empty,
        space=space,
        usual=_usual(config, space),
        experiences=seen,
        trials=_trials(arguments, space),
        trial_words=(f"{FIRST}={seen}", f"{STREAM}=validation", *_held_out(words, config)),
    )


def _where(request: Request) -> tuple[str, ...]:
    given = request.where()
    words = [w for folder in given["config_dirs"] for w in ("--config-dir", str(folder))]
    if given["config_path"] is not None:
        words += ["--config-path", str(given["config_path"])]
    if given["config_name"] != "config":
        words += ["--config-name", given["config_name"]]
    return tuple(words)


def _metric(key: str) -> str:
    metrics = all_metrics()
    if key not in metrics:
        guess = did_you_mean(key, list(metrics))
        raise ConfigError(f"--metric {key}: is none.{guess} Metrics: {', '.join(metrics)}.")
    return key


def _own_space(config: RunConfig, app: Hydra) -> list[Override]:
    """What the strategy says is worth searching.

    Raises:
        ConfigError: it says nothing.
    """
    node = config.nodes["strategy"]
    words = [f"strategy.{key}={values}" for key, values in node.config.tuned.items()]
    if not words:
        raise ConfigError(
            f"clrun tune: no key has values to search, and strategy={node.option} says none. "
            "Give some, e.g. strategy.lr='tag(log,interval(0.001,1))'."
        )
    show_note(f"no key has values to search: taken are {' '.join(words)}.")
    return parsed(words, OverridesParser.create(config_loader=app.config_loader))


def _space(words: Sequence[Override]) -> Space:
    space = tuple(dimension_of(word) for word in words)
    keys = [dimension.key for dimension in space]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice}: is searched twice. Give its values once.")
    return space


def _experiences(given: int | None, config: RunConfig) -> int:
    """How many experiences trials see."""
    known = config.nodes["benchmark"].config.experiences_by_keys()
    if given is None:
        return USUAL_EXPERIENCES if known is None else max(1, min(USUAL_EXPERIENCES, known - 1))
    if known is not None and given > known:
        raise ConfigError(f"--experiences {given}: the stream has {known}. Use fewer of them.")
    if known is not None and given == known:
        show_note(f"--experiences {given}: is the whole stream; only its test rows are unseen.")
    return given


def _held_out(words: Words, config: RunConfig) -> tuple[str, ...]:
    """What sees to it that there are validation rows."""
    if words.held_out and words.held_out[0].partition("=")[2].strip("0."):
        show_note(f"{words.held_out[0]}: of trials; the full stream trains on every row.")
        return words.held_out
    if config.nodes["benchmark"].config.validation_by_keys() is not False:
        return ()
    show_note(
        f"{HELD_OUT}=0 holds nothing out: trials take {USUAL_FRACTION}, the full stream trains "
        "on every row."
    )
    return (f"{HELD_OUT}={USUAL_FRACTION}",)


def _usual(config: RunConfig, space: Space) -> dict[str, str] | None:
    """The point of the configuration without tuning; None where it is not in the space."""
    found = {}
    for dimension in space:
        group, _, key = dimension.key.partition(".")
        node = config.nodes.get(group)
        if node is None:
            return None
        value: Any = node.values.get(key) if key else node.option
        text = next((t for t in _texts(value) if dimension.holds(t)), None)
        if text is None:
            return None
        found[dimension.key] = text
    return found


def _texts(value: Any) -> tuple[str, ...]:
    """The ways in which a value may have been typed."""
    if value is None:
        return ("null", "None")
    if isinstance(value, bool):
        return (str(value).lower(), str(value))
    if isinstance(value, float):
        return (repr(value), f"{value:g}")
    return (str(value),)


def _trials(arguments: argparse.Namespace, space: Space) -> int:
    size, given = space_size(space), arguments.trials
    if arguments.sampler == "grid":
        if size > MOST_POINTS:
            open_key = max(space, key=lambda dimension: dimension.size)
            raise ConfigError(
                f"--sampler grid: {open_key.key}={open_key.typed} has too many values to try all. "
                f"List them: {open_key.key}=VALUE,VALUE."
            )
        return int(size) if given is None else min(given, int(size))
    return int(min(USUAL_TRIALS if given is None else given, size))


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
