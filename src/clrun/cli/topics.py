"""What `clrun help` explains besides verbs, groups and options: a few words, each a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from clrun.cli.variables import OF_CLRUN, OF_SCRIPTS
from clrun.errors import EXIT_CODES

OPTIONS: Mapping[str, str] = {
    "--multirun, -m": "a sweep: KEY=VALUE,VALUE gives a key several values, and each combination "
    "is a job",
    "--config-dir, -cd DIR": "a folder with options and recipes of your own, besides clrun's",
    "--trust": "files may name code that is not clrun's, such as that of a --config-dir",
    "--cfg, -c job|hydra|all": "print the configuration, and run nothing",
    "--resolve": "with --cfg or --help: the values in place of interpolations",
    "--package, -p KEY": "with --cfg: this part alone, such as strategy",
    "--info, -i WHAT": "how the configuration is put together: all, config, defaults, "
    "defaults-tree, plugins, searchpath",
    "--config-path, -cp DIR": "in place of clrun's own configuration, such as RUN/.hydra",
    "--config-name, -cn NAME": "the primary file there; config unless you say so",
    "--retry-failed": "of a sweep that is there already, run what failed again",
    "--force": "go on with a sweep although its numbers will differ",
    "--debug": "show the traceback of an error",
    "--run, -r": "one run, as without it",
    "--help, -h": "verbs, groups and the keys as these words set them",
    "--hydra-help": "Hydra's own options",
    "--version": "Hydra's version; clrun version shows all",
    "--shell-completion, -sc install=SHELL": "print what makes the Tab key complete words in bash, "
    'zsh or fish: eval "$(clrun -sc install=bash)"',
}
"""What `clrun` takes without a verb, besides GROUP=OPTION and KEY=VALUE."""


class Table(NamedTuple):
    """Names with what they are."""

    caption: str
    rows: Mapping[str, str]


class Topic(NamedTuple):
    """A word that `clrun help` explains."""

    summary: str
    tables: Callable[[], tuple[Table, ...]]


def _run_folder() -> tuple[Table, ...]:
    from clrun.records.contents import RUN_FILES

    return (Table("outputs/<date>/<time>-<id>/, or the folder of hydra.run.dir", RUN_FILES),)


def _sweep_folder() -> tuple[Table, ...]:
    from clrun.records.contents import SWEEP_FILES

    caption = "outputs/multirun/<date>/<time>-<id>/, or the folder of hydra.sweep.dir"
    return (Table(caption, SWEEP_FILES),)


TOPICS: Mapping[str, Topic] = {
    "options": Topic(
        "the words with dashes that a run or a sweep takes",
        lambda: (Table("clrun [OPTION ...] [GROUP=OPTION | KEY=VALUE ...]", OPTIONS),),
    ),
    "exit_codes": Topic(
        "what the exit code of clrun says", lambda: (Table("Exit codes", EXIT_CODES),)
    ),
    "run_folder": Topic("the files of a run", _run_folder),
    "sweep_folder": Topic("the files of a sweep, and of a study", _sweep_folder),
    "environment": Topic(
        "the environment variables that are read",
        lambda: (
            Table("Read by clrun", OF_CLRUN),
            Table("Read by the scripts of a checkout", OF_SCRIPTS),
        ),
    ),
}
