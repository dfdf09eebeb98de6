"""The verbs of `clrun`: what each is for and which module does it."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A word that may come first on the command line, with a parser of its own."""

    module: str
    """its `main` takes the rest of the words; imported only when it is asked for"""
    summary: str


VERBS = {
    "help": Verb("clrun.cli.explain", "an option's keys with comment, type and bounds"),
    "list": Verb("clrun.cli.list_options", "what can be chosen, one line each"),
    "preview": Verb("clrun.cli.preview", "the stream before anything is trained on it"),
    "profile": Verb("clrun.cli.profile", "a run, and where its time goes"),
    "version": Verb("clrun.cli.version", "versions of clrun and what it stands on"),
}
