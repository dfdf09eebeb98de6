"""`clrun version`: versions of clrun and of what it stands on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from clrun.cli.parser import OneLineParser
from clrun.records.run_record import versions


def main(argv: Sequence[str]) -> int:
    """Print one line for each package."""
    parser: argparse.ArgumentParser = OneLineParser(
        prog="clrun version", description="Show the versions of clrun and of what it stands on."
    )
    parser.parse_args(argv)
    for name, number in versions().items():
        print(f"{name} {number}")
    return 0
