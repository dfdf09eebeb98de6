"""Lines for the terminal."""

from __future__ import annotations

import pytest

from clrun.cli.main import main
from clrun.cli.text import hanging
from clrun.config.sources import options

ROWS = [("ab", "one two three four five six"), ("c", "")]


def test_a_description_goes_on_below_itself_where_lines_have_a_width() -> None:
    assert list(hanging(ROWS, 30)) == ["  ab  one two three four five", "      six", "  c   "]
    assert list(hanging(ROWS, None)) == ["  ab  one two three four five six", "  c   "]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_list_is_as_wide_as_the_terminal_and_one_line_each_elsewhere(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal, raising=False)

    assert main(["list", "strategy"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert (max(map(len, lines)) <= 60) == is_terminal
    assert (len(lines) > 1 + len(list(options("strategy")))) == is_terminal
