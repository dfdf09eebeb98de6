"""The fork server: one that has torch, for processes that start at once and see what their caller
sees."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import is_alive, until

from clrun.errors import ClrunError, ConfigError
from clrun.sweep.server import called


def test_a_call_returns_its_value_from_another_process():
    assert called(os.getpid) != os.getpid()
    assert called(operator.add, 1, 2) == 3


def test_the_caller_s_folder_and_environment_are_the_call_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOMETHING_NEW", "seen")

    assert called(os.getcwd) == str(tmp_path)
    assert called(os.getenv, "SOMETHING_NEW") == "seen"


def test_our_errors_come_out_as_they_were_raised():
    with pytest.raises(ConfigError) as raised:
        called(_refuse)

    assert raised.value.problems == ["seed=-1: wrong.", "log_every=0: wrong."]


def _refuse() -> None:
    raise ConfigError(["seed=-1: wrong.", "log_every=0: wrong."])


def test_other_errors_are_a_line_with_their_traceback_at_hand():
    with pytest.raises(ClrunError, match="TypeError: unsupported operand") as raised:
        called(operator.add, 1, "2")

    assert "Traceback" in raised.value.__notes__[0]


@pytest.mark.parametrize(
    ("function", "arguments", "line"),
    [(os._exit, (3,), "ended with exit code 3"), (os.abort, (), "died of SIGABRT")],
)
def test_a_call_whose_process_dies_says_how(
    function: Callable[..., None], arguments: tuple[int, ...], line: str
):
    with pytest.raises(ClrunError, match=line):
        called(function, *arguments)


def test_a_call_whose_process_is_killed_is_made_again_and_not_for_ever(tmp_path: Path):
    assert called(_killed_until, tmp_path, 3) == 3
    with pytest.raises(ClrunError, match="was killed by SIGKILL"):
        called(_killed_until, tmp_path, 7)


def _killed_until(folder: Path, count: int) -> int:
    calls = len(list(folder.iterdir())) + 1
    (folder / str(calls)).touch()
    if calls < count:
        os.kill(os.getpid(), signal.SIGKILL)
    return calls


def test_the_driver_has_no_torch_its_script_is_not_run_again_and_the_server_goes_with_it(
    tmp_path: Path,
):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys
            print("running", flush=True)
            from clrun.sweep.server import called
            print(called(os.getppid), "torch" in sys.modules)
            """
        )
    )

    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=120
    )

    first, second = done.stdout.splitlines()
    server, has_torch = second.split()
    assert (first, has_torch) == ("running", "False")
    until(lambda: not is_alive(int(server)), 10)  # it goes when it reads that the driver is gone
