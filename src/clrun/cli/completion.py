"""What may come next on the command line, for the Tab key. Never an error: it would be typed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from hydra.plugins.completion_plugin import DefaultCompletionPlugin

from clrun.cli.list_options import LISTED, METRICS
from clrun.cli.request import SWEEP_FLAGS
from clrun.cli.topics import TOPICS
from clrun.cli.verbs import VERBS
from clrun.config.compose import compose_tree, initialized
from clrun.config.sources import GROUPS, LOGGERS, PLUGINS, RECIPES, SWEEP, options

SHOWN = {
    "--cfg": ("job", "hydra", "all"),
    "-c": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "-i": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
}
"""Hydra's options that have one of a few values."""
VALUED = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p")
"""Those that have another; the shell completes files where nothing is offered."""
OF_FOLDERS = (
    "compare",
    "doctor",
    "metrics",
    "predict",
    "resume",
    "runs",
    "status",
    "watch",
    "worker",
)
"""Verbs that take folders and files, and no keys."""
FLAGS = [
    "--help",
    "--hydra-help",
    "--multirun",
    "--cfg",
    "--info",
    "--resolve",
    "--package",
    "--config-dir",
    "--config-path",
    "--config-name",
    "--shell-completion",
    *SWEEP_FLAGS,
    "--debug",
    "--trust",
    "--version",
]


LISTED_APART = (f"{PLUGINS}=", f"{PLUGINS}.", RECIPES)
"""Folders of options for Hydra, and no groups that can be chosen from so."""


class _Given(NamedTuple):
    """What the words before say of the configuration."""

    overrides: list[str]
    folders: list[Path]

    @classmethod
    def of(cls, typed: Sequence[str]) -> _Given:
        named = [w for before, w in pairwise(typed) if before in ("--config-dir", "-cd")]
        return cls(
            [w for w in typed if "=" in w and not w.startswith("-")],
            [Path(folder).absolute() for folder in named if Path(folder).is_dir()],
        )


def candidates(line: str) -> list[str]:
    """The words that may stand where the line ends, in order; none where nothing is known."""
    typed = line.split()[1:]
    word = typed.pop() if typed and not line.endswith(" ") else ""
    verb = next((w for w in typed if not w.startswith("-") and "=" not in w), None)
    found: list[str] = []
    with suppress(Exception), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        for offered in _offered(verb if verb in VERBS else None, typed, word):
            found.append(str(offered))
    return sorted({text for text in found if text.startswith(word) and text not in LISTED_APART})


def _offered(verb: str | None, typed: Sequence[str], word: str) -> Iterator[str]:
    if typed and typed[-1] in (*SHOWN, *VALUED):
        yield from SHOWN.get(typed[-1], ())
    elif word.startswith("-"):
        yield from FLAGS if verb is None else VERBS[verb].options
    elif verb in OF_FOLDERS or (verb == "evaluate" and len(typed) == 1):
        return  # the shell completes files where nothing is offered
    elif verb in ("help", "list", "version"):
        yield from _things(word) if verb != "version" else ()
        yield from (*VERBS, *TOPICS) if verb == "help" else ()
    else:
        given = _Given.of(typed)
        if not typed:
            yield from VERBS
        with suppress(Exception):  # what was typed before may be wrong, and keys still be known
            yield from _values(given, word)
        yield from _recipes(given, word)
        yield from _hydras(given, word)


def _things(word: str) -> Iterator[str]:
    """What `clrun help` explains: groups, and after = their options."""
    group, equals, _ = word.partition("=")
    if not equals:
        yield from LISTED
    elif group != METRICS and group in LISTED:
        yield from (f"{group}={option.name}" for option in options(group))


def _values(given: _Given, word: str) -> Iterator[str]:
    """The values that the type of `group.key=` allows, where they are few."""
    key, equals, _ = word.partition("=")
    group, _, name = key.lstrip("+").rpartition(".")
    if equals and group == SWEEP:
        from clrun.config.run_config import SweepKeys
        from clrun.config.schema import field_types
        from clrun.config.words import choices

        yield from (f"{key}={value}" for value in choices(field_types(SweepKeys).get(name)))
    of_logger = group.removeprefix(f"{LOGGERS}.")
    if equals and (group in GROUPS or of_logger != group):
        from clrun.config.nodes import hints_of
        from clrun.config.words import choices  # with pydantic, which a key's name does without

        tree = compose_tree(given.overrides, config_dirs=given.folders)
        node = tree[group] if group in GROUPS else tree[LOGGERS][of_logger]
        hints = hints_of(str(node.target), node)
        yield from (f"{key}={value}" for value in choices(hints.get(name)))


def _recipes(given: _Given, word: str) -> Iterator[str]:
    """Those in folders too, of which Hydra offers none."""
    group = f"+{RECIPES}=" if word.startswith("+") else f"{RECIPES}="
    yield group
    if word.startswith(group):
        yield from (f"{group}{option.name}" for option in options(RECIPES, given.folders))


def _hydras(given: _Given, word: str) -> Sequence[Any]:
    """Keys, groups, options and file names, as Hydra knows them."""
    with initialized(given.folders) as hydra:
        plugin = DefaultCompletionPlugin(hydra.config_loader)
        return plugin._query(config_name="config", line=" ".join([*given.overrides, word]))
