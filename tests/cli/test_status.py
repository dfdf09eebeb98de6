"""`clrun status` as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from synthetic_sweep import begin, complete, fail, grid, interrupt, leased, log, make_sweep

from clrun.cli.main import main
from clrun.disk import locks
from clrun.sweep.manifest import Job
from clrun.sweep.record import with_engine


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return tmp_path / "sweep"


@pytest.fixture
def jobs(sweep: Path) -> Sequence[Job]:
    """One that completed, failed, was interrupted, died, waits; and two to lease."""
    jobs = make_sweep(sweep, grid(7, 1))
    complete(sweep, jobs[0], 0.5)
    fail(sweep, jobs[1], "the loss is nan.")
    interrupt(sweep, jobs[2])
    begin(sweep, jobs[3])
    return jobs


def said(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    assert main(["status", *map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_sweep_that_goes_on_says_what_runs_where_and_what_failed_why(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    begin(sweep, jobs[4])
    log(sweep / jobs[4].folder, experiences=2)
    stuck = log(sweep / begin(sweep, jobs[5]).name, experiences=3)
    os.utime(stuck, (time.time() - 2000, time.time() - 2000))

    with leased(sweep, jobs[4]), leased(sweep, jobs[5]):
        lines = said(capsys, sweep)

    here = f"process {os.getpid()} on {os.uname().nodename}"
    assert lines[0] == (
        "7 jobs: 1 completed, 1 failed, 2 running, 1 interrupted, 1 died, 1 queued."
    )
    assert lines[1].startswith("stuck  lr=0.6 seed=0  nothing since 20")
    assert lines[1].endswith(f"experience 3/5, accuracy 0.700, last sign 33:20 ago, {here}")
    assert lines[2].startswith("running  lr=0.5 seed=0  experience 2/5, accuracy 0.600, last sign")
    assert lines[3:] == [
        "interrupted  lr=0.3 seed=0",
        "died  lr=0.4 seed=0",
        "failed  strategy.lr=0.2 seed=0: the loss is nan.",
    ]


def test_nobody_calls_a_job_stuck_before_its_time(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    path = log(sweep / begin(sweep, jobs[5]).name, experiences=3)
    os.utime(path, (time.time() - 2000, time.time() - 2000))

    with leased(sweep, jobs[5]):
        lines = said(capsys, sweep, "--stuck-after", "40")

    assert not any(line.startswith("stuck") for line in lines)


@pytest.mark.usefixtures("jobs")
def test_where_nobody_works_it_says_how_to_go_on(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, sweep)[-1] == f"To go on: clrun resume {sweep}"


def test_what_an_engine_has_in_its_queue_will_go_on(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, "submitit"])  # as one of its own
    try:
        host = os.uname().nodename
        with_engine(
            sweep, submitted=[{"cluster": "local", "tasks": [str(process.pid)], "host": host}]
        )
        lines = said(capsys, sweep)
    finally:
        process.kill()
        process.wait()

    assert lines[-1].startswith("submitit's local executor: worker 0 running")
    assert said(capsys, sweep)[-1].startswith("To go on: ")


def test_of_a_sweep_that_is_over_the_table_is_shown_and_written(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = make_sweep(sweep, grid(2, 1))
    complete(sweep, jobs[0], 0.5)
    fail(sweep, jobs[1], "the loss is nan.")

    lines = said(capsys, sweep)

    assert lines[-3:] == [
        "failed: strategy.lr=0.2 seed=0: the loss is nan.",
        f"2 jobs: 1 completed, 1 failed. Results: {sweep}",
        f"To try what failed again: clrun resume {sweep} --retry-failed",
    ]
    assert (sweep / "sweep.csv").is_file()
    assert (sweep / "index.sqlite").is_file()


def test_failures_alone_are_shown_with_their_logs(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, sweep, "--failed") == [
        "failed  strategy.lr=0.2 seed=0: the loss is nan.",
        f"  1 attempt, log: {sweep / jobs[1].folder / 'clrun.log'}",
    ]


def test_all_of_it_can_be_had_as_json(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    with leased(sweep, jobs[4]):
        found = json.loads("\n".join(said(capsys, sweep, "--json")))

    assert found["counts"] == {
        **{"completed": 1, "failed": 1, "running": 1, "interrupted": 1, "died": 1},
        "queued": 2,
    }
    assert found["jobs"][1]["reason"] == "the loss is nan."
    assert found["jobs"][4]["values"] == {"strategy.lr": "0.5", "seed": "0"}
    assert found["way_on"] is None
    assert [job["accuracy"] for job in found["jobs"]][:2] == [0.5, None]


def test_a_study_without_a_trial_yet_can_be_gone_on_with(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_sweep(sweep, [])

    assert said(capsys, sweep) == ["0 jobs.", f"To go on: clrun resume {sweep}"]


def test_a_run_is_said_in_a_line(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    run = begin(sweep, jobs[3])
    log(run, experiences=2)
    assert said(capsys, run) == ["naive-digits-s0: died", f"To go on: clrun resume {run}"]

    lock = locks.take(run / ".lock")
    try:
        [line] = said(capsys, run)
    finally:
        lock.release()

    assert line.startswith("naive-digits-s0: running, experience 2/5, accuracy 0.600, last sign 0:")


def test_a_sweep_without_a_manifest_says_what_was_begun(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep / "sweep.jsonl").unlink()

    lines = said(capsys, sweep)

    assert lines[0].startswith(f"{sweep}: a sweep without a manifest")
    assert lines[1] == "4 runs: 1 completed, 1 failed, 1 interrupted, 1 died."
    assert lines[-1] == f"died  {sweep / jobs[3].folder}"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nowhere"], "nowhere: there is no such folder."),
        ([""], "SWEEP: the folder has no name"),
        (["."], "holds neither a sweep nor a run."),
        ([".", "--stuck-after", "0"], "0: must be a number of minutes above 0"),
        ([".", "--stuck-after", "nan"], "nan: must be a number of minutes above 0"),
        ([], "the following arguments are required: SWEEP"),
    ],
)
def test_what_is_wrong_is_one_line(
    workplace: Path, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", *words]) == 2

    [line] = capsys.readouterr().err.splitlines()
    assert problem in line


def test_a_damaged_manifest_is_one_line(
    sweep: Path, jobs: Sequence[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep / "sweep.jsonl").write_text("{}\n")

    assert main(["status", str(sweep)]) == 2

    assert "sweep.jsonl: is damaged" in capsys.readouterr().err


@pytest.mark.usefixtures("jobs")
def test_a_sweep_whose_record_is_damaged_still_says_how_its_jobs_stand(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep / "sweep.json").write_text("{")

    lines = said(capsys, sweep)

    assert lines[0].startswith("7 jobs: 1 completed")
    assert any("sweep.json: is damaged" in line for line in lines)


@pytest.mark.parametrize("is_over", [False, True])
def test_it_imports_nothing_heavy(is_over: bool, sweep: Path, jobs: Sequence[Job]) -> None:
    for job in jobs if is_over else ():
        complete(sweep, job, 0.5)
    code = (
        "import sys; from clrun.cli.main import main; main(sys.argv[1:]);"
        "print(*{'torch', 'numpy', 'hydra', 'omegaconf', 'pydantic'} & set(sys.modules))"
    )

    made = subprocess.run(
        [sys.executable, "-c", code, "status", str(sweep)], capture_output=True, text=True
    )

    assert ("how sure" in made.stdout) == is_over
    assert made.stdout.splitlines()[-1] == ""
