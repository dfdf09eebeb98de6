"""`clrun report` of sweeps, and its tables."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic_sweep import complete, fail, grid, make_sweep

import clrun
from clrun.cli.main import main
from clrun.cli.run_report import tell_sweep_report
from clrun.sweep.manifest import read_manifest, write_manifest


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "outputs" / "sweep"
    jobs = make_sweep(path, grid(rates=2, seeds=2))
    for job in jobs[:3]:
        complete(path, job, 0.5 + job.number / 10)
    fail(path, jobs[3], "it broke")
    return path


def test_a_sweep_has_one_page_and_its_jobs_none(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(sweep.parent)]) == 0

    assert capsys.readouterr().out == f"{sweep / 'report.html'}\n"
    assert "it broke" in (sweep / "report.html").read_text()
    assert len(list(sweep.parent.rglob("report.html"))) == 1


def test_a_table_is_printed_or_written_and_what_is_left_out_is_said(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(sweep), "--format", "csv"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("strategy.lr,runs,")
    assert printed.err == "clrun: note: left out of 4 runs: 1 did not complete.\n"

    assert main(["report", str(sweep), "--format", "csv", "--output", str(tmp_path / "a.csv")]) == 0
    assert (tmp_path / "a.csv").read_bytes().decode() == printed.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--format", "pdf"), "argument --format: invalid choice: 'pdf'"),
        (("--output", "a"), "--output: belongs to --format, or to several folders."),
        (("--naive", "a", "--format", "md"), "--naive=a: belongs to the page of a run."),
        (("--format", "md", "--output", "no/a"), "--output=no/a: is no file in a folder"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...],
    reason: str,
    sweep: Path,
    workplace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["report", str(sweep), *words]) == 2

    error = capsys.readouterr().err.splitlines()
    assert reason in error[-1]


def test_a_run_beside_a_sweep_is_refused(
    sweep: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["strategy=naive", "strategy.train_epochs=1"]
    clrun.run(clrun.compose(words), tmp_path / "run")

    assert main(["report", str(sweep), "--naive", str(tmp_path / "run")]) == 2

    assert "belongs to a run" in capsys.readouterr().err


def test_at_its_end_a_sweep_writes_its_page_and_says_where(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tell_sweep_report(sweep)

    assert capsys.readouterr().out == f"Report: {sweep / 'report.html'}\n"
    assert (sweep / "report.html").exists()


def test_none_is_written_where_none_is_wanted_or_no_job_is_over(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = read_manifest(sweep)
    plain = {**jobs[0].config, "root": {**jobs[0].config["root"], "report": False}}
    write_manifest(sweep, [replace(job, config=plain) for job in jobs])
    make_sweep(tmp_path / "other", grid(rates=1, seeds=1))

    tell_sweep_report(sweep)
    tell_sweep_report(tmp_path / "other")

    assert capsys.readouterr().out == ""
    assert not list(tmp_path.rglob("report.html"))


def test_a_page_that_cannot_be_written_is_one_line(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sweep / "report.html").mkdir()

    tell_sweep_report(sweep)

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("No report: ")
    assert f"clrun report {sweep} tries again" in line


@pytest.mark.slow
def test_two_hundred_jobs_take_seconds_and_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    for job in make_sweep(path, grid(rates=9, seeds=22)):
        complete(path, job, 0.5)
    program = (
        "import sys; from clrun.cli.main import main; "
        f"code = main(['report', {str(path)!r}]); print('torch' in sys.modules, code)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.splitlines()[-1] == "False 0"
    assert after.ru_utime - before.ru_utime < 10
    assert (path / "report.html").stat().st_size < 1_000_000


def test_a_job_that_is_named_itself_has_a_page_of_its_own(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = read_manifest(sweep)[0]

    assert main(["report", str(sweep / job.folder)]) == 0

    assert capsys.readouterr().out == f"{sweep / job.folder / 'report.html'}\n"
    assert not (sweep / "report.html").exists()
