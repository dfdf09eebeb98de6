"""An experience learnt for so many updates, in a run: what is scored, counted and continued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import clrun
from clrun.config.run_config import RunConfig
from clrun.console.display import SilentDisplay
from clrun.errors import ConfigError
from clrun.records.raw_log import read_raw_log
from clrun.runner.ahead import updates_ahead
from clrun.runner.prepare import prepare
from clrun.runner.run import run
from clrun.runner.state import RunState

FAST = ("device=cpu", "device.threads=1", "model.hidden=[16]", "benchmark.limit_per_class=40")
TEN = ("strategy.train_iterations=10",)
"""three epochs of three updates, and one that is cut after its first"""


@pytest.fixture(scope="module")
def config() -> RunConfig:
    words = (*FAST, *TEN, "strategy.eval_every=1", "eval.every_steps=4", "log_every=1")
    return clrun.compose([*words, "report=false"])


@pytest.fixture(scope="module")
def folder(config, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("by_updates") / "run"
    run(prepare(config), where)
    return where


@pytest.fixture(scope="module")
def lines(folder) -> list[dict]:
    return read_raw_log(folder / "metrics.jsonl")


def test_a_run_makes_as_many_updates_as_it_says_beforehand(config, folder, lines):
    results = json.loads((folder / "results.json").read_text())

    assert results["cost"]["train_steps"] == 50
    assert updates_ahead(config, prepare(config).data) == [10] * 5
    ends = [line["iteration"] for line in lines if line["kind"] == "experience"]
    assert ends == [10, 20, 30, 40, 50]


def test_it_is_scored_after_epochs_and_updates_inside_and_once_at_the_end(lines):
    first = [
        (line["iteration"], line["epoch"])
        for line in lines
        if line["kind"] == "eval" and line["iteration"] <= 10
    ]

    assert first == [(0, None), (3, 0), (4, 1), (6, 1), (8, 2), (9, 2), (10, None)]
    epochs = [line["iteration"] for line in lines if line["kind"] == "epoch"][:4]
    assert epochs == [3, 6, 9, 10]


class Counting(SilentDisplay):
    """Keeps how far the run said it was."""

    def __init__(self) -> None:
        self.done: list[float] = []
        self.epochs: set[int | None] = set()

    def step(self, pace) -> None:
        self.done.append(pace.done)
        self.epochs.add(pace.epochs)


def test_progress_counts_updates(config, tmp_path, monkeypatch):
    monkeypatch.setattr("clrun.runner.run.SilentDisplay", type("Nobody", (), {}))
    shown = Counting()

    run(prepare(config), tmp_path / "run", shown)

    assert shown.done == pytest.approx([n / 50 for n in range(1, 51)])
    assert shown.epochs == {None}


@pytest.mark.parametrize("made", [9, 10])
def test_a_run_that_stopped_goes_on_at_the_next_update(made, config, lines, tmp_path):
    class Stopped(Exception):
        pass

    saved = []

    def stop(state: RunState) -> None:
        if state.cost.train_steps == made:
            saved.append(state.plain())
            raise Stopped

    with pytest.raises(Stopped):
        run(prepare(config), tmp_path / "stopped", at_pause=stop)
    (tmp_path / "again").mkdir()
    kept = (tmp_path / "stopped" / "metrics.jsonl").read_bytes()
    (tmp_path / "again" / "metrics.jsonl").write_bytes(kept)
    run(prepare(config), tmp_path / "again", resumed=saved[0])

    again = read_raw_log(tmp_path / "again" / "metrics.jsonl")
    assert list(_scores(again)) == list(_scores(lines))


def _scores(lines) -> Iterator[tuple]:
    kinds = [line for line in lines if line["kind"] in ("eval", "step")]
    yield from ((e["iteration"], e["epoch"], e.get("accuracy"), e.get("loss")) for e in kinds)


def test_as_many_updates_cure_what_split_minibatches_do_to_a_comparison():
    def updates(*words: str) -> list[int]:
        config = clrun.compose([*FAST, "strategy.train_mb_size=8", *words])
        return list(updates_ahead(config, prepare(config).data) or ())

    two, both = ("strategy=naive", "strategy=replay"), "strategy.train_iterations=30"

    assert sum(updates(two[1])) > 1.5 * sum(updates(two[0]))
    assert updates(two[0], both) == updates(two[1], both) == [30] * 5


def test_epochs_typed_beside_updates_are_refused():
    with pytest.raises(
        ConfigError, match=r"^strategy.train_epochs=3: strategy.train_iterations=10"
    ):
        clrun.compose([*TEN, "strategy.train_epochs=3"])

    clrun.compose([*TEN, "experiment=er_split_fashion_mnist"])  # whose epochs nobody typed
