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


def folder_parser(
    verb: str, *, description: str, epilog: str, metavar: str, meaning: str
) -> OneLineParser:
    """The parser of a verb that is about one folder.

    `folder` is absolute, and no link: where `outputs/latest` leads to may change meanwhile.
    """
    parser = OneLineParser(
        prog=f"clrun {verb}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar=metavar, type=_place, help=meaning)
    return parser


def _place(text: str) -> Path:
    if not text:  # such as a variable of the shell that is not set
        raise argparse.ArgumentTypeError("the folder has no name")
    return Path(text).expanduser().resolve()
