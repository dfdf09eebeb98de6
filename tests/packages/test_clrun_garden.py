"""A package from outside adds a strategy, a policy, a metric, a logger and a source, each in one
file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from installing import PACKAGES, ROOT, clrun_in, install

import clrun
from clrun.images.patterns import Patterns
from clrun.runner.prepare import prepare

PACKAGE = PACKAGES / "clrun_garden" / "clrun_garden"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with clrun and the package."""
    site = tmp_path_factory.mktemp("site")
    install(site, ROOT, PACKAGES / "clrun_garden")
    return site


def results_of(site: Path, folder: Path, *words: str) -> dict[str, Any]:
    """results.json of a run."""
    done = clrun_in(site, *words, "device=cpu", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results.json").read_text())


def refusal_of(site: Path, *words: str) -> str:
    """The one line that refuses these words."""
    refused = clrun_in(site, *words)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    return line


def pixels(patterns: Patterns) -> np.ndarray:
    """Rows as vectors. [N, pixels]"""
    return patterns.x.flatten(1).double().numpy()


def test_what_the_strategy_predicts_with_is_saved_and_loaded(site, tmp_path):
    results = results_of(site, tmp_path / "run", "strategy=nearest_mean")

    again = clrun_in(site, "evaluate", str(tmp_path / "run"), "--json")

    assert again.returncode == 0, again.stderr
    found = json.loads(again.stdout)
    assert found["experience_accuracy"] == results["accuracy_matrix"][-1]
    assert found["class_accuracy"] == results["class_accuracy"][-1]


def nearest_mean_accuracies() -> list[list[float]]:
    """The accuracy matrix of the nearest class mean on digits, written out in NumPy."""
    stream = list(prepare(clrun.compose(["device=cpu"])).data)
    matrix, means = [], {}
    for experience in stream:
        x, y = pixels(experience.train), experience.train.y.numpy()
        means |= {c: x[y == c].mean(0) for c in experience.classes}
        known = np.array(list(means))
        centres = np.stack(list(means.values()))
        row = []
        for tested in stream:
            distances = ((pixels(tested.test)[:, None] - centres) ** 2).sum(2)
            row.append(np.mean(known[distances.argmin(1)] == tested.test.y.numpy()))
        matrix.append(row)
    return matrix


def test_each_part_is_one_python_file_and_at_most_one_yaml() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    options = {path.stem for path in PACKAGE.rglob("*.yaml")}

    assert modules == {"nearest_mean", "fifo", "worst_class", "diary", "stripes"}
    assert options == {"nearest_mean", "fifo", "diary", "stripes"}


@pytest.mark.parametrize(
    ("group", "line"),
    [
        ("strategies", "The nearest class mean of pixels: no descent, no memory."),
        ("storage_policy", "the newest rows: first in, first out; no groups, no options"),
        ("metrics", "worst class: lowest accuracy of a class, after the last experience"),
        ("loggers", "A diary: every metric after each experience."),
        ("benchmarks", "Generated stripes in 8 directions, 12x12"),
    ],
)
def test_each_part_is_listed(site: Path, group: str, line: str) -> None:
    assert line in clrun_in(site, "list", group).stdout


@pytest.mark.parametrize(
    ("option", "explained"),
    [
        ("strategy=nearest_mean", "strategy.distance=euclidean  (euclidean | cosine)"),
        ("storage_policy=fifo", "Class: clrun_garden.fifo:FifoStoragePolicy"),
        ("benchmark=stripes", "benchmark.noise=40.0  (number, at least 0)"),
        ("logger=diary", "logger.diary.file=diary.txt  (text)"),
    ],
)
def test_each_option_is_explained(site: Path, option: str, explained: str) -> None:
    assert explained in clrun_in(site, "help", option).stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["storage_policy=fifo", "selection=herding"], "storage_policy=fifo does not ask which"),
        (
            ["strategy=nearest_mean", "strategy.distance=far"],
            "strategy.distance=far: must be one of",
        ),
        (["strategy=nearest_mean", "strategy.lr=1"], "strategy.lr=1: there is no such key."),
        (["benchmark=stripes", "benchmark.noise=-1"], "benchmark.noise=-1: must be at least 0."),
        (["benchmark=stripes", "benchmark.n_experiences=3"], "does not divide 8 classes."),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    site: Path, words: list[str], line: str
) -> None:
    assert line in refusal_of(site, *words)


def test_the_preview_counts_the_updates_of_the_strategy(site: Path) -> None:
    shown = clrun_in(site, "preview", "strategy=nearest_mean", "benchmark=stripes", "--json")

    assert json.loads(shown.stdout)["steps"] == 4


def test_the_strategy_has_the_accuracies_of_one_written_in_numpy(
    site: Path, tmp_path: Path
) -> None:
    results = results_of(site, tmp_path / "run", "strategy=nearest_mean")

    assert np.allclose(results["accuracy_matrix"], nearest_mean_accuracies())
    assert results["cost"]["train_macs"] is None
    assert results["cost"]["train_steps"] == 5


@pytest.mark.parametrize("memory_update", ["experience", "minibatch"])
def test_the_policy_keeps_the_newest_rows(site: Path, tmp_path: Path, memory_update: str) -> None:
    words = ["benchmark=stripes", "storage_policy=fifo", "strategy.mem_size=50"]
    words += ["strategy.train_epochs=1", f"strategy.memory_update={memory_update}"]

    results = results_of(site, tmp_path / "run", *words)

    assert results["memory"]["per_experience"] == {"3": 50}
    assert results["cost"]["replayed_patterns"] > 0


def test_the_metric_is_that_of_the_worst_class(site: Path, tmp_path: Path) -> None:
    results = results_of(site, tmp_path / "run", "strategy=naive", "strategy.train_epochs=1")

    assert results["metrics"]["worst_class"] == min(results["class_accuracy"][-1])


def test_a_metric_and_a_logger_of_others_go_with_any_strategy(site: Path, tmp_path: Path) -> None:
    words = ["strategy=ar1", "model=mlp", "strategy.train_epochs=1", "logger=[diary,csv]"]

    results = results_of(site, tmp_path / "run", *words, "first_experiences=2")

    diary = (tmp_path / "run" / "diary.txt").read_text().splitlines()
    matrix, worst = results["accuracy_matrix"], results["metrics"]["worst_class"]
    assert f"0 acc_final {matrix[0][0]}" in diary
    assert f"1 worst_class {worst}" in diary
    assert diary[-1] == "completed"
    assert (tmp_path / "run" / "metrics.csv").is_file()


def test_the_source_is_a_benchmark_like_any_other(site: Path, tmp_path: Path) -> None:
    words = ["strategy=nearest_mean", "strategy.distance=cosine", "benchmark=stripes"]

    results = results_of(site, tmp_path / "run", *words, "benchmark.scenario=ni")

    assert [e["train_rows"] for e in results["experiences"]] == [60, 60, 60, 60]
    assert results["metrics"]["acc_final"] == 1
