"""The words of a command line are checked as `clrun` itself would, up to where work begins.

Runs in a process of its own: what begins the work is replaced by something that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from clrun.cli import evaluate, hydra_app, own_sweep, preview, profile_app, sweep, tune_folder
from clrun.cli.main import main
from clrun.cli.parser import OneLineParser
from clrun.records import trained_model

SHOW_ALONE = ("clrun help", "clrun list", "clrun version")
"""Verbs that look at no folder: what they show is looked up."""


class Checked(BaseException):
    """All that is checked before work begins is right."""


def checked(words: Sequence[str]) -> int:
    """Check the words of a `clrun` command; the exit code, with the problems on standard error."""
    hydra_app._single_run = _begins
    own_sweep.planned = tune_folder.planned = _begins
    own_sweep.warm_up = own_sweep.require = tune_folder.require = _nothing
    sweep.RunningSweep = _begins
    preview._preview = _begins
    profile_app.named_folder = _begins
    trained_model.model_file = _begins
    evaluate._refuse_options = _composed(evaluate._refuse_options)
    OneLineParser.parse_args = _parsed(OneLineParser.parse_args)  # type: ignore[method-assign]
    try:
        return main(words)
    except Checked:
        return 0


def _begins(*_: Any, **__: Any) -> NoReturn:
    raise Checked


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _parsed(parse_args: Callable[..., Any]) -> Callable[..., Any]:
    """Ends where a verb would look at a folder that is only on the page."""

    def parsed(self: OneLineParser, *words: Any, **options: Any) -> Any:
        found = parse_args(self, *words, **options)
        if self.prog not in SHOW_ALONE and self.prog.startswith("clrun "):
            raise Checked
        return found

    return parsed


def _composed(refuse: Callable[[Sequence[str]], None]) -> Callable[[Sequence[str]], None]:
    """Composes words that a verb lays over the configuration of a run."""

    def composed(words: Sequence[str]) -> None:
        refuse(words)
        from clrun.config.compose import compose_checked

        compose_checked([word for word in words if "=" in word and not word.startswith("-")])

    return composed
