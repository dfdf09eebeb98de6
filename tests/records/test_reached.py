"""What a run had reached at what cost, from its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import clrun
from clrun.records.past_run import PastRun, read_run
from clrun.records.reached import kept_bytes, reached


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PastRun:
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["strategy=naive", "strategy.train_epochs=1", "model.hidden=[8]", "device=cpu"]
    clrun.run(clrun.compose([*words, "eval.every_steps=20", "eval.subset=10"]), folder)
    return read_run(folder)


def test_each_evaluation_of_the_whole_stream_is_a_point(run: PastRun):
    matrix = run.results["accuracy_matrix"]
    points = reached(run, "train_macs")

    # before training, and after each of five experiences; those on a subset are none
    assert [point.value for point in points[1:]] == pytest.approx([sum(r) / 5 for r in matrix])
    assert points[0].cost == 0
    assert points[-1].cost == run.cost["train_macs"]
    assert [p.cost for p in reached(run, "patterns_seen")][-1] == run.cost["patterns_seen"]
    assert [p.cost for p in reached(run, "iteration")][-1] == run.cost["train_steps"]
    seconds = [p.cost for p in reached(run, "seconds")]
    assert seconds == sorted(seconds)


def test_what_is_kept_is_all_of_it(run: PastRun):
    assert kept_bytes(run) == 4 * (64 * 8 + 8 + 8 * 10 + 10)


def test_nothing_is_known_of_a_run_without_results(tmp_path: Path):
    (tmp_path / "run.json").write_text("{}")
    (tmp_path / "metrics.jsonl").write_text("")

    bare = read_run(tmp_path)

    assert (reached(bare, "train_macs"), kept_bytes(bare)) == ([], None)
