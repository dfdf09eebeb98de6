"""Argument parsers whose errors are one line, like every other error of clrun."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from clrun.errors import ConfigError


class OneLineParser(argparse.ArgumentParser):
    """Raises instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. See {self.prog} --help.")


def verb_parser(
    verb: str, *, description: str, epilog: str, usage: str | None = None
) -> OneLineParser:
    """The parser of a verb whose epilog has lines of its own."""
    return OneLineParser(
        prog=f"clrun {verb}",
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def folder_parser(
    verb: str, *, description: str, epilog: str, metavar: str, meaning: str
) -> OneLineParser:
    """The parser of a verb that is about one folder.

    `folder` is absolute, and no link: where `outputs/latest` leads to may change meanwhile.
    """
    parser = verb_parser(verb, description=description, epilog=epilog)
    parser.add_argument("folder", metavar=metavar, type=_place, help=meaning)
    return parser


def _place(text: str) -> Path:
    if not text:  # such as a variable of the shell that is not set
        raise argparse.ArgumentTypeError("the folder has no name")
    return Path(text).expanduser().resolve()


def count(text: str) -> int:
    """A whole number from 1 on."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """A whole number from 0 on."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number of at least {least}")
    return int(text)
