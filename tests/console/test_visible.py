"""What a terminal is sent of other people's texts."""

from __future__ import annotations

import io
import json

import pytest
from rich.table import Table
from rich.text import Text

from clrun.console.display import LiveDisplay
from clrun.console.visible import HIDDEN, LONGEST_LINE, VisibleStream, one_line, visible
from clrun.console.visible_console import VisibleConsole

COMMANDS = (
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x00",
    "\x08",
    "\x7f",
    "\r",
    "\u202eabc",
    "\u2066",
    "\u200f",
    "\u061c",
    "\u2028",
    "\ufeff",
    "\U000e0041",
)


@pytest.mark.parametrize("text", COMMANDS, ids=ascii)
def test_what_commands_a_terminal_is_shown(text: str) -> None:
    shown = visible(f"a{text}b")

    assert not HIDDEN.search(shown)
    assert shown.startswith("a\\")
    assert shown.endswith("b")


@pytest.mark.parametrize("text", ["", "a b", "two\nlines\t|", "é ß 日本語 \N{GRINNING FACE} ±"])
def test_all_other_text_is_left_alone(text: str) -> None:
    assert visible(text) == text


def test_an_escape_is_written_as_python_would() -> None:
    assert visible("\x1b[31m\u202e") == "\\x1b[31m\\u202e"


def test_json_stays_json() -> None:
    name = "a\x7fb\x1b"

    assert json.loads(visible(json.dumps(name))) == name


def test_a_message_is_one_line_and_not_endless() -> None:
    assert one_line(" a\nb\tc ") == "a\\nb\\tc"
    assert len(one_line("x" * 100_000)) <= LONGEST_LINE
    assert one_line("x" * 100_000).endswith("(100,000 characters)")


def test_a_stream_shows_what_is_written_and_lets_rich_command() -> None:
    behind = io.StringIO()
    stream = VisibleStream(behind)

    assert stream.write("a\x1b[1m\n") == 6
    stream.writelines(["b\r", "\n"])
    VisibleConsole(file=stream, force_terminal=True, color_system="standard").print(
        "c", style="bold"
    )

    assert behind.getvalue() == "a\\x1b[1m\nb\\r\n\x1b[1mc\x1b[0m\n"
    assert stream.getvalue() == behind.getvalue()


def test_a_line_that_moves_commands_the_terminal_and_shows_what_others_print(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    behind = io.StringIO()
    monkeypatch.setattr("sys.stdout", VisibleStream(behind))
    display = LiveDisplay(VisibleConsole(force_terminal=True, color_system="standard", width=80))

    display.title("run")
    print("a\x07")
    display.close()

    assert "\\x1b" not in behind.getvalue()
    assert "\x1b[1mrun\x1b[0m" in behind.getvalue()
    assert "\x07" not in behind.getvalue()


def test_a_table_shows_what_its_cells_hold() -> None:
    behind = io.StringIO()
    table = Table(title="t\x1b[2J")
    table.add_column("h\u202e")
    table.add_row(Text("c\x1b]0;x\x07"))
    table.add_row("d\x9b")

    VisibleConsole(file=behind, width=80).print(table)

    assert not HIDDEN.search(behind.getvalue().replace("\n", ""))
    for shown in ("t\\x1b[2J", "h\\u2", "c\\x1b", "d\\x9b"):  # cut where the cell ends
        assert shown in behind.getvalue()
