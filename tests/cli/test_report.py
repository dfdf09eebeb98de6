"""The page that a run leaves behind."""

from __future__ import annotations

import pytest

import clrun
from clrun.cli.main import main
from clrun.cli.run_report import report_line
from clrun.records.run_folder import run_status

QUICK = (
    *("strategy=naive", "strategy.train_epochs=1", "model.hidden=[8]", "device=cpu"),
    *("benchmark.limit_per_class=20", "benchmark.n_experiences=2"),
)


def test_a_run_writes_no_page_if_it_shall_not(workplace, capsys):
    assert main([*QUICK, "report=false", "hydra.run.dir=run"]) == 0

    assert not (workplace / "run" / "report.html").exists()
    assert "Report" not in capsys.readouterr().out


def test_whether_there_is_a_page_is_no_part_of_what_was_run():
    assert clrun.compose([*QUICK, "report=false"]).hash() == clrun.compose(QUICK).hash()


def test_a_page_that_cannot_be_written_costs_the_run_nothing(workplace, capsys):
    (workplace / "run" / "report.html").mkdir(parents=True)

    code = main([*QUICK, "hydra.run.dir=run"])

    output = capsys.readouterr().out
    assert code == 0
    assert run_status(workplace / "run") == "completed"
    assert output.splitlines()[-1].startswith("No report: ")
    assert "report.html: Is a directory." in output


def test_what_goes_wrong_with_a_page_is_one_line(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    clrun.run(clrun.compose(QUICK), folder)
    (folder / "metrics.jsonl").unlink()

    line = report_line(folder)

    assert line.startswith(f"No report: {folder}/metrics.jsonl: cannot be read")
    assert "\n" not in line
    assert run_status(folder) == "completed"


@pytest.mark.parametrize("name", ["against", "naive", "joint"])
def test_a_run_beside_that_is_none_is_named(name, tmp_path, capsys):
    clrun.run(clrun.compose(QUICK), tmp_path / "run")

    assert main(["report", str(tmp_path / "run"), f"--{name}", str(tmp_path)]) == 2

    assert f"--{name} {tmp_path}: holds no run" in capsys.readouterr().err
