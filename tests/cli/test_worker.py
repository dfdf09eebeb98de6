"""`clrun worker` and `clrun resume SWEEP` as processes: signals, kills, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from comparing_runs import lines
from making_sweeps import MINE, misbehaving, written_sweep
from processes import descendants, is_alive, until

from clrun.cli.main import main
from clrun.sweep.manifest import Job
from clrun.sweep.outcomes import read_outcome

TIMEOUT = 180


@pytest.fixture
def stalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, tuple[Job, ...]]:
    """A sweep, of whose jobs the first that comes so far hangs until its process is killed."""
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    jobs = written_sweep(
        tmp_path / "s",
        [["strategy.how=stall"], ["strategy.how=well"]],
        common=MINE,
        where=misbehaving(tmp_path),
    )
    return tmp_path / "s", jobs


@contextmanager
def clrun(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The command, killed at the end if it has not ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "clrun", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def has_stalled(path: Path, job: Job) -> bool:
    log = path / job.folder / "clrun.log"
    return log.exists() and "hanging" in log.read_text()


@pytest.mark.slow
def test_a_signal_saves_all_states_and_says_how_to_go_on(
    stalled: tuple[Path, tuple[Job, ...]], tmp_path: Path
):
    path, jobs = stalled
    number = signal.SIGTERM
    with clrun("worker", str(path), "--slots", "2", "--trust") as worker:
        until(lambda: has_stalled(path, jobs[0]))
        processes = descendants(worker.pid)
        worker.send_signal(number)
        _, error = worker.communicate(timeout=TIMEOUT)

    assert worker.returncode == 128 + number
    assert f"clrun resume {path}" in error
    assert len(error.splitlines()) == 1
    until(lambda: not any(is_alive(process) for process in processes), 10)
    outcome = read_outcome(path, 0)
    assert outcome is not None
    assert outcome.status == "interrupted"
    assert outcome.reason is not None  # where the job lies and how it alone goes on is not in it
    assert re.fullmatch(
        r"interrupted by SIG\w+\.( \d of \d experiences were finished\.)?", outcome.reason
    )

    assert main(["resume", str(path), "--trust"]) == 0

    again = written_sweep(
        tmp_path / "t",
        [["strategy.how=stall"]],
        common=MINE,
        where={"config_dirs": [tmp_path / "conf"], "trust": True},
    )
    assert main(["worker", str(tmp_path / "t"), "--trust"]) == 0
    assert lines(path / jobs[0].folder) == lines(tmp_path / "t" / again[0].folder)


@pytest.mark.slow
def test_a_killed_worker_leaves_no_process_behind_and_another_goes_on(
    stalled: tuple[Path, tuple[Job, ...]],
):
    path, jobs = stalled
    with clrun("worker", str(path), "--slots", "2", "--trust") as worker:
        until(lambda: has_stalled(path, jobs[0]))
        processes = descendants(worker.pid)
        worker.kill()
        until(lambda: not any(is_alive(process) for process in processes), 10)

    assert main(["worker", str(path), "--trust"]) == 0

    record = json.loads((path / jobs[0].folder / "run.json").read_text())
    assert record["status"] == "completed"
    assert len(record["resumed"]) == 1


def test_a_worker_that_is_killed_while_its_server_starts_leaves_nothing_behind(
    stalled: tuple[Path, tuple[Job, ...]],
):
    path, _ = stalled
    with clrun("worker", str(path), "--trust") as worker:
        until(lambda: bool(descendants(worker.pid)))
        processes = descendants(worker.pid)
        os.kill(worker.pid, signal.SIGKILL)
        until(lambda: not any(is_alive(process) for process in processes), 10)


def test_a_second_ctrl_c_leaves_at_once(stalled: tuple[Path, tuple[Job, ...]]):
    path, jobs = stalled
    with clrun("worker", str(path), "--slots", "1", "--trust") as worker:
        until(lambda: has_stalled(path, jobs[0]))
        processes = descendants(worker.pid)
        worker.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(1)
        worker.send_signal(signal.SIGINT)
        until(lambda: worker.poll() is not None, 5)
        until(lambda: not any(is_alive(process) for process in processes), 10)

    assert worker.returncode == 130


def test_two_workers_share_a_sweep(tmp_path: Path):
    jobs = written_sweep(tmp_path, [[f"seed={seed}"] for seed in range(4)])

    words = ("worker", str(tmp_path), "--slots", "1")
    with clrun(*words) as one, clrun(*words) as other:
        codes = [one.wait(TIMEOUT), other.wait(TIMEOUT)]

    assert codes == [0, 0]
    logs = list((tmp_path / ".sweep" / "log").glob("*.jsonl"))
    started = [
        json.loads(line)["unit"]
        for log in logs
        for line in log.read_text().splitlines()
        if '"started"' in line
    ]
    assert sorted(started) == sorted(job.folder for job in jobs)


def test_resume_goes_on_with_one_job_of_a_sweep_as_with_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    [job] = written_sweep(tmp_path, [["seed=1"]])
    assert main(["worker", str(tmp_path)]) == 0

    assert main(["resume", str(tmp_path / job.folder)]) == 0

    assert "is finished" in capsys.readouterr().out


def test_a_folder_without_a_sweep_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["worker", str(tmp_path)]) == 2
    assert "holds no sweep" in capsys.readouterr().err
    assert main(["resume", str(tmp_path), "--retry-failed"]) == 2
    assert "--retry-failed" in capsys.readouterr().err


@pytest.mark.parametrize("slots", ["0", "-1", "two", "1.5"])
def test_slots_are_counted(slots: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["worker", str(tmp_path), "--slots", slots]) == 2

    assert f"--slots: {slots}: must be a whole number" in capsys.readouterr().err
