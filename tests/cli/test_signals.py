"""Signals to the real command before its run has a folder: the right exit code, one line, no trace.

What happens later, in a run, is in tests/runner/test_interrupt.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clrun.runner.interrupt import SIGNALS

SIGNAL_AT_IMPORT = """
import os, signal, sys

class Moment:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            for number in {numbers!r}:
                os.kill(os.getpid(), number)

sys.meta_path.insert(0, Moment())
from clrun.cli.main import command
sys.exit(command())
"""
"""A command whose process is sent signals when it first imports a module: a moment of start-up."""

RUN = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1")


def sent(
    words: tuple[str, ...],
    module: str,
    numbers: list[int],
    folder: Path,
    ignored: tuple[int, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """The command with these words, and signals when it imports the module."""

    def before() -> None:
        for number in SIGNALS:  # as in a terminal, whatever this test was started from
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)

    code = SIGNAL_AT_IMPORT.format(module=module, numbers=[int(number) for number in numbers])
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,
    )


def left_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("module", "number"),
    [
        *(("clrun.config.compose", number) for number in SIGNALS),
        ("torch", signal.SIGINT),
        ("torch.nn", signal.SIGHUP),
        ("clrun.cli.job", signal.SIGTERM),
        ("clrun.sources.digits", signal.SIGUSR1),
    ],
)
def test_a_signal_before_a_run_has_a_folder_ends_it_in_a_line_and_leaves_nothing(
    module, number, tmp_path
):
    ended = sent(RUN, module, [number], tmp_path)

    assert (ended.returncode, ended.stderr) == (
        128 + number,
        f"clrun: interrupted by {number.name}.\n",
    )
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_sent_twice_ends_it_in_a_line_too(number, tmp_path):
    ended = sent(RUN, "clrun.config.compose", [number, number], tmp_path)

    assert (ended.returncode, ended.stderr) == (
        128 + number,
        f"clrun: interrupted by {number.name}.\n",
    )


def test_a_hang_up_that_nohup_ignores_ends_nothing(tmp_path):
    ended = sent(
        ("list", "models"),
        "clrun.cli.list_options",
        [signal.SIGHUP],
        tmp_path,
        ignored=(signal.SIGHUP,),
    )

    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_interrupt_that_a_shell_ignores_for_its_background_jobs_ends_one_all_the_same(tmp_path):
    ended = sent(
        ("list", "models"),
        "clrun.cli.list_options",
        [signal.SIGINT],
        tmp_path,
        ignored=(signal.SIGINT,),
    )

    assert (ended.returncode, ended.stderr) == (130, "clrun: interrupted by SIGINT.\n")


def test_once_there_is_a_folder_it_says_what_became_of_the_run(tmp_path):
    ended = sent(RUN, "filelock", [signal.SIGTERM], tmp_path)  # as the folder is locked

    [record] = tmp_path.glob("outputs/*/*/run.json")
    assert ended.returncode == 143, ended.stderr
    assert json.loads(record.read_text())["status"] == "interrupted"


def test_reading_the_data_of_a_run_that_goes_on_is_not_waited_for(tmp_path):
    sent(RUN, "filelock", [signal.SIGTERM], tmp_path)
    [record] = tmp_path.glob("outputs/*/*/run.json")
    before = record.read_bytes()

    ended = sent(("resume", str(record.parent)), "clrun.sources.digits", [signal.SIGHUP], tmp_path)

    assert (ended.returncode, ended.stderr) == (129, "clrun: interrupted by SIGHUP.\n")
    assert record.read_bytes() == before
