"""`clrun tune`: a study of hyperparameters that sees no more than it may. No torch here."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from clrun.cli.parser import OneLineParser, count, natural, verb_parser
from clrun.errors import ClrunError, ConfigError, did_you_mean

if TYPE_CHECKING:
    from clrun.cli.request import Request
    from clrun.sweep.tuning.record import Score
    from clrun.sweep.tuning.standing import Standing

WHERE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
MULTIRUN = ("-m", "--multirun")
OURS = (
    *("--trials", "--experiences", "--metric", "--sampler", "--seed", "--at-once", "--run"),
    *("--seeds", "--force", "--help"),
)

EPILOG = """\
what is searched, in Hydra's words for sweeps:
  strategy.momentum=0,0.9               one of these (choice(0,0.9) is the same)
  strategy.lr='interval(0.001,0.5)'     between these; int(interval(1,9)): whole
  strategy.lr='tag(log,interval(1e-3,1))'   the same on a logarithmic scale
  strategy.train_epochs='range(1,10,3)'     1, 4 or 7
  seed=0,1,2                            not searched: a trial's score is their mean
Where no key has such values, the strategy's own are searched (its lr at least).
The first trial has the values of the configuration, if they are among these.

the protocol (Chaudhry et al. 2019): trials train on the first experiences alone
and are scored on rows held out of these (benchmark.validation_fraction, or 0.1
of them). Opening a later experience or the test stream is a LeakError. What is
best is then frozen for the full stream, which trains on every row: a recipe,
STUDY/experiment/best.yaml, and the last line, a command that runs it on the test
stream, over other seeds.

Trials are jobs of a sweep: clrun resume STUDY goes on with a study, clrun status
STUDY says how it stands, and launcher=slurm runs them elsewhere. --trials N with
a larger N and hydra.sweep.dir=STUDY adds to one that is finished. Also taken, as
for a run: --config-dir DIR, --config-path DIR, --config-name NAME."""


def main(argv: Sequence[str]) -> int:
    """Run a study; the exit code.

    Raises:
        ClrunError: the words are wrong, a trial leaked, or the folder cannot be written.
    """
    parser = _parser()
    arguments, words = parser.parse_known_args(list(argv))
    _refuse_options(words)
    from clrun.cli.request import parse  # with Hydra, which a help does without
    from clrun.cli.tune_folder import begun
    from clrun.config.hydra_errors import explained_errors
    from clrun.config.trust import trusting, typed
    from clrun.sweep.tuning.sampling import require_optuna

    require_optuna()
    request: Request = parse(words)
    with trusting(typed(request.overrides)), explained_errors():
        path = begun(arguments, request, shlex.join(("clrun", "tune", *argv)))
        return go_on(path, force=arguments.force)


def go_on(path: Path, *, force: bool = False, retry_failed: bool = False) -> int:
    """Do what is missing of the study in a folder, and say what came of it; the exit code.

    Raises:
        ClrunError: as `main`.
        Interrupted: a signal ended it; all states are saved.
    """
    from clrun.console.notes import show_note
    from clrun.console.trials_table import trial_text
    from clrun.runner.interrupt import Interrupted
    from clrun.sweep.progress import resume_command
    from clrun.sweep.tuning.record import best, read_study
    from clrun.sweep.tuning.sampling import require_optuna
    from clrun.sweep.tuning.standing import Standing, trial_line
    from clrun.sweep.tuning.study import Running

    require_optuna()
    study = read_study(path)
    so_far: list[Score] = []

    def say(score: Score) -> None:
        so_far.append(score)
        is_best = best(study, so_far) is score
        trial, so_many = trial_line(study, score), f"{len(so_far)} of {study.trials}"
        print(trial_text(trial, so_many, study.metric, is_best=is_best), flush=True)

    print(f"study: {path}", flush=True)
    running = Running(path, say, show_note, force=force, retry_failed=retry_failed)
    try:
        found = running.run()
    except Interrupted as error:
        how = f"{' '.join(error.args[1:])} To go on: {resume_command(path)}"
        raise Interrupted(error.number, how) from None
    return _ended(path, Standing(study, found))


def _ended(path: Path, end: Standing) -> int:
    """Show the trials, freeze the best and run it, if that was asked for; the exit code."""
    from clrun.console.display import make_console
    from clrun.console.trials_table import print_trials
    from clrun.sweep.summary import finish
    from clrun.sweep.tuning.ending import choose, full_command, run_command

    study, found = end.study, end.found
    finish(path)
    print_trials(make_console(), end.trials(), study.metric, study.better)
    chosen = choose(path, study, found)
    if chosen is None:
        raise ClrunError(f"{path}: every trial failed, the first because {found[0].reason}.")
    print(*end.best_lines(), sep="\n")
    if not study.runs_full:
        print(f"To run it on the full stream, tested: {full_command(path, study, chosen)}")
        return 0
    print(f"The full stream, tested, with seeds {', '.join(map(str, study.full_seeds))}:")
    from clrun.cli import hydra_app

    return hydra_app.main(run_command(path, study, chosen))


def _parser() -> OneLineParser:
    from clrun.sweep.tuning.record import Sampler

    parser = verb_parser(
        "tune",
        usage="clrun tune [GROUP=OPTION | KEY=VALUE | KEY=VALUES ...] [--trials N] [--run] ...",
        description="Search the best values of keys on the first experiences and validation rows.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("--trials", type=count, metavar="N", help="points to try (20; of a grid all)")
    add("--experiences", type=count, metavar="K", help="how many are seen (3, or all but one)")
    add("--metric", default="acc_final", help="of results.json, to be the best in (acc_final)")
    add("--sampler", choices=get_args(Sampler), default="tpe", help="what draws points (tpe)")
    add("--seed", type=natural, default=0, metavar="S", help="of the sampler (0)")
    add(
        "--at-once",
        type=count,
        default=4,
        metavar="N",
        help="trials drawn together, each knowing all rounds before (4); more for a cluster",
    )
    add("--run", action="store_true", help="then run the full stream with the best values")
    add("--seeds", type=count, default=5, metavar="N", help="seeds of the full stream (5)")
    add("--force", action="store_true", help="go on although the numbers will differ")
    return parser


def _refuse_options(words: Sequence[str]) -> None:
    for word in words:
        name = word.partition("=")[0]
        if name in MULTIRUN:
            raise ConfigError(
                f"{word}: the trials of a study are jobs of a sweep without it, and keys with "
                "several values are what is searched. Leave it out."
            )
        if word.startswith("-") and name not in WHERE:
            guess = did_you_mean(name, (*OURS, *WHERE))
            raise ConfigError(f"{word}: tune has no such option.{guess} See clrun tune --help.")
