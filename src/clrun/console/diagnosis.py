"""What `clrun doctor` shows: what was found with what to do about it, and what was looked at."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clrun.console.visible import visible


def print_findings(console: Console, findings: Sequence[tuple[str, str, str]]) -> None:
    """(name, what was seen, what to do) of each, in this order."""
    for name, seen, advice in findings:
        console.print(Text(visible(name), style="bold red"))
        console.print(Padding(Text(visible(seen)), (0, 0, 0, 2), expand=False))
        console.print(Padding(Text(visible(advice), style="green"), (0, 0, 0, 2), expand=False))


def print_facts(console: Console, facts: Sequence[tuple[str, str]]) -> None:
    """(name, value) of each."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text(visible(name)), Text(visible(value)))
    console.print(table)


def print_quiet(console: Console, line: str, style: str = "") -> None:
    """A line as it is: nothing in it is markup or a number to colour."""
    console.print(Text(visible(line), style=style))
