from __future__ import annotations

import io
import sys

import pytest

from clrun.console.waiting import ERASE_LINE, waiting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_what_is_waited_for_and_forgets_it(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    with waiting("loading PyTorch"):
        shown = terminal.getvalue()

    assert shown == "loading PyTorch ...\r"
    assert terminal.getvalue() == shown + ERASE_LINE


def test_what_fails_leaves_no_word_behind(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    with pytest.raises(ZeroDivisionError), waiting("loading PyTorch"):
        _ = 1 / 0

    assert terminal.getvalue().endswith(ERASE_LINE)


def test_a_pipe_shows_nothing(monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)

    with waiting("loading PyTorch"):
        pass

    assert pipe.getvalue() == ""
