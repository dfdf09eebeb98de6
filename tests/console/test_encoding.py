"""Terminals that know ASCII alone, or less than what is to be shown."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clrun.console.encoding import print_nearest


def printed(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    print_nearest()
    stream.write(text)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("caf\u00e9", "cafe"),
        ("cafe\u0301", "cafe"),
        ("wait \u2026", "wait ..."),
        ("0.97 \u00b1 0.01", "0.97 ? 0.01"),
        ("\u732b", "?"),
        ("lost \udce9 byte", "lost ? byte"),
    ],
)
def test_what_ascii_lacks_is_shown_as_what_is_nearest(text, shown, monkeypatch):
    assert printed(text, "ascii", monkeypatch) == shown


def test_what_the_terminal_knows_stays_as_it_is(monkeypatch):
    assert printed("caf\u00e9", "utf-8", monkeypatch) == "caf\u00e9"
    assert printed("caf\u00e9 \u2026", "latin-1", monkeypatch) == "caf\u00e9 ..."


def test_a_name_that_is_no_utf_8_can_be_shown(monkeypatch):
    assert printed("lost \udce9 byte", "utf-8", monkeypatch) == "lost ? byte"


@pytest.mark.parametrize(
    "words",
    ["preview", "profile strategy=naive strategy.train_epochs=1 --steps 2", "help benchmark=csv"],
)
def test_commands_end_well_on_ascii(words: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clrun", *words.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
