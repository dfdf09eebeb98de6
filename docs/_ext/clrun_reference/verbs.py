"""The page of the verbs, from their parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn
from unittest.mock import patch

from clrun.cli.topics import OPTIONS
from clrun.cli.verbs import VERBS
from clrun_reference.markdown import block, code, definition, definitions, page, plain


class _Found(Exception):
    """Carries the parser that was to print its help."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def parser_of(verb: str) -> argparse.ArgumentParser:
    """The parser of a verb."""
    with patch.object(argparse.ArgumentParser, "print_help", _caught), _columns(80):
        try:
            import_module(VERBS[verb].module).main(["--help"])
        except _Found as found:
            return found.parser
    raise AssertionError(f"clrun {verb} --help printed no help")


def _caught(parser: argparse.ArgumentParser, file: Any = None) -> NoReturn:
    raise _Found(parser)


@contextmanager
def _columns(width: int) -> Iterator[None]:
    """Lines are as long as this, whatever the terminal is."""
    with patch.dict("os.environ", {"COLUMNS": str(width)}):
        yield


def verbs_page() -> str:
    """All verbs, and what `clrun` takes without one."""
    return page(
        "Verbs",
        ["What may come first on the command line. `clrun help VERB` prints the same.", ""],
        ["## clrun", "", "Without a verb: one run, or with `-m` a sweep.", ""],
        block("clrun [OPTION ...] [GROUP=OPTION | KEY=VALUE ...]"),
        definitions(OPTIONS),
        (line for verb in VERBS for line in _verb(verb)),
    )


def _verb(verb: str) -> Iterator[str]:
    parser = parser_of(verb)
    yield from (f"## clrun {verb}", "", plain(f"{parser.description}"), "")
    with _columns(80):
        yield from block(parser.format_usage().removeprefix("usage: "))
    for action in parser._actions:
        if "--help" not in action.option_strings and action.help != argparse.SUPPRESS:
            yield from definition(code(_typed(action)), plain(_help(action)))
    if parser.epilog:
        yield from block(parser.epilog)


def _typed(action: argparse.Action) -> str:
    """The word as it is typed, with what follows it."""
    chosen = "|".join(map(str, action.choices or ()))
    value = "" if action.nargs == 0 else action.metavar or chosen or action.dest.upper()
    if not action.option_strings:
        return str(action.metavar or action.dest)
    return f"{', '.join(action.option_strings)} {value}".rstrip()


def _help(action: argparse.Action) -> str:
    """What is said of it; of a word that has one of a few values, also these."""
    text = action.help or ""
    if action.choices and action.metavar:
        text += f": {', '.join(map(str, action.choices))}"
    return text
