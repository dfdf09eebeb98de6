"""`seeds` and `references` from the command line, end to end."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from clrun.cli.main import main
from clrun.sweep.manifest import read_manifest
from clrun.sweep.summary import rows

WORDS = (
    *("strategy=replay", "strategy.train_epochs=1", "model.hidden=[8]", "device=cpu"),
    *("benchmark.limit_per_class=20", "report=false", "hydra.sweep.dir=sweep"),
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of replay with their references, by one command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("seeds"))
        assert main([*WORDS, "seeds=2", "references=true", "seed=3"]) == 0
        return Path("sweep").absolute()


def test_one_command_runs_the_seeds_and_the_references_of_each(sweep: Path) -> None:
    found = [
        (job.config["nodes"]["strategy"]["option"], job.config["root"]["seed"], job.is_reference)
        for job in read_manifest(sweep)
    ]

    assert sorted(found) == [
        *(("joint", seed, True) for seed in (3, 4)),
        *(("naive", seed, True) for seed in (3, 4)),
        *(("replay", seed, False) for seed in (3, 4)),
    ]


def test_references_fill_the_metrics_that_need_them(sweep: Path) -> None:
    for row in rows(sweep):
        needs = [row.metrics.get(key) for key in ("intransigence", "relative_forgetting")]
        assert (None in needs) == row.is_reference
    with (sweep / "sweep.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["reference"] for row in table] == ["no", "no", "yes", "yes", "yes", "yes"]
    assert all(row["intransigence"] for row in table[:2])


def test_the_seeds_are_folded_and_no_reference_is_called_the_best(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(sweep)]) == 0

    shown = capsys.readouterr().out
    assert "naive (reference)" in shown
    assert "best of" not in shown
    assert "sd" in shown


def test_the_page_of_the_sweep_holds_the_point_against_its_references(sweep: Path) -> None:
    assert main(["report", str(sweep)]) == 0

    page = (sweep / "report.html").read_text()
    assert "One point alone has a number: accuracy" in page
    assert "references: strategy=" in page
    assert page.count("<td>reference</td>") == 2


def test_references_are_not_compared_and_more_seeds_add_jobs_with_theirs(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(sweep)]) == 2
    assert "one method alone, 2 runs" in capsys.readouterr().err
    before = [json.dumps(job.identity) for job in read_manifest(sweep)]

    monkeypatch.chdir(sweep.parent)
    assert main([*WORDS, "seeds=3", "references=true", "seed=3"]) == 0

    jobs = read_manifest(sweep)
    assert [json.dumps(job.identity) for job in jobs[:6]] == before
    assert [job.config["root"]["seed"] for job in jobs[6:]] == [5, 5, 5]
