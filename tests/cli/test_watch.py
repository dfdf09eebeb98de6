"""`clrun watch` as a person types it."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from synthetic_sweep import begin, complete, fail, grid, leased, log, make_sweep

from clrun.cli.main import main
from clrun.disk import locks
from clrun.records.record_file import write_record
from clrun.records.run_folder import read_record
from clrun.sweep.manifest import Job


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return tmp_path / "sweep"


@pytest.fixture
def jobs(sweep: Path) -> Sequence[Job]:
    return make_sweep(sweep, grid(4, 1))


@pytest.fixture
def run(sweep: Path, jobs: Sequence[Job]) -> Path:
    """A run in the middle of its third experience; nobody holds it yet."""
    folder = begin(sweep, jobs[0], run_name="mine")
    path = log(folder, experiences=2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    memory = {**lines[-1], "kind": "memory", "rows": 30, "bytes": 3000}
    memory = {key: value for key, value in memory.items() if key != "accuracy"}
    memory["per_class"] = {"0": 20, "1": 10}
    step = {**lines[2], "kind": "step", "experience": 2, "epoch": 0, "loss": 0.25, "accuracy": 0.5}
    step["seconds"] = 2.5
    with path.open("a") as file:
        file.writelines(f"{json.dumps(each)}\n" for each in (memory, step))
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    assert main(["watch", *map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()


def change(run: Path, **values: Any) -> None:
    write_record(run / "run.json", {**read_record(run), **values})


def test_one_picture_of_a_running_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = locks.take(run / ".lock")
    try:
        lines = said(capsys, run, "--once")
    finally:
        lock.release()

    text = "\n".join(lines)
    assert lines[0].split()[:4] == ["naive-digits-s0", "running", "cpu", "mine"]
    assert lines[1].startswith("experience 3/5, epoch 1/2 ")
    assert lines[2].startswith("training  loss 0.250  acc 0.500")
    assert "│     2 │ 0.600 │" in text
    assert "│     5 │     - │" in text  # still to be learnt
    assert "memory: 30 rows, 3 kB" in text
    assert "0 ████████   20  1 ████····   10" in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ["naive-digits-s0: died after 0:02: its process ended without a word."]),
        ({"status": "failed", "error": "NonFiniteLoss: the loss is nan.\nmore"}, ["is nan."]),
        ({"status": "interrupted", "seconds": 61}, ["naive-digits-s0: interrupted after 1:01."]),
    ],
)
def test_it_says_how_a_run_ended_and_how_to_go_on(
    run: Path, values: dict[str, Any], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    change(run, **values)

    lines = said(capsys, run)

    assert lines[:3] == [
        "naive-digits-s0",
        "after experience 1/5: mean 0.500  [0.500 0.500 0.500 0.500 0.500]",
        "after experience 2/5: mean 0.600  [0.600 0.600 0.600 0.600 0.600]",
    ]
    assert lines[-2].endswith(expected[0])
    assert lines[-1] == f"To go on: clrun resume {run}"


def while_waiting(monkeypatch: pytest.MonkeyPatch, *acts: Callable[[], object]) -> None:
    """Let these happen, one by one, when the next look is waited for."""
    left = iter(acts)
    monkeypatch.setattr("clrun.watch.pause.sleep", lambda seconds: next(left)())


def test_lines_come_as_the_run_goes_on_and_end_with_it(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = locks.take(run / ".lock")

    def end() -> None:
        change(run, status="completed", seconds=3.0)
        lock.release()

    while_waiting(monkeypatch, lambda: log(run, experiences=4), end)
    lines = said(capsys, run)

    assert "experience 3/5, epoch 1/2, loss 0.250, acc 0.500" in lines[3]
    assert [line[:20] for line in lines[4:6]] == ["after experience 3/5", "after experience 4/5"]
    assert lines[6:] == ["naive-digits-s0: completed after 0:03.", f"Results: {run}"]


def test_ctrl_c_leaves_at_once_and_touches_nothing(run: Path) -> None:
    lock = locks.take(run / ".lock")
    before = {file: file.stat().st_mtime_ns for file in run.iterdir()}
    watching, screen = pty.openpty()
    try:
        code = "import sys; from clrun.cli.main import command; sys.exit(command())"
        process = subprocess.Popen(
            [sys.executable, "-c", code, "watch", str(run)],
            stdin=screen,
            stdout=screen,
            stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
        )
        shown = b""
        while b"training" not in shown:
            assert select.select([watching], [], [], 60)[0], shown
            shown += os.read(watching, 65536)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    finally:
        lock.release()
        os.close(watching)
        os.close(screen)

    assert process.returncode == 130
    assert time.monotonic() - sent < 20
    assert error == b"clrun: not watched any more; nothing else was touched.\n"
    assert {file: file.stat().st_mtime_ns for file in run.iterdir()} == before


def test_a_sweep_shows_what_runs(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    complete(sweep, jobs[0], 0.5)
    log(begin(sweep, jobs[1]), experiences=2)

    with leased(sweep, jobs[1]):
        header, row, total = said(capsys, sweep, "--once")

    assert header.split() == ["job", "state", "experience", "accuracy", "left"]
    assert row.split()[:5] == ["lr=0.2", "seed=0", "running", "2/5", "0.600"]
    assert total.startswith("1 of 4 done, 1 running")


def test_a_sweep_is_watched_until_its_end(
    sweep: Path,
    jobs: Sequence[Job],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complete(sweep, jobs[0], 0.5)

    while_waiting(
        monkeypatch,
        lambda: complete(sweep, jobs[1], 0.7),
        lambda: complete(sweep, jobs[2], 0.6),
        lambda: fail(sweep, jobs[3], "the loss is nan."),
    )
    lines = said(capsys, sweep)

    assert lines[0] == "1 of 4 jobs were over before."
    assert [line for line in lines if " of 4  " in line] == [
        "2 of 4  accuracy 0.7000, 3.0 s  strategy.lr=0.2 seed=0",
        "3 of 4  accuracy 0.6000, 3.0 s  strategy.lr=0.3 seed=0",
        "4 of 4  failed  strategy.lr=0.4 seed=0: the loss is nan.",
    ]
    assert any("best of 3 points" in line for line in lines)
    assert lines[-1] == f"To try what failed again: clrun resume {sweep} --retry-failed"
    assert not (sweep / "sweep.csv").exists()  # who watches writes nothing


def test_jobs_that_are_added_while_it_is_watched_are_seen(
    sweep: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_sweep(sweep, grid(2, 1))
    complete(sweep, first[0], 0.5)

    def add() -> None:
        jobs = make_sweep(sweep, grid(3, 1))
        for job in jobs[1:]:
            complete(sweep, job, 0.7)

    while_waiting(monkeypatch, add)
    lines = said(capsys, sweep)

    ended = [line.partition("  ")[0] for line in lines if "  accuracy 0.7000" in line]
    assert ended == ["3 of 3", "3 of 3"]
    assert lines[-1] == f"3 jobs: 3 completed. Results: {sweep}"


def test_one_picture_of_a_sweep_that_nobody_works_on_says_how_to_go_on(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    complete(sweep, jobs[0], 0.5)

    assert said(capsys, sweep, "--once")[-1] == f"To go on: clrun resume {sweep}"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nowhere"], "nowhere: there is no such folder."),
        (["."], "holds neither a run nor a sweep"),
        ([".", "--every", "0"], "0: must be a number of seconds of at least 0.1"),
        ([".", "--every", "nan"], "nan: must be a number of seconds of at least 0.1"),
        ([], "the following arguments are required: DIR"),
    ],
)
def test_what_is_wrong_is_one_line(
    workplace: Path, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", *words]) == 2

    [line] = capsys.readouterr().err.splitlines()
    assert problem in line


def test_a_name_cannot_command_the_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(run, status="completed", run_name="\x1b[2J[red]", data={"class_names": ["\x1b[3J", "b"]})

    text = "\n".join(said(capsys, run, "--once"))

    assert "\x1b" not in text
    assert "\\x1b[2J[red]" in text
    assert "\\x1b[3J" in text


def test_it_imports_nothing_heavy(run: Path) -> None:
    change(run, status="completed")
    code = (
        "import sys; from clrun.cli.main import main; main(sys.argv[1:]);"
        "print(*{'torch', 'hydra', 'omegaconf', 'scipy', 'pydantic'} & set(sys.modules))"
    )

    made = subprocess.run(
        [sys.executable, "-c", code, "watch", str(run)], capture_output=True, text=True
    )

    assert made.stdout.splitlines()[-1] == ""
