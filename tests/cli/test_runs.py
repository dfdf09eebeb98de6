"""`clrun runs` as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from synthetic_sweep import begin, complete, fail, grid, log, make_sweep, results

from clrun.cli.main import main
from clrun.disk import locks
from clrun.sweep.summary import finish


@pytest.fixture
def outputs(workplace: Path) -> Path:
    """Four runs that stand each in another way, and a sweep of three jobs."""
    day = workplace / "outputs" / "2026-11-28"
    day.mkdir(parents=True)
    jobs = make_sweep(workplace / "outputs" / "multirun" / "2026-11-28" / "sweep", grid(3, 1))
    complete(day.parent / "multirun" / day.name / "sweep", jobs[0], 0.5)
    fail(day.parent / "multirun" / day.name / "sweep", jobs[1], "the loss is nan.")
    for hour, status in enumerate(["completed", "failed", "running", "interrupted"]):
        folder = begin(day, jobs[0], status=status, started=f"2026-11-28T0{hour}:00:00+00:00")
        folder = folder.rename(day / status)
        log(folder, experiences=2)
    results(jobs[0], 0.75).save(day / "completed")
    os.symlink(day / "completed", workplace / "outputs" / "latest")
    return workplace / "outputs"


def found(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    assert main(["runs", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def names(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    return [Path(each["folder"]).name for each in found(capsys, *words)]


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["runs", *map(str, words)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.usefixtures("outputs")
def test_runs_are_listed_newest_first_and_a_sweep_is_one_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = found(capsys)

    statuses = [(each["kind"], each["status"]) for each in listed]
    assert statuses == [
        ("sweep", "failed"),  # begun at six
        ("run", "interrupted"),
        ("run", "died"),  # its record says running, and nobody holds its lock
        ("run", "failed"),
        ("run", "completed"),
    ]
    assert listed[0]["counts"] == {"completed": 1, "failed": 1, "queued": 1}
    assert listed[0]["seed"] == "0"
    assert listed[-1]["accuracy"] == 0.75
    assert listed[-2]["accuracy"] == pytest.approx(0.6)  # of two experiences, so far
    assert listed[-2]["place"] == "2/5"


def test_a_person_sees_a_table(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0

    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == [
        "started",
        "status",
        "strategy",
        "benchmark",
        "seed",
        "accuracy",
        "time",
        "disk",
        "folder",
    ]
    assert "sweep: 1 completed, 1 failed, 1 queued" in rows[0]
    assert rows[0].rstrip().endswith("multirun/2026-11-28/sweep")
    assert " died 2/5 " in rows[2]
    assert " naive " in rows[2]
    assert " 0.750 " in rows[-1]


def test_the_disk_of_a_run_is_that_of_its_files_and_no_link_is_followed(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = outputs / "2026-11-28" / "failed"
    before = found(capsys, "--status", "failed", "--where", "seed=0")[-1]["bytes"]
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "state").write_bytes(b"x" * 1000)
    os.symlink(outputs, run / "elsewhere")

    after = found(capsys, "--status", "failed", "--where", "seed=0")[-1]["bytes"]

    link = (run / "elsewhere").lstat().st_size
    assert before == sum(file.stat().st_size for file in run.iterdir() if file.is_file())
    assert after == before + 1000 + link


@pytest.mark.usefixtures("outputs")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--status", "completed"], ["sweep", "completed"]),
        (["--status", "died", "--status", "interrupted"], ["interrupted", "running"]),
        (["--where", "strategy.lr=2e-1"], ["sweep"]),
        (
            ["--where", "strategy=naive", "--where", "seed=0", "--limit", "2"],
            ["sweep", "interrupted"],
        ),
        (["--where", "strategy=replay"], []),
        (["--where", "checkpoint.keep=2", "--limit", "1"], ["sweep"]),
        (["--since", "2026-11-28T02:30+00:00"], ["sweep", "interrupted"]),
        (["--since", "2026-11-28T02:30+00:00", "--status", "failed"], ["sweep"]),
    ],
)
def test_filters(words: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert names(capsys, *words) == expected


def test_of_a_sweep_that_is_named_its_jobs_are_listed(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = outputs / "multirun" / "2026-11-28" / "sweep"

    assert names(capsys, sweep) == ["naive-digits-0001", "naive-digits-0000"]


def test_a_sweep_that_is_over_is_counted_by_its_index(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = workplace / "sweeps" / "one"
    jobs = make_sweep(sweep, grid(2, 2))
    for job in jobs:
        complete(sweep, job, 0.5)
    finish(sweep)
    (sweep / ".sweep" / "outcomes" / "000000.json").unlink()  # which is not looked at any more

    [listed] = found(capsys, "sweeps")

    assert listed["counts"] == {"completed": 4}
    assert listed["seed"] == "0,1"


def test_failed_and_died_runs_are_removed_and_nothing_else(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day, sweep = outputs / "2026-11-28", outputs / "multirun" / "2026-11-28" / "sweep"

    assert main(["runs", "--rm", "--yes"]) == 0

    said = capsys.readouterr().out
    assert sorted(each.name for each in day.iterdir()) == ["completed", "interrupted"]
    assert sorted(each.name for each in sweep.glob("naive*")) == [
        "naive-digits-0000",
        "naive-digits-0001",
    ]
    assert "2026-11-28/failed" in said
    assert "removed 2 runs" in said


def test_what_is_removed_is_asked_for(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")

    assert main(["runs", "--rm", "--status", "died"]) == 0

    assert asked[0].startswith("Remove 1 run, ")
    assert (outputs / "2026-11-28" / "running").is_dir()
    assert "nothing was removed." in capsys.readouterr().out


@pytest.mark.usefixtures("outputs")
def test_nobody_to_ask_is_a_refusal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)

    assert main(["runs", "--rm"]) == 2
    assert "Add --yes to go on." in capsys.readouterr().err


def test_a_run_that_somebody_holds_is_left(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = locks.take(outputs / "2026-11-28" / "failed" / ".lock")
    try:
        assert main(["runs", "--rm", "--yes", "--status", "failed"]) == 0
    finally:
        lock.release()

    assert (outputs / "2026-11-28" / "failed" / "run.json").is_file()
    assert "somebody goes on with it just now, and is left." in capsys.readouterr().out


def test_a_link_to_a_failed_run_is_no_run(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = (outputs / "2026-11-28" / "failed").rename(tmp_path / "elsewhere")
    os.symlink(elsewhere, outputs / "2026-11-28" / "failed")

    assert main(["runs", "--rm", "--yes"]) == 0

    assert (elsewhere / "run.json").is_file()


def test_latest_does_not_lead_to_what_was_removed(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (outputs / "latest").unlink()
    os.symlink(outputs / "2026-11-28" / "failed", outputs / "latest")

    assert main(["runs", "--rm", "--yes"]) == 0

    assert not (outputs / "latest").is_symlink()


@pytest.mark.usefixtures("outputs")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nowhere"], "nowhere: there is no such folder."),
        (["--status", "fine"], "--status=fine: must be one of completed, failed, running"),
        (["--where", "strategy"], "--where=strategy: write KEY=VALUE"),
        (["--since", "yesterday"], "--since=yesterday: write a day"),
        (["--since", "999999w"], "--since=999999w: write a day"),
        (["--limit", "-1"], "-1: must be a whole number"),
        (["--yes"], "--yes: is for --rm alone."),
        (["--rm", "--json"], "--rm: shows what it removes"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in refused(capsys, *words)


def test_a_name_cannot_command_the_terminal(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = outputs / "2026-11-28" / "completed"
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "run_name": "\x1b[2J[bold]mine[/bold]"}))

    assert main(["runs", "--status", "completed"]) == 0

    said = capsys.readouterr().out
    assert "\x1b[2J" not in said
    assert "\\x1b[2J[bold]mine[/bold]" in said


def test_a_damaged_record_is_shown_as_unknown(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (outputs / "2026-11-28" / "completed" / "run.json").write_text("{")

    assert names(capsys, "--status", "unknown") == ["completed"]


@pytest.mark.usefixtures("outputs")
def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from clrun.cli.main import main; main(sys.argv[1:]);"
        "print(*{'torch', 'hydra', 'omegaconf', 'pydantic', 'scipy'} & set(sys.modules))"
    )

    made = subprocess.run([sys.executable, "-c", code, "runs"], capture_output=True, text=True)

    assert made.stdout.splitlines()[-1] == ""


def test_a_folder_in_which_other_runs_lie_is_not_removed(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = outputs / "2026-11-28"
    (day / "completed").rename(day / "failed" / "completed")  # as hydra.run.dir=. may have it

    assert main(["runs", "--rm", "--yes", "--status", "failed"]) == 0

    assert (day / "failed" / "completed" / "results.json").is_file()
    assert (day / "failed" / "run.json").is_file()
    said = capsys.readouterr().out
    assert "holds completed, which no run writes, and is left." in said
    assert "removed 0 runs" in said
